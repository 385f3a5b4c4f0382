/** Clients in other languages that relay.ts measures beside the library: built once, where their compilers are there. */
import { type SpawnSyncOptionsWithStringEncoding, spawnSync } from "node:child_process";
import { existsSync, mkdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

/** Every one of them; each is a folder of bench/peers. */
const BUILDS = {
  lettre: (sources: string, target: string) =>
    spawnSync("cargo", ["build", "--release", "--locked", "--quiet", "--target-dir", target], options(sources)),
  "go-smtp": (sources: string, target: string) =>
    spawnSync("go", ["build", "-mod=readonly", "-o", join(target, "go-smtp"), "."], options(sources)),
} as const;

export type PeerName = keyof typeof BUILDS;

const PROGRAMS: Readonly<Record<PeerName, string>> = {
  lettre: "release/relaypost-bench-lettre",
  "go-smtp": "go-smtp",
};

/** Where a peer's program is, once {@link buildPeer} made it. */
export function programOf(name: PeerName): string {
  return join(tmpdir(), "relaypost-bench-peers", name, PROGRAMS[name]);
}

/** Builds a peer where that was not done yet. False, with a word on standard error: it cannot be built here. */
export function buildPeer(name: PeerName): boolean {
  const program = programOf(name);
  if (existsSync(program)) {
    return true;
  }
  const target = join(tmpdir(), "relaypost-bench-peers", name);
  mkdirSync(target, { recursive: true });
  const sources = fileURLToPath(new URL(`../../../bench/peers/${name}`, import.meta.url));
  const { status, error, stderr } = BUILDS[name](sources, target);
  if (status === 0 && existsSync(program)) {
    return true;
  }
  const reason = error === undefined ? stderr.trim().split("\n").at(-1) : error.message;
  console.error(`${name} is left out: it could not be built (${reason}).`);
  return false;
}

function options(cwd: string): SpawnSyncOptionsWithStringEncoding {
  return { cwd, encoding: "utf8", stdio: ["ignore", "ignore", "pipe"] };
}
