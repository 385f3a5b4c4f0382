/** Where the commands write: results to standard output, remarks to standard error. Serves every command. */

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

  /** The size of the screen. */
  get columns(): number {
    return this.stream.columns ?? 80;
  }

  get rows(): number {
    return this.stream.rows ?? 24;
  }

  /** Text as it is, for a screen that is drawn. */
  raw(text: string): void {
    if (!this.isClosed) {
      this.stream.write(text);
    }
  }

  /** One line of the result. */
  line(text: string): void {
    if (!this.isClosed) {
      this.stream.write(`${text}\n`);
    }
  }

  /** Several of them. */
  lines(texts: readonly string[]): void {
    for (const text of texts) {
      this.line(text);
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
