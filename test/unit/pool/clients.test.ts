/** Connections that belong to one client (`client = "proxy-v2"`, `"id"`): who gets which, and that no client keeps the others from theirs. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { encodeClient, NO_CLIENT } from "../../../src/messages/client.js";
import { ActorStage, type StagedConnection } from "../../kit/actor-stage.js";
import { smtpSettings } from "../../kit/smtp-dialogue.js";

const client = (number: number): string => encodeClient({ address: `192.0.2.${number}` });
const [ANN, BOB] = [client(1), client(2)];

function stageOf(concurrency: number, telling: "proxy-v2" | "xclient" | "none" = "proxy-v2"): ActorStage {
  return new ActorStage(smtpSettings({ concurrency, client: telling }));
}

function greets(connection: StagedConnection, keywords = "PIPELINING"): void {
  connection.connects().says("220 ready\r\n");
  connection.wrote("EHLO gw.example.org\r\n");
  connection.says(`250-server\r\n250 ${keywords}\r\n`);
}

/** After XCLIENT. */
function greetsAnew(connection: StagedConnection): void {
  connection.says("220 again\r\n");
  connection.wrote("EHLO gw.example.org\r\n");
  connection.says("250-server\r\n250 XCLIENT ADDR\r\n");
}

/** The client that a connection's header names. */
function clientOf(connection: StagedConnection): string {
  const header = Buffer.from(connection.preface ?? []);
  return header[12] === 0x20 ? NO_CLIENT : encodeClient({ address: header.subarray(16, 20).join(".") });
}

function answers(connection: StagedConnection, name: string): void {
  connection.wrote(`VRFY ${name}\r\n`);
  connection.says("250 <u@example.net>\r\n");
}

describe("connections that belong to their clients", () => {
  it("are opened for each client, and lent to nobody else", () => {
    const stage = stageOf(3);
    stage.lookup(1, "vrfy", "a", ANN);
    stage.lookup(2, "vrfy", "b", BOB);
    stage.lookup(3, "vrfy", "c");
    assert.deepEqual(stage.connections.map(clientOf), [ANN, BOB, NO_CLIENT]);
    stage.connections.forEach((connection, at) => {
      greets(connection);
      answers(connection, "abc"[at]!);
    });
    stage.lookup(4, "vrfy", "d", BOB);
    answers(stage.connection(1), "d");
    assert.equal(stage.connections.length, 3);
    assert.equal(stage.answers[4], "found, remote");
  });

  it("serve their client although who came first still waits for its own", () => {
    const stage = stageOf(2);
    stage.lookup(1, "vrfy", "a", ANN);
    stage.lookup(2, "vrfy", "b", BOB);
    greets(stage.connection(1));
    answers(stage.connection(1), "b");
    assert.deepEqual(stage.answers, { 2: "found, remote" });
  });

  it("give way to a client that has none, within concurrency", () => {
    const stage = stageOf(1);
    stage.lookup(1, "vrfy", "a", ANN);
    greets(stage.connection(0));
    stage.lookup(2, "vrfy", "b", BOB);
    answers(stage.connection(0), "a");
    stage.connection(0).wrote("QUIT\r\n");
    assert.equal(stage.connections.length, 1, "the slot is not free yet");
    stage.connection(0).closes();
    greets(stage.connection(1));
    assert.equal(clientOf(stage.connection(1)), BOB);
    answers(stage.connection(1), "b");
    assert.equal(stage.answers[2], "found, remote");
  });

  it("give way to who has waited for more than a second, although their own client asks on", () => {
    const stage = stageOf(1);
    stage.lookup(1, "vrfy", "a1", ANN);
    greets(stage.connection(0));
    stage.lookup(2, "vrfy", "b", BOB);
    stage.lookup(3, "vrfy", "a2", ANN);
    answers(stage.connection(0), "a1");
    stage.connection(0).wrote("VRFY a2\r\n");
    stage.lookup(4, "vrfy", "a3", ANN);
    stage.advance(1_500);
    stage.connection(0).says("250 <u@example.net>\r\n");
    stage.connection(0).wrote("QUIT\r\n");
    stage.connection(0).closes();
    greets(stage.connection(1));
    assert.equal(clientOf(stage.connection(1)), BOB);
    answers(stage.connection(1), "b");
  });

  it("that their host ends before they serve fail their own client, and no other", () => {
    const stage = stageOf(2);
    for (let round = 0; round < 5; round++) {
      stage.lookup(round, "vrfy", `a${round}`, ANN);
      const connection = stage.connection(round);
      connection.connects().says("554 not you\r\n");
      connection.closes();
      assert.equal(stage.answers[round], "HOST_UNAVAILABLE");
    }
    stage.lookup(9, "vrfy", "b", BOB);
    greets(stage.connection(5));
    answers(stage.connection(5), "b");
    assert.equal(stage.answers[9], "found, remote");
  });

  it("that open for a client who has gone keep no slot from who waits", () => {
    const stage = stageOf(2);
    stage.lookup(1, "vrfy", "a", ANN);
    stage.actor.cancel(1, "ABORTED");
    stage.lookup(2, "vrfy", "b", BOB);
    assert.deepEqual(stage.connections.map(clientOf), [ANN, BOB]);
  });

  it("are as many as concurrency allows with ten thousand clients, who are all served and leave nothing behind", () => {
    const stage = stageOf(1);
    const clients = 10_000;
    for (let number = 0; number < clients; number++) {
      stage.lookup(number, "vrfy", "u", encodeClient({ address: `10.0.${number >> 8}.${number & 255}` }));
      if (number > 0) {
        const former = stage.connection(number - 1);
        former.wrote("QUIT\r\n");
        former.closes();
      }
      const connection = stage.connection(number);
      greets(connection);
      answers(connection, "u");
      assert.equal(stage.answers[number], "found, remote");
    }
    const { queued, inFlight, connections } = stage.actor.stats();
    assert.deepEqual([queued, inFlight], [0, 0]);
    assert.deepEqual(connections, { opening: 0, idle: 1, busy: 0, closing: 0 });
  });
});

describe("connections whose host can be told anew", () => {
  it("go from client to client, and back to nobody never", () => {
    const stage = stageOf(1, "xclient");
    stage.lookup(1, "vrfy", "a");
    greets(stage.connection(0), "XCLIENT ADDR");
    answers(stage.connection(0), "a");
    for (const [slot, address] of [
      [2, "192.0.2.1"],
      [3, "192.0.2.2"],
    ] as const) {
      stage.lookup(slot, "vrfy", `v${slot}`, encodeClient({ address }));
      stage.connection(0).wrote(`XCLIENT ADDR=${address}\r\n`);
      greetsAnew(stage.connection(0));
      answers(stage.connection(0), `v${slot}`);
    }
    stage.lookup(4, "vrfy", "b");
    stage.connection(0).wrote("QUIT\r\n");
    stage.connection(0).closes();
    greets(stage.connection(1), "XCLIENT ADDR");
    answers(stage.connection(1), "b");
    assert.equal(Object.keys(stage.answers).length, 4);
  });

  it("belong to the client where the host offers XCLIENT only once, as Postfix does, and give way to others", () => {
    const stage = stageOf(1, "xclient");
    stage.lookup(1, "vrfy", "a", ANN);
    greets(stage.connection(0), "XCLIENT ADDR");
    stage.connection(0).wrote("XCLIENT ADDR=192.0.2.1\r\n");
    stage.connection(0).says("220 again\r\n");
    stage.connection(0).wrote("EHLO gw.example.org\r\n");
    stage.connection(0).says("250-server\r\n250 PIPELINING\r\n");
    answers(stage.connection(0), "a");
    stage.lookup(2, "vrfy", "a2", ANN);
    answers(stage.connection(0), "a2");
    stage.lookup(3, "vrfy", "b", BOB);
    stage.connection(0).wrote("QUIT\r\n");
    stage.connection(0).closes();
    greets(stage.connection(1), "XCLIENT ADDR");
    stage.connection(1).wrote("XCLIENT ADDR=192.0.2.2\r\n");
    greetsAnew(stage.connection(1));
    answers(stage.connection(1), "b");
    assert.equal(Object.keys(stage.answers).length, 3);
  });

  it("serve their own client first where several rest", () => {
    const stage = stageOf(2, "xclient");
    stage.lookup(1, "vrfy", "a", ANN);
    stage.lookup(2, "vrfy", "b", BOB);
    greets(stage.connection(0), "XCLIENT ADDR");
    greets(stage.connection(1), "XCLIENT ADDR");
    for (const [at, address] of ["192.0.2.1", "192.0.2.2"].entries()) {
      stage.connection(at).wrote(`XCLIENT ADDR=${address}\r\n`);
      greetsAnew(stage.connection(at));
      stage.connection(at).wrote(`VRFY ${"ab"[at]}\r\n`);
    }
    stage.connection(0).says("250 <u@example.net>\r\n");
    stage.connection(1).says("250 <u@example.net>\r\n");
    stage.lookup(3, "vrfy", "c", ANN);
    answers(stage.connection(0), "c");
  });
});
