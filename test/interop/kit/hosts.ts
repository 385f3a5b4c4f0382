/** RemoteHosts before the real servers, and messages that are hard to carry. Serves the interop tests. */
import { writeFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { pino } from "pino";
import { type ConfigInput, RelaypostError, RemoteHosts } from "../../../src/index.js";
import { ScriptedServer } from "../../../src/testing/index.js";

export type HostInput = NonNullable<ConfigInput["remote"]>[string];

/** Writes an authority's certificate where the configuration can name it. */
export function writeAuthority(folder: string, ca: string): string {
  const file = join(folder, "ca.pem");
  writeFileSync(file, ca);
  return file;
}

/** Opens hosts without a log. Answers are cached only where a host says so. */
export function openHosts(remote: Record<string, HostInput>): Promise<RemoteHosts> {
  const uncached = Object.entries(remote).map(([id, host]): [string, HostInput] => [
    id,
    { lookup: true, timeout: "10s", cache: { entries: 0 }, ...host },
  ]);
  const config = { runtime: { hostname: "gateway.example.test", threads: 2 }, remote: Object.fromEntries(uncached) };
  return RemoteHosts.open(config, { logger: pino({ level: "silent" }) });
}

/** `found`, `not found`, or the code of the error. */
export async function verdictOf(request: Promise<{ found: boolean }>): Promise<string> {
  try {
    return (await request).found ? "found" : "not found";
  } catch (error) {
    if (error instanceof RelaypostError) {
      return error.code;
    }
    throw error;
  }
}

/** A way to a server on loopback that counts who passes: `peak` is the most connections at the same time. */
export function countingGate(port: number): Promise<ScriptedServer> {
  return ScriptedServer.listen(async (peer) => {
    const behind = connect(port, "127.0.0.1");
    behind.on("error", () => peer.destroy());
    behind.on("data", (bytes: Buffer) => peer.write(bytes));
    behind.on("end", () => peer.close());
    peer.takeOver((bytes) => behind.write(bytes));
    await peer.ended;
    behind.end();
    peer.close();
  });
}

/** Content that is hard to carry, each with CRLF at its end. */
export const MESSAGES: Readonly<Record<string, Buffer>> = {
  "8-bit text": Buffer.from("Subject: Grüße\r\n\r\nÄÖÜ ß €\r\n", "utf8"),
  "octets that are no UTF-8": Buffer.concat([
    Buffer.from("Subject: latin\r\n\r\n"),
    Buffer.from(Array.from({ length: 128 }, (_, at) => 128 + at)),
    Buffer.from("\r\n"),
  ]),
  "lines that begin with dots": Buffer.from("Subject: dots\r\n\r\n.\r\n..\r\n...\r\n.x\r\nx.\r\n.\r\n"),
  "lines longer than 998 octets": Buffer.from(`Subject: long\r\n\r\n${"x".repeat(5_000)}\r\n.${"y".repeat(3_000)}\r\n`),
  "1 MB": Buffer.concat([
    Buffer.from("Subject: big\r\n\r\n"),
    Buffer.from(Array.from({ length: 13_500 }, (_, at) => `.line ${at} ${"z".repeat(64)}\r\n`).join("")),
  ]),
  "a header and nothing else": Buffer.from("Subject: empty\r\n\r\n"),
};
