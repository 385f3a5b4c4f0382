/** Records of operators who may not keep addresses: nothing of them is left, and everything else is. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { pino } from "pino";
import { type ShownAddresses, withoutAddresses } from "../../../src/serve/address-mask.js";

function written(shown: ShownAddresses, fields: Record<string, unknown>, message = ""): Record<string, unknown> {
  let line = "";
  const logger = pino({ base: null, timestamp: false }, { write: (text: string) => (line = text) });
  withoutAddresses(logger, shown).info(fields, message);
  const { level: _, ...record } = JSON.parse(line) as Record<string, unknown>;
  return record;
}

const RECORD = {
  event: "serve-refused",
  client: "192.0.2.1",
  user: "ann",
  sender: "ann@example.org",
  recipients: [{ recipient: '"b o b"@example.net', status: "refused", reply: "550 5.1.1 no bob here" }],
  replies: ["550 5.1.1 <bob@example.net>: no (id A1)"],
  messageId: "<1.2@mail.example.org>",
  octets: 12,
};
const MESSAGE = "the host said: <ann@example.org> is not known, nor is bob@[192.0.2.1]";

describe("a record", () => {
  it("is as it was where addresses may be kept, by the same logger", () => {
    const logger = pino({ level: "silent" });
    assert.equal(withoutAddresses(logger, "full"), logger);
  });

  it("keeps domains and codes", () => {
    assert.deepEqual(written("domain", RECORD, MESSAGE), {
      event: "serve-refused",
      client: "192.0.2.1",
      sender: "@example.org",
      recipients: [{ recipient: "@example.net", status: "refused", reply: "550 5.1.1" }],
      replies: ["550 5.1.1"],
      messageId: "<@mail.example.org>",
      octets: 12,
      msg: "the host said: <@example.org> is not known, nor is @[192.0.2.1]",
    });
  });

  it("keeps codes only", () => {
    const record = written("none", RECORD, MESSAGE);
    assert.deepEqual(record, {
      event: "serve-refused",
      client: "192.0.2.1",
      recipients: [{ status: "refused", reply: "550 5.1.1" }],
      replies: ["550 5.1.1"],
      messageId: "<(address)>",
      octets: 12,
      msg: "the host said: <(address)> is not known, nor is (address)",
    });
    assert.doesNotMatch(JSON.stringify(record), /ann|bob|example/);
  });

  it("keeps IMAP's code, and takes time in proportion to a text that was made to cost more", () => {
    assert.equal(
      written("none", { reason: "NO [AUTHENTICATIONFAILED] ann is wrong" }).reason,
      "NO [AUTHENTICATIONFAILED]",
    );
    const hostile = `${'"\\'.repeat(50_000)}@`;
    assert.ok(String(written("none", { event: "x" }, hostile).msg).length >= 0);
  });
});
