/** Bodies of an mbox: how they are quoted (mboxrd), and where they end when their header counts them (mboxcl, mboxcl2). Serves mbox.ts and mbox-lines.ts. */
import type { ByteWindow } from "./byte-window.js";
import { beginsWithFrom, FROM_LINE_OCTETS, firstLine, isFromLine } from "./from-line.js";

const NEWLINE = 0x0a;
const RETURN = 0x0d;
const QUOTE = 0x3e;
/** So far a body is held to see whether its count leads to its end. */
const MOST_AHEAD = 64 * 1024 * 1024;
/** A long body is handed on in pieces of this size. */
const PIECE_OCTETS = 64 * 1024;

/** What a header says of its body. */
export interface BodyCount {
  readonly unit: "octets" | "lines";
  readonly amount: number;
}

/** `Content-Length: 120`, `Lines: 7`. An empty body needs no count. */
export function readBodyCount(line: Buffer): BodyCount | undefined {
  const [, name = "", digits = ""] =
    /^(content-length|lines)[ \t]*:[ \t]*([0-9]{1,15})[ \t]*\r?\n$/i.exec(line.toString("latin1")) ?? [];
  const amount = Number(digits);
  if (amount === 0) {
    return undefined;
  }
  return { unit: name.toLowerCase() === "lines" ? "lines" : "octets", amount };
}

/** `>From `, `>>From ` and so on: mboxrd puts one more `>` before each. */
export function isQuotedFrom(line: Buffer): boolean {
  let at = 0;
  while (line[at] === QUOTE) {
    at++;
  }
  return at > 0 && beginsWithFrom(line.subarray(at));
}

/** Whether the last line of a body is a blank one. */
export function endsInBlankLine(body: Buffer): boolean {
  const text = body.subarray(-3).toString("latin1");
  return text.endsWith("\n\n") || text.endsWith("\n\r\n");
}

/**
 * The body at the front of the window, when its count leads exactly to the end of the mbox, or to the separator of the next message.
 * Headers lie (a converted newline, an edited text, a stranger's field): whatever does not fit is `wrong`.
 */
export async function findCountedBody(window: ByteWindow, count: BodyCount): Promise<Buffer | "wrong" | "too-long"> {
  const end = count.unit === "octets" ? await reach(window, count.amount) : await reachLine(window, count.amount);
  if (typeof end === "string") {
    return end;
  }
  await window.readUntil(end + FROM_LINE_OCTETS + 2);
  const body = window.join().subarray(0, end);
  const rest = window.join().subarray(end);
  if (rest.length === 0) {
    return body;
  }
  if (body.at(-1) !== NEWLINE) {
    return "wrong";
  }
  const blank = rest[0] === NEWLINE ? 1 : rest[0] === RETURN && rest[1] === NEWLINE ? 2 : 0;
  if (blank === rest.length) {
    return body;
  }
  const isFollowed = (blank > 0 || endsInBlankLine(body)) && isFromLine(firstLine(rest.subarray(blank)));
  return isFollowed ? body : "wrong";
}

async function reach(window: ByteWindow, octets: number): Promise<number | "wrong" | "too-long"> {
  await window.readUntil(Math.min(octets, MOST_AHEAD));
  if (window.length >= octets) {
    return octets;
  }
  return window.isLast ? "wrong" : "too-long";
}

/** The end of the line with this number. */
async function reachLine(window: ByteWindow, lines: number): Promise<number | "wrong" | "too-long"> {
  let at = 0;
  let searchFrom = 0;
  for (let left = lines; left > 0; ) {
    const newline = window.join().indexOf(NEWLINE, searchFrom);
    if (newline !== -1) {
      at = newline + 1;
      searchFrom = at;
      left--;
    } else if (window.isLast) {
      return "wrong";
    } else if (window.length >= MOST_AHEAD) {
      return "too-long";
    } else {
      searchFrom = window.length;
      await window.readUntil(Math.min(2 * window.length + 1, MOST_AHEAD));
    }
  }
  return at;
}

/**
 * A counted body in pieces. mboxcl quotes every line that begins with `From ` and counts the quoted body; mboxcl2 quotes none.
 * So where one stands bare, `>From ` is the writer's own text.
 */
export function* piecesOfCounted(body: Buffer): Generator<Buffer> {
  const isBare = beginsWithFrom(body) || body.includes("\nFrom ");
  let start = 0;
  if (!isBare) {
    for (let line = 0; line !== -1; line = nextQuote(body, line)) {
      if (!isQuotedFrom(body.subarray(line, line + FROM_LINE_OCTETS))) {
        continue;
      }
      yield* slices(body.subarray(start, line));
      start = line + 1;
    }
  }
  yield* slices(body.subarray(start));
}

/** The start of the next line that begins with `>`. */
function nextQuote(body: Buffer, from: number): number {
  const newline = body.indexOf("\n>", from);
  return newline === -1 ? -1 : newline + 1;
}

function* slices(bytes: Buffer): Generator<Buffer> {
  for (let at = 0; at < bytes.length; at += PIECE_OCTETS) {
    yield bytes.subarray(at, at + PIECE_OCTETS);
  }
}

/** How many lines end in it. */
export function countLines(body: Buffer): number {
  let lines = 0;
  for (let at = body.indexOf(NEWLINE); at !== -1; at = body.indexOf(NEWLINE, at + 1)) {
    lines++;
  }
  return lines;
}
