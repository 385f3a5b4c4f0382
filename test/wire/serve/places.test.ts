/** Places to listen on: what stands in the way is said as such, and the examples start where nothing was prepared for them. */
import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { pino } from "pino";
import { bind } from "../../../src/serve/bind.js";
import { Daemon } from "../../../src/serve/daemon.js";
import type { ListenAddress } from "../../../src/serve/listen-address.js";
import { loadFile } from "../../../src/serve/load.js";

const EXAMPLES = fileURLToPath(new URL("../../../../examples/", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "relaypost-places-"));
after(() => rmSync(folder, { recursive: true }));

/** Why nothing can be listened on there. */
async function reasonAt(address: ListenAddress): Promise<string> {
  const server = createServer();
  try {
    await bind(server, address, 0o660);
  } catch (error) {
    return (error as Error).message;
  } finally {
    server.close();
  }
  return "none";
}

describe("a place to listen on", () => {
  const unix = (path: string): ListenAddress => ({ kind: "unix", path });

  it("is told from a directory that is missing, which the system calls a lack of permission", async () => {
    const path = join(folder, "missing", "maps");
    assert.equal(
      await reasonAt(unix(path)),
      `cannot listen on unix:${path}: the directory ${folder}/missing does not exist: make it first, for the user who runs this`,
    );
  });

  it("is told from a directory that is none", async () => {
    writeFileSync(join(folder, "file"), "");
    assert.match(await reasonAt(unix(join(folder, "file", "maps"))), /\/file is no directory$/);
  });

  it("is told from a port that somebody has", async () => {
    const other = createServer();
    const address = await bind(other, { kind: "tcp", host: "127.0.0.1", port: 0 }, 0o660);
    assert.match(
      await reasonAt(address),
      /EADDRINUSE.*: another process, or another listener of this one, has the port$/,
    );
    other.close();
  });

  it("is told from an address of another machine", async () => {
    const address: ListenAddress = { kind: "tcp", host: "192.0.2.1", port: 0 };
    assert.match(await reasonAt(address), /EADDRNOTAVAIL.*: no interface of this machine has the address$/);
  });
});

describe("the examples of the daemon", () => {
  it("listen on loopback without preparation, and start", async () => {
    const example = join(EXAMPLES, "serve.toml");
    const { serve } = await loadFile(example);
    const places = [...serve.listeners.values()].map(({ listen }) => listen);
    assert.ok(places.every((place) => place.kind === "tcp" && place.host === "127.0.0.1" && place.port >= 1024));
    // The same on free ports: those of the example may be taken here.
    const file = join(folder, "serve.toml");
    writeFileSync(file, readFileSync(example, "utf8").replace(/127\.0\.0\.1:\d+"$/gm, '127.0.0.1:0"'));
    await using daemon = await Daemon.start(file, pino({ level: "silent" }));
    for (const name of serve.listeners.keys()) {
      assert.equal(daemon.addressOf(name)?.kind, "tcp");
    }
  });

  it("load where systemd has made the directory of the sockets", async () => {
    const { serve } = await loadFile(join(EXAMPLES, "systemd", "serve.toml"));
    assert.match(readFileSync(join(EXAMPLES, "systemd", "relaypost.service"), "utf8"), /^RuntimeDirectory=relaypost$/m);
    const sockets = [...serve.listeners.values()].flatMap(({ listen }) =>
      listen.kind === "unix" ? [listen.path] : [],
    );
    assert.deepEqual(
      sockets,
      ["maps", "policy", "sasl", "lmtp"].map((name) => `/run/relaypost/${name}`),
    );
  });
});
