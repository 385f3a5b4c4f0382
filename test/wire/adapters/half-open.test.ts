/** Clients of smtp-server with relaypost's handlers that end their side of the connection and wait for replies, as Exim does. */
import assert from "node:assert/strict";
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { describe, it, type TestContext } from "node:test";
import { SMTPServer, type SMTPServerOptions } from "smtp-server";
import { answerToTheEnd, smtpServerHandlers } from "../../../src/adapters/smtp-server.js";
import { RemoteHosts } from "../../../src/index.js";
import { listenMail, makeCertificate } from "../../../src/testing/index.js";
import { RawClient } from "../../kit/raw-client.js";

const MESSAGE = "Subject: hi\r\n\r\nhi\r\n";
const LISTENERS = ["plain", "starttls", "tls"] as const;

/** A client that is greeted, inside TLS where the listener has it. */
async function open(context: TestContext, listener: (typeof LISTENERS)[number], more: SMTPServerOptions = {}) {
  const store = await listenMail({ protocol: "lmtp" });
  const remotes = await RemoteHosts.open({
    remote: {
      store: {
        address: store.address,
        port: store.port,
        protocol: "lmtp",
        tls: { implicit: false, starttls: "disable" },
      },
    },
  });
  const { ca, cert, key } = await makeCertificate({ kind: "own-ca" });
  const gateway = answerToTheEnd(
    new SMTPServer({
      ...smtpServerHandlers({ relay: remotes.host("store") }),
      allowHalfOpen: true,
      authOptional: true,
      disableReverseLookup: true,
      secure: listener === "tls",
      cert,
      key,
      ...more,
    }),
  );
  gateway.on("error", () => {});
  gateway.listen(0, "127.0.0.1");
  await once(gateway.server, "listening");
  const { port } = gateway.server.address() as AddressInfo;
  const client = await RawClient.connect(port, listener === "tls" ? { ca } : undefined);
  context.after(async () => {
    await client[Symbol.asyncDispose]();
    await new Promise<void>((resolve) => gateway.close(resolve));
    await remotes.close({ drainMs: 0 });
    await store.close();
  });
  await client.replies(1);
  if (listener === "starttls") {
    await client.ask("EHLO c");
    assert.match(await client.ask("STARTTLS"), /^220 /);
    await client.startTls(ca);
  }
  return { client, store };
}

async function untilContent(client: RawClient): Promise<void> {
  for (const line of ["EHLO c", "MAIL FROM:<me@example.net>", "RCPT TO:<ann@example.org>", "DATA"]) {
    assert.match(await client.ask(line), /^[23]/);
  }
}

describe("smtp-server, where clients end their side", { timeout: 60_000 }, () => {
  for (const listener of LISTENERS) {
    it(`tells them what became of their message, and of QUIT (${listener})`, async (context) => {
      const { client, store } = await open(context, listener);
      await untilContent(client);
      client.write(`${MESSAGE}.\r\nQUIT\r\n`);
      client.end();
      assert.match(await client.rest(), /^250 .*\r\n221 .*\r\n$/);
      assert.equal(store.ledger.deliveries.length, 1);
    });

    it(`tells it without QUIT too, and closes then (${listener})`, async (context) => {
      const { client } = await open(context, listener);
      await untilContent(client);
      client.write(`${MESSAGE}.\r\n`);
      client.end();
      assert.match(await client.rest(), /^250 .*\r\n$/);
    });

    it(`closes at once inside a message, which nobody receives (${listener})`, async (context) => {
      const { client, store } = await open(context, listener);
      await untilContent(client);
      client.write(MESSAGE);
      client.end();
      assert.equal(await client.rest(), "");
      assert.deepEqual(store.ledger.deliveries, []);
    });

    it(`closes behind the last reply between commands (${listener})`, async (context) => {
      const { client } = await open(context, listener);
      client.write("NOOP\r\n");
      client.end();
      assert.match(await client.rest(), /^250 .*\r\n$/);
    });
  }

  it("goes on asking the handlers of its own for connections and TLS", async (context) => {
    const asked: string[] = [];
    const { client } = await open(context, "starttls", {
      onConnect: ({ remoteAddress }, done) => {
        asked.push(`connect ${remoteAddress}`);
        done();
      },
      onSecure: (_socket, { secure }, done) => {
        asked.push(`secure ${secure}`);
        done();
      },
    });
    assert.match(await client.ask("EHLO c"), /^250/);
    assert.deepEqual(asked, ["connect 127.0.0.1", "secure true"]);
  });

  it("says so where its sockets close by themselves", () => {
    const server = new SMTPServer({ logger: false });
    assert.throws(() => answerToTheEnd(server), /needs a server that was made with the option allowHalfOpen: true/);
  });
});
