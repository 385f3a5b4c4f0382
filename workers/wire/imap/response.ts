/**
 * Reads an IMAP server's bytes (RFC 9051 7) as far as a client that only logs in needs them: greeting, status responses with their
 * codes, capabilities and continuation requests. Everything else is recognised and skipped, literals included, without being
 * kept. session.ts pushes bytes in and pulls responses out one by one, so that nothing is read past the one that changes its state.
 *
 * Bounded: a line, a response and the number of responses to one command have limits, checked before anything is stored. Nothing
 * recurses: nesting is only text to be skipped.
 */
import { MAX_CHALLENGE_OCTETS } from "../sasl/exchange.js";

/** Conditions of a status response (RFC 9051 7.1). */
export type ImapCondition = "OK" | "NO" | "BAD" | "BYE" | "PREAUTH";

/** What came. */
export type ImapResponse =
  | {
      readonly kind: "status";
      /** null: untagged. */
      readonly tag: string | null;
      readonly condition: ImapCondition;
      /** Response code in upper case, such as `AUTHENTICATIONFAILED`; null where there is none. */
      readonly code: string | null;
      /** What stands behind the code's name in the brackets. */
      readonly codeText: string;
      readonly text: string;
    }
  | { readonly kind: "capability"; readonly names: readonly string[] }
  /** The text behind `+ `: base64 while a SASL exchange runs. */
  | { readonly kind: "continuation"; readonly text: string }
  /** Some other untagged response: of no concern here. */
  | { readonly kind: "other" }
  /** Not IMAP, or past a limit. Nothing follows. */
  | { readonly kind: "malformed"; readonly reason: string };

/** Most octets of a line, its CRLF not counted. */
export const MAX_LINE_OCTETS = 4096;
/** The same for a continuation request: `+ ` and a SASL challenge. */
const MAX_CONTINUATION_OCTETS = MAX_CHALLENGE_OCTETS + 2;
/** Most octets and lines in answer to one command, literals included. */
const MAX_REPLY_OCTETS = 65_536;
const MAX_REPLY_LINES = 1000;

const LF = 10;
const CR = 13;
const SPACE = 32;
const PLUS = 43;
const OPEN_BRACE = 123;
const CLOSE_BRACE = 125;
const NO_BYTES = Buffer.alloc(0);

/** Incremental: responses do not depend on where the network cut the bytes. */
export class ImapResponseParser {
  /** What was pushed and not read yet, from `offset` on. Only valid until next() answers null. */
  private chunk: Uint8Array = NO_BYTES;
  private offset = 0;
  /** The beginning of a line whose end has not come; its first `partialOctets` count. */
  private partial = NO_BYTES;
  private partialOctets = 0;
  /** Octets of a literal still to be skipped. */
  private literalLeft = 0;
  /** `in-response`: the response goes on after a literal. */
  private state: "between" | "in-response" | "broken" = "between";
  private replyOctets = 0;
  private replyLines = 0;

  /** Hands bytes over. Pull with {@link next} until it answers null, within the same call that lent the bytes. */
  push(bytes: Uint8Array): void {
    this.chunk = bytes;
    this.offset = 0;
  }

  /** A new command is on its way: the limits of a reply start again. */
  startReply(): void {
    this.replyOctets = 0;
    this.replyLines = 0;
  }

  /** Whether anything was received behind the last response, be it part of a line. */
  get hasUnread(): boolean {
    return this.offset < this.chunk.length || this.partialOctets > 0 || this.state === "in-response";
  }

  /** The next response, or null when more bytes are needed. */
  next(): ImapResponse | null {
    while (this.state !== "broken") {
      if (this.literalLeft > 0) {
        const skipped = Math.min(this.literalLeft, this.chunk.length - this.offset);
        this.literalLeft -= skipped;
        this.offset += skipped;
        if (this.literalLeft > 0) {
          return this.drop();
        }
      }
      const end = this.chunk.indexOf(LF, this.offset);
      if (end === -1) {
        return this.keepPartial();
      }
      const line = this.takeLine(end);
      if (line === null) {
        return this.fail("a line or a reply is too long");
      }
      if (line.length === 0 || line[line.length - 1] !== CR) {
        return this.fail("a line does not end with CRLF");
      }
      const response = this.readLine(line.subarray(0, -1));
      if (response !== null) {
        return response;
      }
    }
    return this.drop();
  }

  /** The line that ends at `end`, without its LF; null where that is past a limit. */
  private takeLine(end: number): Buffer | null {
    const octets = this.partialOctets + end - this.offset;
    this.replyOctets += octets + 1;
    this.replyLines++;
    if (octets > this.lineLimit + 1) {
      return null;
    }
    if (this.replyOctets > MAX_REPLY_OCTETS || this.replyLines > MAX_REPLY_LINES) {
      return null;
    }
    const { buffer, byteOffset } = this.chunk;
    let line = Buffer.from(buffer, byteOffset + this.offset, end - this.offset);
    if (this.partialOctets > 0) {
      line = Buffer.concat([this.partial.subarray(0, this.partialOctets), line], octets);
      this.partialOctets = 0;
    }
    this.offset = end + 1;
    return line;
  }

  /** Most octets of the line at hand, by its first octet. */
  private get lineLimit(): number {
    const first = this.partialOctets > 0 ? this.partial[0] : this.chunk[this.offset];
    return first === PLUS ? MAX_CONTINUATION_OCTETS : MAX_LINE_OCTETS;
  }

  /** Keeps the beginning of a line until its end comes. */
  private keepPartial(): ImapResponse | null {
    const octets = this.chunk.length - this.offset;
    const needed = this.partialOctets + octets;
    if (needed > this.lineLimit + 1) {
      return this.fail("a line or a reply is too long");
    }
    if (needed > this.partial.length) {
      const grown = Buffer.allocUnsafe(Math.max(256, needed, 2 * this.partial.length));
      this.partial.copy(grown, 0, 0, this.partialOctets);
      this.partial = grown;
    }
    this.partial.set(this.chunk.subarray(this.offset), this.partialOctets);
    this.partialOctets = needed;
    return this.drop();
  }

  /** null where the line did not end a response. */
  private readLine(line: Buffer): ImapResponse | null {
    if (line.includes(0) || line.includes(CR)) {
      return this.fail("a line holds NUL or a bare CR");
    }
    if (this.state === "in-response") {
      return this.skipResponse(line);
    }
    if (line[0] === PLUS) {
      return this.readContinuation(line);
    }
    const space = line.indexOf(SPACE);
    const tag = line.toString("latin1", 0, space === -1 ? line.length : space);
    if (space === -1 || !isTag(tag)) {
      return this.fail("a line is no IMAP response");
    }
    const wordEnd = line.indexOf(SPACE, space + 1);
    const word = line.toString("latin1", space + 1, wordEnd === -1 ? line.length : wordEnd).toUpperCase();
    const rest = wordEnd === -1 ? NO_BYTES : line.subarray(wordEnd + 1);
    if (isCondition(word) && (tag === "*" || (word !== "BYE" && word !== "PREAUTH"))) {
      return this.readStatus(tag === "*" ? null : tag, word, rest);
    }
    if (tag !== "*") {
      return this.fail("a tagged response is neither OK, NO nor BAD");
    }
    if (word === "CAPABILITY") {
      return { kind: "capability", names: splitCapabilities(rest.toString("latin1")) };
    }
    if (word === "") {
      return this.fail("an untagged response is empty");
    }
    return this.skipResponse(line);
  }

  private readContinuation(line: Buffer): ImapResponse {
    if (line.length === 1) {
      return { kind: "continuation", text: "" };
    }
    if (line[1] !== SPACE) {
      return this.fail("a continuation request is malformed");
    }
    return { kind: "continuation", text: line.toString("latin1", 2) };
  }

  /** `[CODE text] text` (RFC 9051 9, resp-text). An unfinished code is an error: without it a NO would mean something else. */
  private readStatus(tag: string | null, condition: ImapCondition, rest: Buffer): ImapResponse {
    const text = rest.toString();
    if (!text.startsWith("[")) {
      return { kind: "status", tag, condition, code: null, codeText: "", text: printable(text) };
    }
    const close = text.indexOf("]");
    if (close === -1) {
      return this.fail("a response code does not end");
    }
    const inside = text.slice(1, close);
    const space = inside.indexOf(" ");
    const code = (space === -1 ? inside : inside.slice(0, space)).toUpperCase();
    if (!isAtom(code)) {
      return this.fail("a response code is malformed");
    }
    const codeText = space === -1 ? "" : inside.slice(space + 1);
    return { kind: "status", tag, condition, code, codeText, text: printable(text.slice(close + 1).trimStart()) };
  }

  /** One line of a response that is skipped: the end of it, unless a literal follows. */
  private skipResponse(line: Buffer): ImapResponse | null {
    const octets = literalOctets(line);
    if (octets === null) {
      this.state = "between";
      return { kind: "other" };
    }
    this.replyOctets += octets;
    if (this.replyOctets > MAX_REPLY_OCTETS) {
      return this.fail("a literal is too long");
    }
    this.literalLeft = octets;
    this.state = "in-response";
    return null;
  }

  private fail(reason: string): ImapResponse {
    this.state = "broken";
    this.drop();
    this.partial = NO_BYTES;
    this.partialOctets = 0;
    return { kind: "malformed", reason };
  }

  /** The chunk is its owner's again. */
  private drop(): null {
    this.chunk = NO_BYTES;
    this.offset = 0;
    return null;
  }
}

/** The names of a capability list, in upper case. */
export function splitCapabilities(list: string): string[] {
  return list
    .toUpperCase()
    .split(" ")
    .filter((name) => name !== "");
}

/** The length of the literal that a line announces at its end: `{n}`, `{n+}` (RFC 7888) or `~{n}` (RFC 3516); null for none. */
function literalOctets(line: Buffer): number | null {
  if (line[line.length - 1] !== CLOSE_BRACE) {
    return null;
  }
  const start = line.lastIndexOf(OPEN_BRACE) + 1;
  const end = line[line.length - 2] === PLUS ? line.length - 2 : line.length - 1;
  const digits = start === 0 ? "" : line.toString("latin1", start, end);
  return /^[0-9]+$/.test(digits) ? Number(digits) : null;
}

function isCondition(word: string): word is ImapCondition {
  return word === "OK" || word === "NO" || word === "BAD" || word === "BYE" || word === "PREAUTH";
}

/** Visible ASCII without what has a meaning of its own (RFC 9051 9, tag; `*` is the untagged one's mark). */
function isTag(text: string): boolean {
  return text === "*" || isAtom(text);
}

function isAtom(text: string): boolean {
  return /^[\x21\x23-\x24\x26-\x27\x2b-\x5a\x5e-\x7a\x7c-\x7e]+$/.test(text);
}

/** Text goes to logs and terminals: control characters, which IMAP allows, do not. */
function printable(text: string): string {
  return text.replace(/[\x00-\x08\x0a-\x1f\x7f-\x9f]/g, "?");
}
