/** Refused logins in the log: a record each up to a limit, then a count by client; and nothing that a name could write over them. */
import assert from "node:assert/strict";
import { describe, it, type TestContext } from "node:test";
import { LoginLog } from "../../../src/serve/login-log.js";
import { logged } from "../../../src/serve/wording.js";

interface Written {
  readonly event: string;
  readonly hostId: string | undefined;
  readonly fields: Readonly<Record<string, unknown>>;
}

function open(t: TestContext, most: number) {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const written: Written[] = [];
  const log = new LoginLog(
    (_level, event, hostId, _message, fields = {}) => written.push({ event, hostId, fields }),
    "sasl",
    most,
  );
  const refuse = (client: string, user = "ann") =>
    log.refused({ user, client, mechanism: "PLAIN", reason: "NO wrong" }, "imap");
  return { log, written, refuse };
}

describe("the log of refused logins", () => {
  it("has a record for each, with all that is known of it", (t) => {
    const { log, written, refuse } = open(t, 100);
    for (let user = 0; user < 20; user++) {
      refuse("192.0.2.1", `user${user}`);
    }
    assert.equal(written.length, 20);
    assert.equal(log.count, 20);
    assert.deepEqual(written[19], {
      event: "serve-auth-refused",
      hostId: "imap",
      fields: { listener: "sasl", client: "192.0.2.1", user: "user19", mechanism: "PLAIN", reason: "NO wrong" },
    });
  });

  it("counts by client what comes faster than the limit, and begins anew each second", (t) => {
    const { log, written, refuse } = open(t, 3);
    for (const client of ["a", "a", "b", "b", "c", "b"]) {
      refuse(client);
    }
    assert.equal(written.length, 3);
    t.mock.timers.tick(1000);
    assert.deepEqual(
      written.slice(3).map(({ event, fields }) => [event, fields]),
      [
        ["serve-auth-flood", { listener: "sasl", client: "b", count: 2 }],
        ["serve-auth-flood", { listener: "sasl", client: "c", count: 1 }],
      ],
    );
    refuse("d");
    assert.equal(written.at(-1)!.fields.client, "d");
    assert.equal(log.count, 7);
  });

  it("tells what it has left out when its listener closes", (t) => {
    const { log, written, refuse } = open(t, 1);
    refuse("a");
    refuse("a");
    log.close();
    assert.equal(written.at(-1)!.event, "serve-auth-flood");
    t.mock.timers.tick(1000);
    assert.equal(written.length, 2);
  });

  it("keeps count of so many clients and no more", (t) => {
    const { log, written, refuse } = open(t, 1);
    for (let client = 0; client < 5000; client++) {
      refuse(`client ${client}`);
    }
    log.close();
    const counts = written.slice(1).map(({ fields }) => fields.count as number);
    assert.equal(counts.length, 1001);
    assert.equal(
      counts.reduce((sum, count) => sum + count, 0),
      4999,
    );
  });
});

describe("a text in a record", () => {
  it("is one line without anything that moves a cursor, and no longer than an address", () => {
    assert.equal(logged("a\r\nb\x1b[2Jc\u0085d\u202ee"), "a\\x0d / b\\x1b[2Jc\\x85d\\x202ee");
    const long = logged("x".repeat(2 ** 20));
    assert.ok(long.length < 400);
    assert.match(long, /x\.\.\. \(1048576 characters\)$/);
    assert.equal(logged("Grüße, 世界"), "Grüße, 世界");
  });
});
