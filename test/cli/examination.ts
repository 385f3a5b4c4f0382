/** Runs the doctor on one strict server, and reads what it found. Serves its tests. */
import assert from "node:assert/strict";
import type { StrictServer } from "../../src/testing/index.js";
import { jsonLines, relaypost, type Site } from "./command-line.js";

export interface Found {
  readonly severity: string;
  readonly topic: string;
  readonly message: string;
  readonly put?: string;
}

/** What it says of one host. */
export interface Report {
  readonly code: number | null;
  readonly id: string;
  readonly findings: readonly Found[];
  readonly pace?: { concurrency: number; pipeline: number };
}

/** Keys of `remote.it`, as TOML. */
export type Keys = Readonly<Record<string, string>>;

export const PLAIN = { "tls.implicit": "false", "tls.starttls": '"disable"' };

/** Runs it on one host, of which `keys` are given beside its place. */
export async function examineAt(site: Site, server: StrictServer, keys: Keys, ...words: string[]): Promise<Report> {
  const lines = Object.entries({ address: '"localhost"', port: String(server.port), protocol: '"smtp"', ...keys });
  const text = `[runtime]\nhostname = "gateway.example.net"\n[remote.it]\n${lines.map(([key, value]) => `${key} = ${value}`).join("\n")}\n`;
  const file = await site.write("doctor.toml", text);
  const ran = await relaypost(["doctor", file, "it", "--json", ...words]);
  const [report, ...more] = jsonLines<Omit<Report, "code">>(ran);
  assert.deepEqual(more, [], ran.stdout);
  return { ...report!, code: ran.code };
}

/** The finding whose message fits. */
export function only({ findings }: Report, message: RegExp): Found {
  const found = findings.filter((finding) => message.test(finding.message));
  assert.equal(found.length, 1, `${message}: ${JSON.stringify(findings, undefined, 1)}`);
  return found[0]!;
}

export function errorsOf({ findings }: Report): Found[] {
  return findings.filter(({ severity }) => severity === "error");
}

/** The key and the value that it says to write. */
export function written({ put }: Found): Record<string, string> {
  const [, key, value] = /^([\w.-]+) = (.+)$/.exec(put ?? "")!;
  return { [key!]: value! };
}
