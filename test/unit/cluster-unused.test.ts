/** A gateway without a `[cluster]` does not load Redis' client. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { test } from "node:test";
import { promisify } from "node:util";

const LIBRARY = new URL("../../src/index.js", import.meta.url).href;

/** Opens a host, and prints how many modules of the client were loaded for it. */
const PROGRAM = `
import { createRequire } from "node:module";
const { cluster, host } = JSON.parse(process.argv[1]);
const { RemoteHosts } = await import(${JSON.stringify(LIBRARY)});
const address = { address: "127.0.0.1", port: 24, protocol: "lmtp" };
const remotes = await RemoteHosts.open({ cluster, remote: { a: { ...address, ...host } } });
await remotes.close();
const { cache } = createRequire(${JSON.stringify(LIBRARY)});
console.log(Object.keys(cache).filter((name) => name.includes("@redis")).length);
process.exit();
`;

async function loaded(config: object): Promise<number> {
  const args = ["--input-type=module", "--eval", PROGRAM, JSON.stringify(config)];
  return Number((await promisify(execFile)(process.execPath, args)).stdout);
}

test("Redis' client is loaded for a cluster, and for nothing else", async () => {
  assert.equal(await loaded({ host: {} }), 0);
  assert.ok((await loaded({ host: { cluster: { concurrency: 1 } }, cluster: { url: "redis://127.0.0.1:1" } })) > 0);
});
