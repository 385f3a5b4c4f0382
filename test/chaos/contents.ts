/**
 * The messages of a run, by number: the driver sends them, the servers know what has to arrive. A message's number and its
 * content's stand in its reverse-path, so that the ledger needs nothing else.
 */
import { createHash } from "node:crypto";

const COUNT = 24;
const LINES = [
  "Subject: chaos",
  "",
  ".",
  "..",
  ".dot first",
  "an ordinary line",
  "ends in a dot.",
  "\t",
  "ünïcödé",
  "x".repeat(900),
];

/** A content as the gateway hands it in, and the digest of what has to stand in the mailbox. */
export interface KnownContent {
  readonly octets: Buffer;
  readonly digest: string;
}

/** All of them: every kind of newline, dots everywhere, some larger than a batch takes inline. */
export const CONTENTS: readonly KnownContent[] = Array.from({ length: COUNT }, (_, number) => {
  const newline = ["\r\n", "\n", "\r\n", "\r"][number % 4]!;
  const copies = number === COUNT - 1 ? 500 : number % 8 === 7 ? 80 : 1 + number;
  const text = Array.from({ length: copies }, (_, copy) => [`line ${number}.${copy}`, ...LINES].join(newline)).join(
    newline,
  );
  const handedIn = number % 3 === 0 ? text : text + newline;
  // What RFC 5321 2.3.8 wants, in the plainest words that say it.
  const lines = handedIn.split(/\r\n|\r|\n/);
  if (lines.at(-1) === "") {
    lines.pop();
  }
  const arrived = lines.map((line) => `${line}\r\n`).join("");
  return { octets: Buffer.from(handedIn), digest: createHash("sha256").update(arrived).digest("hex") };
});

/** The reverse-path of request `id` with content `number`. */
export function reversePath(id: number, number: number): string {
  return `m${id}.c${number}@chaos.example`;
}

/** The request and the content that a reverse-path names. */
export function readReversePath(address: string): { id: number; content: number } | undefined {
  const match = /^m(\d+)\.c(\d+)@/.exec(address);
  return match === null ? undefined : { id: Number(match[1]), content: Number(match[2]) };
}

/** Recipient `index` of request `id`. */
export function forwardPath(id: number, index: number): string {
  return `r${index}.${id}@chaos.example`;
}

/** Which recipient of its request a forward-path is. */
export function readForwardPath(address: string): number {
  return Number(/^r(\d)\./.exec(address)?.[1] ?? -1);
}
