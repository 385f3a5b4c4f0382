/**
 * Real servers that are told of clients, and one that is run as its package has it: a guesser at it shuts nobody out. What they log
 * is what they have understood.
 */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import type { Client, RemoteHost, RemoteHosts } from "../../src/index.js";
import { Dovecot } from "./kit/dovecot.js";
import { HaProxy } from "./kit/haproxy.js";
import { openHosts, verdictOf } from "./kit/hosts.js";
import { Postfix } from "./kit/postfix.js";
import { ACCOUNTS, addressOf, freePorts, reasonToSkip } from "./kit/sandbox.js";

const skip = reasonToSkip("dovecot", "haproxy", "postfix");
const IN_CLEAR = { tls: { implicit: false, starttls: "disable" }, auth: { "allow-plaintext": true } } as const;
const CLIENT: Client = {
  address: "192.0.2.1",
  port: 1025,
  name: "mx.client.example",
  helo: "helo.client.example",
  session: "s-4711",
  local: { address: "192.0.2.25", port: 143 },
};

/** Until a server has logged it. */
async function untilLogged(server: { readonly log: string }, pattern: RegExp): Promise<void> {
  for (let tries = 0; !pattern.test(server.log); tries++) {
    assert.ok(tries < 200, `${pattern} is not in the log:\n${server.log.slice(-3_000)}`);
    await sleep(25);
  }
}

/** Right passwords of two users, each through so many clients; how long each took, the shortest first. */
async function loginsOf(host: RemoteHost, network: string, clients: number): Promise<number[]> {
  const times: number[] = [];
  const ask = async (username: string): Promise<void> => {
    for (let number = 1; number <= clients; number++) {
      const client = { address: `${network}.${number}`, port: username === "ann" ? 1_024 : 1_025 };
      const startMs = performance.now();
      const answer = await verdictOf(host.authenticate({ username, secret: ACCOUNTS[username]! }, { client }));
      times.push(performance.now() - startMs);
      assert.equal(answer, "found");
    }
  };
  await Promise.all([ask("ann"), ask("bob")]);
  return times.sort((a, b) => a - b);
}

describe("clients before real servers", { skip }, () => {
  let dovecot: Dovecot;
  let postfix: Postfix;
  let haproxy: HaProxy<"imap" | "lmtp">;
  let hosts: RemoteHosts;

  before(async () => {
    const [imap, lmtp] = (await freePorts(2)) as [number, number];
    const listener = (port: number) =>
      `inet_listener behind-haproxy {\n    address = 127.0.0.1\n    port = ${port}\n    haproxy = yes\n  }`;
    dovecot = await Dovecot.start({
      isTuned: false,
      more: `
login_trusted_networks = 127.0.0.0/8
haproxy_trusted_networks = 127.0.0.0/8
service imap-login {
  ${listener(imap)}
}
service lmtp {
  ${listener(lmtp)}
}
`,
    });
    postfix = await Postfix.start(dovecot, {
      main: { smtpd_authorized_xclient_hosts: "127.0.0.0/8", smtpd_authorized_xforward_hosts: "127.0.0.0/8" },
    });
    haproxy = await HaProxy.start({
      imap: { to: imap, bind: "accept-proxy", send: "send-proxy-v2" },
      lmtp: { to: lmtp, bind: "accept-proxy", send: "send-proxy-v2" },
    });
    const local = { address: "127.0.0.1", ...IN_CLEAR } as const;
    hosts = await openHosts({
      imap: { ...local, port: dovecot.ports.imap, protocol: "imap", client: "id" },
      "imap-behind-haproxy": { ...local, port: haproxy.ports.imap, protocol: "imap", client: "proxy-v2" },
      "lmtp-behind-haproxy": { ...local, port: haproxy.ports.lmtp, protocol: "lmtp", client: "proxy-v2" },
      lmtp: { ...local, port: dovecot.ports.lmtp, protocol: "lmtp", client: "xclient" },
      xclient: { ...local, port: postfix.ports.smtp, protocol: "smtp", client: "xclient" },
      xforward: { ...local, port: postfix.ports.smtp, protocol: "smtp", client: "xforward" },
    });
  });

  after(async () => {
    await hosts?.close({ drainMs: 0 });
    await haproxy?.[Symbol.asyncDispose]();
    await postfix?.stop();
    await dovecot?.stop();
  });

  const ann = { username: "ann", secret: ACCOUNTS.ann! };

  test("Dovecot's IMAP is told by ID: address, ports, its own end and the session", async () => {
    assert.equal(await verdictOf(hosts.host("imap").authenticate(ann, { client: CLIENT })), "found");
    await untilLogged(
      dovecot,
      /imap-login: .*Login: user=<ann>.*rip=192\.0\.2\.1, lip=192\.0\.2\.25.*session=<s-4711>/,
    );
  });

  test("Dovecot's IMAP is told by HAProxy what HAProxy was told by us, and of nobody where there is nobody", async () => {
    const host = hosts.host("imap-behind-haproxy");
    const client = { ...CLIENT, address: "2001:db8::7", local: { address: "2001:db8::25", port: 143 } };
    assert.equal(await verdictOf(host.authenticate(ann, { client })), "found");
    await untilLogged(dovecot, /Login: user=<ann>.*rip=2001:db8::7, lip=2001:db8::25/);
    assert.equal(await verdictOf(host.authenticate(ann)), "found");
    await untilLogged(dovecot, /Login: user=<ann>.*rip=127\.0\.0\.1/);
  });

  test("Dovecot's LMTP is told by XCLIENT, and by HAProxy", async () => {
    for (const [id, address] of [
      ["lmtp", "192.0.2.77"],
      ["lmtp-behind-haproxy", "192.0.2.78"],
    ] as const) {
      const envelope = { from: "me@elsewhere.example", to: addressOf("user1") };
      const client = { ...CLIENT, address };
      const { recipients } = await hosts.host(id).relay(envelope, `Subject: ${id}\r\n\r\nhi\r\n`, { client });
      assert.deepEqual(
        recipients.map(({ status }) => status),
        ["delivered"],
      );
      const stored = dovecot.mailbox("user1").map(String);
      assert.ok(
        stored.some((message) => message.includes(`([${address}])`)),
        `${address} is in no Received: of Dovecot's`,
      );
    }
  });

  test("Postfix takes the session for the client's by XCLIENT, on one connection for each", async () => {
    const host = hosts.host("xclient");
    for (const number of [1, 2, 1]) {
      const client = { ...CLIENT, address: `192.0.2.${number}`, name: `mx${number}.client.example` };
      const answer = await verdictOf(host.verifyRecipient("someone@elsewhere.example", { client }));
      assert.equal(answer, "not found", "it may not relay: the client is in no network of ours");
      await untilLogged(
        postfix,
        new RegExp(`NOQUEUE: reject: RCPT from mx${number}\\.client\\.example\\[192\\.0\\.2\\.${number}\\]`),
      );
    }
    assert.equal(await verdictOf(host.verifyRecipient(addressOf("ann"))), "found");
    assert.match(postfix.log, /proto=ESMTP helo=<helo\.client\.example>/);
  });

  test("Postfix logs the client that it is told of by XFORWARD, and goes on judging the gateway", async () => {
    const host = hosts.host("xforward");
    const { recipients } = await host.relay(
      { from: "me@elsewhere.example", to: addressOf("user2") },
      "Subject: forwarded\r\n\r\nhi\r\n",
      { client: CLIENT },
    );
    assert.equal(recipients[0]!.status, "delivered");
    await untilLogged(postfix, /client=localhost\[127\.0\.0\.1\], .*orig_client=mx\.client\.example\[192\.0\.2\.1\]/);
  });

  test("a guesser at a Dovecot with its package's defaults keeps nobody from logging in", {
    timeout: 120_000,
  }, async () => {
    const host = hosts.host("imap");
    // A busy machine is slow without a guesser too.
    const quiet = await loginsOf(host, "198.18.0", 20);
    const stop = new AbortController();
    let guesses = 0;
    const guess = async (): Promise<void> => {
      while (!stop.signal.aborted) {
        const port = 2_000 + (guesses % 60_000);
        const credentials = { username: "user0", secret: `bad${guesses++}` };
        await verdictOf(
          host.authenticate(credentials, { client: { address: "203.0.113.66", port }, signal: stop.signal }),
        );
      }
    };
    const storm = Array.from({ length: 60 }, guess);
    await sleep(1_000);
    const times = await loginsOf(host, "198.51.100", 100);
    stop.abort();
    await Promise.all(storm);
    assert.equal(times.length, 200);
    const limitMs = Math.max(500, 2 * quiet.at(-1)!);
    assert.ok(times[197]! <= limitMs, `99 of 100 within ${limitMs} ms, not ${Math.round(times[197]!)} ms`);
    assert.ok(guesses > 60, "the storm went on");
    assert.match(dovecot.log, /user0.*203\.0\.113\.66/, "Dovecot has counted the guesser, and not the gateway");
  });
});
