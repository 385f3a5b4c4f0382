/** What EHLO and LHLO say where no name is known that servers would take: the address that the connection really comes from. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { createServer as createTlsServer } from "node:tls";
import { pino } from "pino";
import type { HostInput } from "../../src/config/input.js";
import { loadSettings } from "../../src/config/load.js";
import type { Settings } from "../../src/config/settings.js";
import { RemoteHosts } from "../../src/index.js";
import { makeCertificate } from "../../src/testing/index.js";
import { probeHost } from "../../workers/probe/probe.js";
import { systemWorld } from "../../workers/world.js";

/** The names that clients called themselves. */
const names: string[] = [];
const servers: Server[] = [];
let folder = "";

function serve(socket: Socket): void {
  socket.setEncoding("latin1");
  socket.on("error", () => {});
  socket.write("220 host\r\n");
  socket.on("data", (text: string) => {
    for (const line of text.split("\r\n").slice(0, -1)) {
      const name = /^(?:EHLO|LHLO) (.*)$/.exec(line)?.[1];
      if (name !== undefined) {
        names.push(name);
      }
      socket.write(line === "QUIT" ? "221 bye\r\n" : "250 ok\r\n");
    }
  });
}

async function listen(where: string | { host: string; port: number }, isSecure = false): Promise<number> {
  const { key, cert } = await makeCertificate();
  const server = isSecure ? createTlsServer({ key, cert }, serve) : createServer(serve);
  servers.push(server.listen(where));
  await once(server, "listening");
  return Number((server.address() as { port?: number }).port);
}

/** As on a machine whose own name is a single label. */
async function namelessly(host: HostInput): Promise<Settings> {
  const settings = await loadSettings({ remote: { x: { lookup: true, ...host } } });
  const { hostname: _, ...runtime } = settings.runtime;
  return { ...settings, runtime };
}

const PLAIN = { implicit: false, starttls: "disable" } as const;
const ANY = { "allow-invalid-certs": true } as const;

before(async () => {
  folder = await mkdtemp(join(tmpdir(), "relaypost-"));
});
after(async () => {
  for (const server of servers) {
    server.close();
  }
  await rm(folder, { recursive: true });
});

for (const [what, expected, host] of [
  [
    "IPv4",
    "[127.0.0.1]",
    async () => ({ address: "127.0.0.1", port: await listen({ host: "127.0.0.1", port: 0 }), tls: PLAIN }),
  ],
  ["IPv6", "[IPv6:::1]", async () => ({ address: "::1", port: await listen({ host: "::1", port: 0 }), tls: PLAIN })],
  [
    "TLS",
    "[127.0.0.1]",
    async () => ({ address: "127.0.0.1", port: await listen({ host: "127.0.0.1", port: 0 }, true), tls: ANY }),
  ],
  [
    "a unix socket",
    "localhost",
    async () => {
      const path = join(folder, "lmtp");
      await listen(path);
      return { address: `unix:${path}` };
    },
  ],
] as const) {
  test(`a connection by ${what} says ${expected}, and so does a probe`, async () => {
    const settings = await namelessly({ ...(await host()), protocol: "lmtp" });
    names.length = 0;
    await using hosts = await RemoteHosts.start(settings, { logger: pino({ level: "silent" }) });
    assert.equal((await hosts.host("x").verifyRecipient("anna@example.org")).found, true);
    const [report] = await probeHost(settings.hosts.get("x")!, undefined, systemWorld());
    assert.equal(report?.failure, undefined);
    assert.deepEqual(names, [expected, expected]);
  });
}
