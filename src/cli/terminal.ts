/** Where the commands write: results to standard output, remarks to standard error. Serves every command. */
import type { Reply } from "../api.js";

/** Result lines. The reader of a pipe may leave early; the work goes on, and its exit code still counts. */
export class Output {
  private isClosed = false;
  /** Set while a progress bar is drawn: remarks pass above it. */
  aside: ((text: string) => void) | undefined;

  constructor(
    private readonly stream: NodeJS.WriteStream,
    private readonly remarks: NodeJS.WriteStream,
  ) {
    for (const each of [stream, remarks]) {
      each.on("error", (error: NodeJS.ErrnoException) => {
        if (error.code !== "EPIPE" && error.code !== "ERR_STREAM_DESTROYED") {
          throw error;
        }
        if (each === stream) {
          this.isClosed = true;
        }
      });
    }
  }

  /** Whether a person watches standard error, and a progress bar makes sense. */
  get isWatched(): boolean {
    return this.remarks.isTTY === true;
  }

  /** Whether result lines and the progress bar share one screen. */
  get isOnScreen(): boolean {
    return this.stream.isTTY === true;
  }

  /** One line of the result. */
  line(text: string): void {
    if (!this.isClosed) {
      this.stream.write(`${text}\n`);
    }
  }

  /** One value of the result, as one line of JSON. */
  json(value: unknown): void {
    this.line(JSON.stringify(value));
  }

  /** A remark that is no part of the result. */
  remark(text: string): void {
    if (this.aside === undefined) {
      this.remarks.write(`${text}\n`);
    } else {
      this.aside(text);
    }
  }

  /** Resolves when everything written so far has left, or nobody reads it. */
  async flushed(): Promise<void> {
    await Promise.all(
      [this.stream, this.remarks].map(
        (each) => new Promise<void>((resolve) => (each.destroyed ? resolve() : each.write("", () => resolve()))),
      ),
    );
  }
}

/** A peer's text as it may be shown on a terminal: control characters would let the peer write over the screen. */
export function shown(text: string): string {
  return text.replace(/[\u0000-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069]/g, (character) =>
    character === "\n" ? " / " : `\\x${character.charCodeAt(0).toString(16).padStart(2, "0")}`,
  );
}

/** `550 5.1.1 no such user`. */
export function replyAsText(reply: Reply | undefined): string {
  if (reply === undefined) {
    return "";
  }
  return shown([reply.code, reply.enhanced, reply.text].filter((part) => part !== undefined && part !== "").join(" "));
}

/** `NO [AUTHENTICATIONFAILED] wrong password`: IMAP has no numbers on the wire; ours stand for its words. */
export function imapReplyAsText({ code, enhanced, text }: Reply): string {
  const word = code < 300 ? "OK" : code === 501 ? "BAD" : "NO";
  return shown([word, enhanced === undefined ? "" : `[${enhanced}]`, text].filter((part) => part !== "").join(" "));
}

/** Columns side by side, numbers to the right. */
export function table(head: readonly string[], rows: readonly (readonly (string | number)[])[]): string[] {
  const cells = [head, ...rows.map((row) => row.map(String))];
  const widths = head.map((_, column) => Math.max(...cells.map((row) => (row[column] ?? "").length)));
  const isNumber = head.map((_, column) => rows.length > 0 && rows.every((row) => typeof row[column] === "number"));
  return cells.map((row) =>
    row
      .map((cell, column) => (isNumber[column] ? cell.padStart(widths[column] ?? 0) : cell.padEnd(widths[column] ?? 0)))
      .join("  ")
      .trimEnd(),
  );
}
