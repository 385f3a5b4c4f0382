/** The content of a message on its way: what is read of its header, however it is cut. */
import assert from "node:assert/strict";
import { Readable } from "node:stream";
import { describe, it } from "node:test";
import { MailContent } from "../../../src/serve/mail-content.js";

async function read(chunks: readonly string[]): Promise<MailContent> {
  const content = new MailContent(Readable.from(chunks.map((chunk) => Buffer.from(chunk))), "T: x\r\n", 1e6, () => {});
  for await (const chunk of content.read()) {
    assert.ok(chunk.length > 0);
  }
  return content;
}

const CUTS: Readonly<Record<string, readonly [message: string, id: string | undefined]>> = {
  "the first field": ["Message-ID: <a@b>\r\nSubject: x\r\n\r\nbody\r\n", "<a@b>"],
  "the last field": ["Subject: x\r\nmessage-id:<a@b>\r\n\r\nMessage-ID: <not@this>\r\n", "<a@b>"],
  "a folded field": ["Subject: x\r\n y\r\nMessage-Id:\r\n\t<a@b>\r\nTo: c@d\r\n\r\n", "<a@b>"],
  "none, but in the body": ["Subject: x\r\n\r\nMessage-ID: <not@this>\r\n", undefined],
  "none, where the field is empty": ["Message-ID:\r\nSubject: x\r\n\r\n", undefined],
  "another field that ends so": ["X-Message-ID: <not@this>\r\n\r\n", undefined],
};

describe("the Message-ID of a message", () => {
  for (const [name, [message, id]] of Object.entries(CUTS)) {
    it(`is found in ${name}, at every cut`, async () => {
      for (let cut = 1; cut < message.length; cut++) {
        assert.equal((await read([message.slice(0, cut), message.slice(cut)])).messageId, id, `cut at ${cut}`);
      }
      assert.equal((await read([...message])).messageId, id, "octet by octet");
    });
  }
});

describe("the trace lines of a message", () => {
  const hops = (count: number) => `${"Received: from a\r\n by b; now\r\n".repeat(count)}\r\nbody\r\n`;

  it("are counted at every cut, folded or not", async () => {
    const message = hops(101);
    for (const size of [1, 7, 30, 31, 1000, message.length]) {
      const chunks = message.match(new RegExp(`[^]{1,${size}}`, "g"))!;
      await assert.rejects(read(chunks), /too many hops/, `${size} octets at a time`);
      await read(hops(100).match(new RegExp(`[^]{1,${size}}`, "g"))!);
    }
  });
});
