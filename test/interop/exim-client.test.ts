/** A real Exim, as Debian's package configures it for a smarthost, sends through the gateway of `relaypost serve`; its message is followed by its ids. */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { Dovecot } from "./kit/dovecot.js";
import { reasonWithoutExim } from "./kit/exim.js";
import { EximClient, SENDER, SMARTHOST } from "./kit/exim-client.js";
import { writeAuthority } from "./kit/hosts.js";
import { addressOf, freePorts, reasonToSkip } from "./kit/sandbox.js";
import { ServeProcess, tablesOf } from "./kit/serve.js";

const skip = reasonWithoutExim() || reasonToSkip("dovecot");

interface Record {
  readonly event: string;
  readonly id: string;
  readonly [field: string]: unknown;
}

describe("Exim sends through the gateway", { skip, timeout: 120_000 }, () => {
  let dovecot: Dovecot;
  let serve: ServeProcess;
  let exim: EximClient;

  before(async () => {
    dovecot = await Dovecot.start();
    const [port] = (await freePorts(1)) as [number];
    serve = await ServeProcess.start();
    writeAuthority(serve.folder, dovecot.ca);
    serve.write(`${tablesOf(dovecot)}[serve.in]
protocol = "smtp"
listen = "${SMARTHOST}:${port}"
host = "lmtp"
`);
    await serve.reload();
    exim = new EximClient(port);
  });

  after(async () => {
    await serve?.[Symbol.asyncDispose]();
    await dovecot?.stop();
    exim?.remove();
  });

  const send = (subject: string, ...users: readonly string[]): Promise<string> =>
    exim.send(subject, ...users.map(addressOf));

  function record(id: string): Record {
    const line = serve.log.split("\n").find((each) => each.includes(`"id":"${id}"`));
    assert.ok(line !== undefined, `no record of ${id}:\n${serve.log}`);
    return JSON.parse(line) as Record;
  }

  it("and its log, the stored message and the gateway's record name each other", async () => {
    const log = await send("traced", "bob");
    const [, eximId] = /^\S+ \S+ (\S+) <= /.exec(log)!;
    const [, id] =
      / => bob@example\.test R=smarthost T=remote_smtp_smarthost .* C="250 2\.0\.0 .*\(id ([A-Z0-9]+)\)"/.exec(log)!;
    const stored = dovecot.mailbox("bob").at(-1)!.toString();
    assert.match(stored, new RegExp(`with ESMTP id ${id}\\r\\n\\tfor <bob@example\\.test>;`));
    assert.match(stored, new RegExp(`id ${eximId}\\r\\n`), "Exim's own Received");
    assert.match(stored, /\r\n\.dots\r\nand a last line\r\n$/);
    const [, messageId] = /^Message-I[dD]: (\S+)\r$/m.exec(stored)!;
    await serve.logged("serve-relayed", 1);
    const found = record(id!);
    assert.equal(found.event, "serve-relayed");
    assert.deepEqual(
      [found.hostId, found.client, found.sender, found.messageId],
      ["lmtp", "127.0.0.1", SENDER, messageId],
    );
    assert.match(JSON.stringify(found.recipients), /"recipient":"bob@example\.test","status":"delivered"/);
  });

  it("and hears who is unknown there: it bounces those, and the others are delivered", async () => {
    const before = dovecot.mailbox("ann").length;
    const log = await send("two", "ann", "nobody");
    assert.match(log, /\*\* nobody@example\.test R=smarthost .*550 5\.1\.1/);
    assert.match(log, / => ann@example\.test R=smarthost .*C="250 /);
    assert.equal(dovecot.mailbox("ann").length, before + 1);
  });

  it("and keeps what the store defers, to send it again", async () => {
    dovecot.signal("SIGSTOP");
    try {
      const log = await send("deferred", "user1");
      assert.match(log, / == user1@example\.test R=smarthost .*45\d /);
    } finally {
      dovecot.signal("SIGCONT");
    }
  });
});
