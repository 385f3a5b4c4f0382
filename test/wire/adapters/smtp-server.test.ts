/** nodemailer's smtp-server with relaypost's handlers, between a client on a socket and servers on loopback. */
import assert from "node:assert/strict";
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { afterEach, describe, it } from "node:test";
import { SMTPServer, type SMTPServerOptions } from "smtp-server";
import { type SmtpServerHosts, smtpServerHandlers } from "../../../src/adapters/smtp-server.js";
import { RemoteHosts } from "../../../src/index.js";
import { listenImap, listenMail, type MailSessionOptions } from "../../../src/testing/index.js";
import { RawClient } from "../../kit/raw-client.js";

const open: (() => Promise<unknown>)[] = [];
const PLAIN_TEXT = { implicit: false, starttls: "disable" } as const;

interface Around {
  readonly users?: Readonly<Record<string, string>>;
  readonly mail?: MailSessionOptions & { protocol?: "smtp" | "lmtp" };
  readonly server?: SMTPServerOptions;
  readonly hosts?: Partial<SmtpServerHosts>;
}

/** An IMAP server that knows users, a server that takes mail, and a gateway between them and the client. */
async function house({ users = { ann: "right" }, mail = { protocol: "lmtp" }, server = {}, hosts = {} }: Around) {
  const imap = await listenImap({ users });
  const store = await listenMail(mail);
  const remotes = await RemoteHosts.open({
    remote: {
      imap: {
        address: imap.address,
        port: imap.port,
        protocol: "imap",
        lookup: true,
        tls: PLAIN_TEXT,
        auth: { "allow-plaintext": true },
      },
      store: {
        address: store.address,
        port: store.port,
        protocol: mail.protocol ?? "smtp",
        lookup: true,
        tls: PLAIN_TEXT,
        // The server is told to say something else of a recipient from one message to the next.
        cache: { learn: false },
      },
    },
  });
  const ours: SmtpServerHosts = {
    users: remotes.host("imap"),
    recipients: remotes.host("store"),
    relay: remotes.host("store"),
    ...hosts,
  };
  const gateway = new SMTPServer({
    disabledCommands: ["STARTTLS"],
    allowInsecureAuth: true,
    authOptional: true,
    disableReverseLookup: true,
    ...smtpServerHandlers(ours),
    ...server,
  });
  gateway.on("error", () => {});
  gateway.listen(0, "127.0.0.1");
  await once(gateway.server, "listening");
  const client = await RawClient.connect((gateway.server.address() as AddressInfo).port);
  await client.replies(1);
  await client.ask(server.lmtp === true ? "LHLO me" : "EHLO me");
  open.push(
    () => client[Symbol.asyncDispose](),
    () => new Promise<void>((resolve) => gateway.close(resolve)),
    () => remotes.close({ drainMs: 0 }),
    () => store.close(),
    () => imap.close(),
  );
  return { imap, store, remotes, client };
}

async function envelope(client: RawClient, ...to: string[]): Promise<void> {
  assert.match(await client.ask("MAIL FROM:<me@example.org>"), /^250 /);
  for (const address of to) {
    assert.match(await client.ask(`RCPT TO:<${address}>`), /^250 /);
  }
  assert.match(await client.ask("DATA"), /^354 /);
}

describe("relaypost/smtp-server", { timeout: 60_000 }, () => {
  afterEach(async () => {
    for (const close of open.splice(0)) {
      await close();
    }
  });

  const login = (user: string, secret: string) =>
    `AUTH PLAIN ${Buffer.from(`\0${user}\0${secret}`).toString("base64")}`;

  it("asks about users, and tells a wrong password from no answer", async () => {
    const { imap, client } = await house({});
    assert.match(await client.ask(login("ann", "wrong")), /^535 5\.7\.8 /);
    imap.order({ on: "login", match: /^bob/, reply: "{tag} NO [UNAVAILABLE] later" });
    assert.match(await client.ask(login("bob", "secret")), /^454 4\.7\.0 /);
    assert.match(await client.ask(login("ann", "right")), /^235 /);
  });

  it("asks and relays for the tenant that a session is of", async () => {
    const tenant = ({ user }: { user?: unknown }) => (typeof user === "string" ? `of ${user}` : undefined);
    const { client, remotes } = await house({ hosts: { tenant } });
    assert.match(await client.ask(login("ann", "right")), /^235 /);
    await envelope(client, "ann@example.org");
    assert.match(await client.ask("Subject: hi\r\n\r\nx\r\n."), /^250 /);
    const { tenants } = (await remotes.stats()).hosts.store!;
    assert.deepEqual(tenants, [{ name: "of ann", requests: 2, turnedAway: 0, pending: 0 }]);
  });

  it("asks about recipients, and tells an unknown one from no answer", async () => {
    const { client } = await house({
      mail: {
        protocol: "lmtp",
        recipients: (address) =>
          address === "off@example.org" ? "550 5.2.1 mailbox\u00a0disabled" : address === "ann@example.org",
        overrides: [
          { on: "RCPT", match: /later@/, reply: "450 4.2.1 later" },
          { on: "RCPT", match: /full@/, reply: "552 mailbox full" },
        ],
      },
    });
    await client.ask("MAIL FROM:<me@example.org>");
    assert.match(await client.ask("RCPT TO:<eve@example.org>"), /^550 5\.1\.1 /);
    assert.match(await client.ask("RCPT TO:<off@example.org>"), /^550 5\.2\.1 mailbox\?+disabled/);
    assert.match(await client.ask("RCPT TO:<full@example.org>"), /^552 5\.2\.2 mailbox full/);
    assert.match(await client.ask("RCPT TO:<later@example.org>"), /^451 4\.4\.3 /);
    assert.match(await client.ask("RCPT TO:<ann@example.org>"), /^250 /);
  });

  it("says 451 when the host cannot be reached", async () => {
    const { store, client } = await house({});
    store.refuse();
    await client.ask("MAIL FROM:<me@example.org>");
    assert.match(await client.ask("RCPT TO:<ann@example.org>"), /^451 4\.4\.3 /);
  });

  it("relays, and says 250 only because the host did", async () => {
    const { store, client } = await house({});
    await envelope(client, "ann@example.org", "bob@example.org");
    assert.match(await client.ask("Subject: hi\r\n\r\n..dot\r\n."), /^250 2\./);
    assert.deepEqual(
      store.ledger.deliveries.map(({ address, content }) => [address, content.toString()]),
      [
        ["ann@example.org", "Subject: hi\r\n\r\n.dot\r\n"],
        ["bob@example.org", "Subject: hi\r\n\r\n.dot\r\n"],
      ],
    );
    assert.equal(store.ledger.transactions.at(-1)!.from, "me@example.org");
  });

  it("passes the verdict of an SMTP host on", async () => {
    const { store, client } = await house({
      mail: { overrides: [{ on: "terminator", times: 1, reply: "554 5.6.0 no such content" }] },
    });
    await envelope(client, "ann@example.org");
    assert.match(await client.ask("x\r\n."), /^554 5\.6\.0 no such content/);
    store.order({ on: "terminator", times: 1, reply: "421 4.3.2 going down", afterwards: "close" });
    await envelope(client, "ann@example.org");
    assert.match(await client.ask("x\r\n."), /^451 4\./);
    store.order({ on: "terminator", times: 1, afterwards: "reset" });
    await envelope(client, "ann@example.org");
    assert.match(await client.ask("x\r\n."), /^451 4\.4\.2 .*uncertain/);
  });

  it("gives one reply for mixed verdicts, and loses nobody", async () => {
    const mail: MailSessionOptions & { protocol: "lmtp" } = {
      protocol: "lmtp",
      overrides: [
        { on: "delivery", match: /^full/, reply: "552 5.2.2 over quota" },
        { on: "delivery", match: /^later/, reply: "452 4.2.2 later" },
      ],
    };
    const { store, client } = await house({ mail });
    await envelope(client, "ann@example.org", "full@example.org");
    assert.match(
      await client.ask("x\r\n."),
      /^554 5\.2\.2 Refused for <full@example.org>; delivered to <ann@example.org>/,
    );
    await envelope(client, "ann@example.org", "later@example.org", "full@example.org");
    assert.match(await client.ask("x\r\n."), /^451 4\.2\.2 later/);
    assert.equal(store.ledger.deliveries.length, 2);
  });

  it("hands those that were not reached to whoever takes responsibility", async () => {
    const told: string[][] = [];
    const { client } = await house({
      mail: {
        protocol: "lmtp",
        overrides: [{ on: "delivery", match: /^(full|trouble)/, reply: "552 5.2.2 over quota" }],
      },
      hosts: {
        onUndelivered: (recipients) => {
          told.push(recipients.map(({ address, status }) => `${address} ${status}`));
          if (recipients.some(({ address }) => address.startsWith("trouble"))) {
            throw new Error("no disk");
          }
        },
      },
    });
    await envelope(client, "ann@example.org", "full@example.org");
    assert.match(await client.ask("x\r\n."), /^250 2\.0\.0 /);
    await envelope(client, "ann@example.org", "trouble@example.org");
    assert.match(await client.ask("x\r\n."), /^554 /);
    await envelope(client, "full@example.org");
    assert.match(await client.ask("x\r\n."), /^552 5\.2\.2 over quota/);
    assert.deepEqual(told, [["full@example.org refused"], ["trouble@example.org refused"]]);
  });

  it("can ask for one recipient at a time", async () => {
    const { client } = await house({ hosts: { oneRecipient: true } });
    await client.ask("MAIL FROM:<me@example.org>");
    assert.match(await client.ask("RCPT TO:<ann@example.org>"), /^250 /);
    assert.match(await client.ask("RCPT TO:<bob@example.org>"), /^452 4\.5\.3 /);
  });

  it("answers for each recipient as an LMTP server", async () => {
    const { client } = await house({
      mail: { protocol: "lmtp", overrides: [{ on: "delivery", match: /^bob/, reply: "452 4.2.2 mailbox full" }] },
      server: { lmtp: true },
    });
    await envelope(client, "ann@example.org", "bob@example.org", "cid@example.org");
    client.write("x\r\n.\r\n");
    const [ann, bob, cid] = await client.replies(3);
    assert.match(ann!, /^250 2\./);
    assert.match(bob!, /^452 4\.2\.2 mailbox full/);
    assert.match(cid!, /^250 2\./);
  });

  it("reads a large message to its end although the host refused it early, and serves the next", async () => {
    const { store, client } = await house({
      mail: { overrides: [{ on: "content", times: 1, reply: "552 5.3.4 too much", afterwards: "close" }] },
    });
    await envelope(client, "ann@example.org");
    const line = `${"x".repeat(76)}\r\n`;
    assert.match(await client.ask(`${line.repeat(40_000)}.`), /^(552 5\.3\.4|451 4)/);
    assert.deepEqual(store.ledger.deliveries, []);
    await envelope(client, "ann@example.org");
    assert.match(await client.ask("x\r\n."), /^250 /);
  });

  it("delivers nothing of a message that is too large for the server", async () => {
    const { store, client } = await house({ mail: {}, server: { size: 1000 } });
    await envelope(client, "ann@example.org");
    assert.match(await client.ask(`${"x\r\n".repeat(2000)}.`), /^552 5\.3\.4 /);
    assert.deepEqual(store.ledger.deliveries, []);
  });

  it("delivers nothing of a message whose client went away", async () => {
    const { store, client } = await house({ mail: {} });
    await envelope(client, "ann@example.org");
    client.write("half a message\r\n");
    await store.ledger.until(() => store.ledger.connections.some(({ commands }) => commands.includes("DATA")));
    await client[Symbol.asyncDispose]();
    await store.ledger.until(() => store.ledger.connections.every(({ isClosed }) => isClosed));
    assert.deepEqual(store.ledger.deliveries, []);
  });
});
