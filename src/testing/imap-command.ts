/** Collects an IMAP command with its literals (RFC 9051 4.3) and takes its arguments apart. Serves imap-session.ts. */

/** Octets in, whole commands out. */
export class ImapCommandReader {
  /** Set when a command waits for the octets of a literal: the server must send a continuation request first if it is synchronizing. */
  literal: { readonly sizeOctets: number; readonly isSynchronizing: boolean } | undefined;
  #parts: (string | Buffer)[] = [];

  /** Takes one line (without CRLF). The command's parts when it is complete. */
  line(text: string): (string | Buffer)[] | undefined {
    const match = /\{(\d{1,10})(\+?)\}$/.exec(text);
    this.literal = undefined;
    if (match === null) {
      const parts = [...this.#parts, text];
      this.#parts = [];
      return parts;
    }
    this.#parts.push(text.slice(0, match.index));
    this.literal = { sizeOctets: Number(match[1]), isSynchronizing: match[2] === "" };
    return undefined;
  }

  /** Takes the octets that {@link literal} asked for. */
  octets(bytes: Buffer): void {
    this.#parts.push(Buffer.from(bytes));
    this.literal = undefined;
  }
}

/** A command, taken apart. */
export interface ImapCommand {
  readonly tag: string;
  readonly verb: string;
  readonly args: readonly string[];
  /** As it came, literals in place, for the ledger. */
  readonly text: string;
}

/** Reads a command; a string says what is wrong with it. */
export function parseImapCommand(parts: readonly (string | Buffer)[]): ImapCommand | string {
  const text = parts
    .map((part) => (typeof part === "string" ? part : `{${part.length}}${part.toString("utf8")}`))
    .join("");
  const words: string[] = [];
  // The one command with a list (RFC 2971 3.1): its fields and values are taken for arguments.
  const id = parts.length === 1 ? /^(\S+ ID )\((.*)\)$/i.exec(text) : null;
  for (const part of id === null ? parts : [`${id[1]}${id[2]}`]) {
    if (typeof part !== "string") {
      words.push(part.toString("utf8"));
    } else {
      const fault = splitWords(part, words);
      if (fault !== undefined) {
        return fault;
      }
    }
  }
  const [tag, verb, ...args] = words;
  if (tag === undefined || verb === undefined || !/^[A-Za-z0-9._-]+$/.test(tag)) {
    return `no tag and command in ${text}`;
  }
  return { tag, verb: verb.toUpperCase(), args, text };
}

function splitWords(text: string, words: string[]): string | undefined {
  const pattern = /(?: |^)(?:"((?:[^"\\\0\r\n]|\\["\\])*)"|([^\s"(){%*\\]+))?/gy;
  while (pattern.lastIndex < text.length) {
    const match = pattern.exec(text);
    if (match === null || match[0] === "") {
      return `syntax in ${text}`;
    }
    if (match[1] !== undefined) {
      if (/[^\0-\x7f]/.test(match[1])) {
        return "8-bit octets in a quoted string";
      }
      words.push(match[1].replace(/\\(["\\])/g, "$1"));
    } else if (match[2] !== undefined) {
      words.push(match[2]);
    }
  }
  return undefined;
}
