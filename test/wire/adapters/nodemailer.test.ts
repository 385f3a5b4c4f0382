/** nodemailer itself with relaypost's transport, against servers on loopback: what sendMail() gives back is what nodemailer gives back. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { Readable } from "node:stream";
import { afterEach, describe, it } from "node:test";
import { createTransport } from "nodemailer";
import { relaypostTransport, type SendError } from "../../../src/adapters/nodemailer.js";
import { RemoteHosts } from "../../../src/index.js";
import { listenMail, type MailSessionOptions, type StrictServer } from "../../../src/testing/index.js";

const open: (() => Promise<void>)[] = [];

/** A server of the given kind, and a host that relays to it. */
async function house(options: MailSessionOptions & { protocol?: "smtp" | "lmtp" } = {}) {
  const server: StrictServer = await listenMail(options);
  open.push(() => server.close());
  const { address, port } = server;
  const remotes = await RemoteHosts.open({
    remote: {
      out: { address, port, protocol: options.protocol ?? "smtp", tls: { implicit: false, starttls: "disable" } },
    },
  });
  open.push(() => remotes.close({ drainMs: 0 }));
  return { server, transport: createTransport(relaypostTransport(remotes.host("out"))) };
}

const LETTER = { from: "Me <me@example.org>", subject: "hi", text: "Hello\n.\nthere" };

async function failure(sending: Promise<unknown>): Promise<SendError> {
  const outcome = await sending.then(
    () => assert.fail("it was sent"),
    (error: SendError) => error,
  );
  return outcome;
}

describe("relaypost/nodemailer", { timeout: 60_000 }, () => {
  afterEach(async () => {
    for (const close of open.splice(0).reverse()) {
      await close();
    }
  });

  it("says its package's version", () => {
    const { version } = JSON.parse(readFileSync(new URL("../../../../package.json", import.meta.url), "utf8"));
    assert.equal(relaypostTransport(undefined as never).version, version);
  });

  it("sends, and says so in nodemailer's shape", async () => {
    const { server, transport } = await house();
    const info = await transport.sendMail({ ...LETTER, to: "Ann <ann@example.org>", bcc: "bob@example.org" });
    assert.deepEqual(info.envelope, { from: "me@example.org", to: ["ann@example.org", "bob@example.org"] });
    assert.deepEqual(info.accepted, ["ann@example.org", "bob@example.org"]);
    assert.deepEqual(info.rejected, []);
    assert.ok(!("rejectedErrors" in info));
    assert.match(info.response, /^250 2\./);
    assert.match(info.messageId, /^<.+@example\.org>$/);
    const [delivery] = server.ledger.deliveries;
    const content = delivery!.content.toString();
    assert.match(content, /^To: Ann <ann@example\.org>\r$/m);
    assert.ok(!content.includes("bob@"), "Bcc stays in the envelope");
    assert.match(content, /\r\nHello\r\n\.\r\nthere\r\n$/);
    assert.deepEqual(server.ledger.violations, []);
  });

  it("tells accepted from rejected recipients, each with its reply", async () => {
    const { transport } = await house({
      protocol: "lmtp",
      recipients: ["ann@example.org", "bob@example.org"],
      overrides: [{ on: "delivery", match: /^bob@/, reply: "452 4.2.2 mailbox full" }],
    });
    const to = ["ann@example.org", "eve@example.org", "bob@example.org"];
    const info = await transport.sendMail({ ...LETTER, to });
    assert.deepEqual(info.accepted, ["ann@example.org"]);
    assert.deepEqual(info.rejected, ["eve@example.org", "bob@example.org"]);
    assert.match(info.response, /^250 /);
    const [eve, bob] = info.rejectedErrors!;
    assert.equal(eve!.recipient, "eve@example.org");
    assert.equal(eve!.code, "EENVELOPE");
    assert.equal(eve!.command, "RCPT TO");
    assert.equal(eve!.responseCode, 550);
    assert.equal(eve!.permanent, true);
    assert.equal(bob!.response, "452 4.2.2 mailbox full");
    assert.equal(bob!.responseCode, 452);
    assert.equal(bob!.permanent, false);
  });

  it("rejects when nobody was accepted, as nodemailer does", async () => {
    const { transport } = await house({ recipients: [] });
    const error = await failure(transport.sendMail({ ...LETTER, to: ["ann@example.org", "bob@example.org"] }));
    assert.equal(error.code, "EENVELOPE");
    assert.equal(error.command, "RCPT TO");
    assert.equal(error.responseCode, 550);
    assert.equal(error.permanent, true);
    assert.match(error.message, /^Can't send mail - all recipients were rejected: 550 /);
    assert.deepEqual(error.rejected, ["ann@example.org", "bob@example.org"]);
    assert.equal(error.rejectedErrors?.length, 2);
  });

  it("names DATA when the message was refused", async () => {
    const { transport } = await house({ overrides: [{ on: "terminator", reply: "554 5.6.0 not like this" }] });
    const error = await failure(transport.sendMail({ ...LETTER, to: "ann@example.org" }));
    assert.equal(error.code, "EMESSAGE");
    assert.equal(error.command, "DATA");
    assert.equal(error.response, "554 5.6.0 not like this");
  });

  it("says that delivery is uncertain when the verdict was lost", async () => {
    const { transport } = await house({ overrides: [{ on: "terminator", afterwards: "reset" }] });
    const error = await failure(transport.sendMail({ ...LETTER, to: "ann@example.org" }));
    assert.equal(error.code, "ECONNECTION");
    assert.equal(error.uncertain, true);
    assert.equal(error.command, "DATA");
    assert.equal(error.responseCode, undefined);
    assert.match(error.message, /uncertain/);
  });

  it("uses nodemailer's codes for what went wrong before", async () => {
    const { server, transport } = await house();
    server.refuse();
    const refused = await failure(transport.sendMail({ ...LETTER, to: "ann@example.org" }));
    assert.equal(refused.code, "ESOCKET");
    assert.equal(refused.command, "CONN");
    assert.equal((refused.cause as { code: string }).code, "CONNECT_FAILED");
    const wrong = await failure(transport.sendMail({ ...LETTER, envelope: { from: "", to: "not an address" } }));
    assert.equal(wrong.code, "EENVELOPE");
  });

  it("stops at the signal of the message", async () => {
    const { server, transport } = await house({ overrides: [{ on: "MAIL", reply: [] }] });
    const controller = new AbortController();
    const sending = failure(transport.sendMail({ ...LETTER, to: "ann@example.org", signal: controller.signal }));
    await server.ledger.until(() => server.ledger.connections.some(({ commands }) => commands.length > 1));
    controller.abort();
    const error = await sending;
    assert.equal(error.code, "EABORT");
    assert.equal(error.name, "AbortError");
  });

  it("hands on DSN and the size that the envelope tells", async () => {
    const { server, transport } = await house({ capabilities: { dsn: true, size: 1_000_000 } });
    await transport.sendMail({
      ...LETTER,
      envelope: { from: "me@example.org", to: "ann@example.org", size: 1234 },
      dsn: { ret: "HDRS", id: "e+1", notify: ["failure", "delay"], recipient: "anna@example.org" },
    });
    const commands = server.ledger.connections[0]!.commands.join("\n");
    assert.match(commands, /MAIL FROM:<me@example.org>.* SIZE=1234/);
    assert.match(commands, /RET=HDRS ENVID=e\+2B1/);
    assert.match(commands, /NOTIFY=FAILURE,DELAY ORCPT=rfc822;anna@example.org/);
  });

  it("streams: an attachment is read no faster than the host takes it, and not before its turn", async () => {
    const mebibyte = 1024 * 1024;
    let produced = 0;
    let goOn = (): void => {};
    const gate = new Promise<void>((resolve) => {
      goOn = resolve;
    });
    const { server, transport } = await house({ overrides: [{ on: "DATA", waitFor: gate, keepReply: true }] });
    const attachment = new Readable({
      read() {
        produced++;
        this.push(produced > 48 ? null : Buffer.alloc(mebibyte, "a"));
      },
    });
    const sending = transport.sendMail({
      ...LETTER,
      to: "ann@example.org",
      attachments: [{ filename: "large.bin", content: attachment }],
    });
    await server.ledger.until(() => server.ledger.connections.some(({ commands }) => commands.includes("DATA")));
    assert.ok(produced < 8, `${produced} MiB were read before the host said 354`);
    goOn();
    const info = await sending;
    assert.deepEqual(info.accepted, ["ann@example.org"]);
    assert.ok(server.ledger.deliveries[0]!.content.length > 48 * mebibyte);
  });

  it("fails a message whose attachment cannot be read, and delivers nothing of it", async () => {
    const { server, transport } = await house();
    const attachment = new Readable({
      read() {
        this.destroy(new Error("disk on fire"));
      },
    });
    const error = await failure(
      transport.sendMail({ ...LETTER, to: "ann@example.org", attachments: [{ content: attachment }] }),
    );
    assert.equal(error.code, "ESTREAM");
    assert.deepEqual(server.ledger.deliveries, []);
  });
});
