/** Hosts behind unix sockets, with paths and abstract: every protocol, what is the default there, and what is said when one cannot be reached. */
import assert from "node:assert/strict";
import { fork } from "node:child_process";
import { once } from "node:events";
import { chmod, mkdtemp, rm, writeFile } from "node:fs/promises";
import { connect, createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { pino } from "pino";
import { type ConfigInput, RelaypostError, RemoteHosts } from "../../src/index.js";
import { listenImap, listenMail, makeCertificate, type StrictServer } from "../../src/testing/index.js";

const USERS = { anna: "blue heron" };
const RIGHT = { username: "anna", secret: "blue heron" };
const PROTOCOLS = ["smtp", "lmtp", "imap"] as const;

/** A socket that leads to a port of loopback. */
async function lead(path: string, port: number): Promise<Server> {
  const server = createServer((front) => {
    const back = connect(port, "127.0.0.1");
    for (const [from, to] of [
      [front, back],
      [back, front],
    ] as const) {
      from.pipe(to);
      from.on("error", () => to.destroy());
    }
  });
  server.listen(path);
  await once(server, "listening");
  return server;
}

describe("a host behind a unix socket", () => {
  let folder = "";
  const judges: StrictServer[] = [];
  const fronts: Server[] = [];
  const remote: NonNullable<ConfigInput["remote"]> = {};
  const byId = new Map<string, StrictServer>();
  let hosts: RemoteHosts;

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), "relaypost-"));
    const certificate = await makeCertificate({ kind: "own-ca" });
    await writeFile(join(folder, "ca.pem"), certificate.ca);
    const listen = (protocol: (typeof PROTOCOLS)[number]) =>
      protocol === "imap"
        ? listenImap({ users: USERS, mechanisms: ["PLAIN"] })
        : listenMail({ protocol, users: USERS, recipients: ["anna@example.org"], capabilities: { auth: ["PLAIN"] } });
    for (const protocol of PROTOCOLS) {
      const judge = await listen(protocol);
      judges.push(judge);
      const path = join(folder, protocol);
      const name = `relaypost-test-${process.pid}-${protocol}`;
      fronts.push(await lead(path, judge.port), await lead(`\0${name}`, judge.port));
      const auth = protocol === "imap" ? {} : { auth: { username: "anna", secret: "blue heron" } };
      remote[protocol] = { address: `unix:${path}`, protocol, lookup: true, ...auth };
      remote[`${protocol}-abstract`] = { address: `unix:@${name}`, protocol, lookup: true, ...auth };
      byId.set(protocol, judge).set(`${protocol}-abstract`, judge);
    }
    const secured = await listenMail({ protocol: "lmtp", recipients: ["anna@example.org"], implicitTls: certificate });
    judges.push(secured);
    fronts.push(await lead(join(folder, "lmtps"), secured.port));
    const tls = { implicit: true, ca: join(folder, "ca.pem") };
    remote["lmtp-tls"] = { address: `unix:${join(folder, "lmtps")}`, protocol: "lmtp", lookup: true, tls };
    byId.set("lmtp-tls", secured);
    hosts = await RemoteHosts.open({ remote }, { logger: pino({ level: "silent" }) });
  });
  after(async () => {
    await hosts?.close({ drainMs: 0 });
    for (const front of fronts) {
      front.close();
    }
    await Promise.all(judges.map((judge) => judge.close()));
    await rm(folder, { recursive: true });
  });

  for (const id of ["smtp", "smtp-abstract", "lmtp", "lmtp-abstract", "lmtp-tls"]) {
    test(`takes mail and knows recipients (${id})`, async () => {
      const host = hosts.host(id);
      const result = await host.relay({ from: "", to: "anna@example.org" }, "Subject: x\r\n\r\n");
      assert.equal(result.recipients[0]?.status, "delivered");
      assert.equal((await host.verifyRecipient("anna@example.org")).found, true);
      assert.equal((await host.verifyRecipient("bo@example.org")).found, false);
      assert.ok(byId.get(id)!.ledger.deliveries.length > 0);
    });
  }

  for (const id of ["smtp", "lmtp", "imap", "imap-abstract"]) {
    test(`is shown passwords without TLS (${id})`, async () => {
      assert.equal((await hosts.host(id).authenticate(RIGHT)).found, true);
      assert.equal((await hosts.host(id).authenticate({ ...RIGHT, secret: "no" })).found, false);
    });
  }

  test("keeps passwords back where that is asked for", async () => {
    const careful = { ...remote.imap!, auth: { "allow-plaintext": false } };
    await using others = await RemoteHosts.open({ remote: { careful } }, { logger: pino({ level: "silent" }) });
    await assert.rejects(others.host("careful").authenticate(RIGHT), { code: "MISSING_AUTH" });
  });
});

describe("a unix socket that cannot be reached", () => {
  let folder = "";
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), "relaypost-"));
    await chmod(folder, 0o755);
  });
  after(() => rm(folder, { recursive: true }));

  /** What a lookup through it is told. */
  async function messageOf(
    path: string,
    meanwhile?: (ask: () => Promise<unknown>) => Promise<unknown>,
  ): Promise<string> {
    const remote = { store: { address: `unix:${path}`, protocol: "lmtp", lookup: true } } as const;
    await using hosts = await RemoteHosts.open({ remote }, { logger: pino({ level: "silent" }) });
    const ask = () => hosts.host("store").verifyRecipient("anna@example.org");
    try {
      await (meanwhile === undefined ? ask() : meanwhile(ask));
    } catch (error) {
      assert.ok(error instanceof RelaypostError, String(error));
      assert.equal(error.code, "CONNECT_FAILED");
      assert.equal(error.retryable, true);
      return error.message;
    }
    throw new Error("it was reached");
  }

  test("because it is not there", async () => {
    const path = join(folder, "none");
    assert.match(
      await messageOf(path),
      new RegExp(`^unix:${path} could not be reached: there is no such socket.*ENOENT`),
    );
  });

  test("because nobody listens any more", async () => {
    const path = join(folder, "left");
    const child = fork(new URL("./kit/deaf-listener.js", import.meta.url), [path]);
    await once(child, "message");
    child.kill("SIGKILL");
    await once(child, "exit");
    assert.match(
      await messageOf(path),
      /nobody listens there; the socket was left by a server that has ended \(ECONNREFUSED\)/,
    );
  });

  test("because this user has no right to", async () => {
    const path = join(folder, "closed");
    const server = createServer().listen(path);
    await once(server, "listening");
    await chmod(path, 0o000);
    const asRoot = process.getuid?.() === 0;
    const message = await messageOf(path, async (ask) => {
      // Rights mean nothing to root.
      if (asRoot) {
        process.seteuid?.(65_534);
      }
      try {
        return await ask();
      } finally {
        if (asRoot) {
          process.seteuid?.(0);
        }
      }
    });
    server.close();
    assert.match(message, /this user may not connect to it; that takes the right to write to it.*EACCES/);
  });

  test("because its backlog is full", async () => {
    const path = join(folder, "full");
    const child = fork(new URL("./kit/deaf-listener.js", import.meta.url), [path]);
    await once(child, "message");
    const filling: Socket[] = [];
    for (let isFull = false; !isFull; ) {
      const socket = connect(path);
      filling.push(socket);
      isFull = await new Promise((resolve) => {
        socket.once("connect", () => resolve(false));
        socket.once("error", (error: NodeJS.ErrnoException) => resolve(error.code === "EAGAIN"));
      });
    }
    try {
      assert.match(
        await messageOf(path),
        /its server does not keep up: as many connections wait as its backlog takes \(EAGAIN\)/,
      );
    } finally {
      for (const socket of filling) {
        socket.destroy();
      }
      child.kill("SIGKILL");
      await once(child, "exit");
    }
  });
});
