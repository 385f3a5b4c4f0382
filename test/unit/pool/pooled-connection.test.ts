/** What a pooled connection counts for `limits.errors` and `limits.requests` where one login takes two commands (`refusedOnce()`). */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { ActorStage, type StagedConnection } from "../../kit/actor-stage.js";
import { imapSettings } from "../../kit/imap-dialogue.js";

/** A server that advertises AUTHENTICATE and answers BAD to it: LOGIN is the way then. */
function refusesAuthenticate(limits: { errors: number; requests: number }): {
  stage: ActorStage;
  connection: StagedConnection;
} {
  const base = imapSettings("disable", { allowPlaintextAuth: true });
  const stage = new ActorStage({ ...base, limits: { ...base.limits, lifetimeMs: 60_000, idleMs: 60_000, ...limits } });
  stage.login(1, "ann");
  const connection = stage.connection(0).connects();
  connection.says("* OK [CAPABILITY IMAP4rev2 AUTH=PLAIN] ready\r\n");
  connection.says(`${tagOf(connection, "AUTHENTICATE PLAIN")} BAD what\r\n`);
  return { stage, connection };
}

function tagOf(connection: StagedConnection, command: string): string {
  const line = connection.wire.takeLine(command);
  assert.ok(line.includes(` ${command}`), line);
  return line.split(" ")[0]!;
}

describe("a login that takes two commands", () => {
  test("gets its second one where a request and a refusal are left for it, and both refusals count", () => {
    const { stage, connection } = refusesAuthenticate({ errors: 2, requests: 2 });
    connection.says(`${tagOf(connection, "LOGIN")} NO [AUTHENTICATIONFAILED] wrong\r\n`);
    assert.deepEqual(stage.answers, { 1: "not found, remote" });
    tagOf(connection, "LOGOUT");
  });

  test("leaves what remains of both limits to the next login", () => {
    const { stage, connection } = refusesAuthenticate({ errors: 3, requests: 3 });
    connection.says(`${tagOf(connection, "LOGIN")} NO [AUTHENTICATIONFAILED] wrong\r\n`);
    stage.login(2, "bob");
    connection.says(`${tagOf(connection, "LOGIN")} NO [AUTHENTICATIONFAILED] wrong\r\n`);
    assert.deepEqual(stage.answers, { 1: "not found, remote", 2: "not found, remote" });
    tagOf(connection, "LOGOUT");
  });

  for (const limits of [
    { errors: 1, requests: 50 },
    { errors: 50, requests: 1 },
  ]) {
    test(`does not get it where ${JSON.stringify(limits)} leave nothing for it`, () => {
      const { stage, connection } = refusesAuthenticate(limits);
      assert.deepEqual(stage.answers, { 1: "REPLY_TRANSIENT" });
      tagOf(connection, "LOGOUT");
    });
  }
});
