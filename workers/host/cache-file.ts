/**
 * How a host's answers stand in its cache file (`remote.<id>.cache.file`): lines of JSON. The first line says what the file is and for
 * which settings, each of the next holds one answer, the last one counts them and holds a digest of all that stands before it.
 * Written and read by cache-keeper.ts. What is not wholly right is not used: an answer from a torn file could be half an answer.
 */
import { createHash, type Hash } from "node:crypto";
import type { Answer } from "../../src/messages/contract.js";

/** Raised when a line comes to mean something else. */
const VERSION = 1;
const FORMAT = "relaypost cache";

/** One answer as it stands in a file. */
export interface FiledAnswer {
  readonly key: string;
  readonly answer: Answer;
  /** When the peer gave it: Unix time in milliseconds, since no other clock outlives a restart. */
  readonly storedUnixMs: number;
}

/** Makes the lines of a file. */
export class CacheFileWriter {
  private readonly digest = createHash("sha256");
  private count = 0;

  /**
   * @param hostId the `<id>` of `remote.<id>`
   * @param settings a digest of the settings that give the answers their meaning
   */
  header(hostId: string, settings: string): string {
    return this.line({ format: FORMAT, version: VERSION, host: hostId, settings });
  }

  answer({ key, answer, storedUnixMs }: FiledAnswer): string {
    this.count++;
    const { found, values, reply } = answer;
    const { code, enhanced = null, text } = reply;
    return this.line([key, storedUnixMs, found, code, enhanced, text, ...values]);
  }

  footer(): string {
    return `${JSON.stringify({ answers: this.count, sha256: this.digest.digest("hex") })}\n`;
  }

  private line(value: unknown): string {
    const line = `${JSON.stringify(value)}\n`;
    this.digest.update(line);
    return line;
  }
}

/** Reads the lines of a file in their order. */
export class CacheFileReader {
  private readonly digest: Hash = createHash("sha256");
  private readonly found: FiledAnswer[] = [];
  private state: "header" | "answers" | "whole" = "header";

  /** @param most answers; a file that holds more is not ours, or not whole */
  constructor(
    private readonly hostId: string,
    private readonly settings: string,
    private readonly most: number,
  ) {}

  /**
   * Takes one line without its newline.
   *
   * @returns why the file cannot be used, once that shows
   */
  line(line: string): string | undefined {
    let value: unknown;
    try {
      value = JSON.parse(line);
    } catch {
      return "it holds a line that is no JSON";
    }
    if (this.state === "whole") {
      return "something stands behind its end";
    }
    if (this.state === "answers" && !Array.isArray(value)) {
      return this.footer(value);
    }
    this.digest.update(`${line}\n`);
    return this.state === "header" ? this.header(value) : this.answer(value as unknown[]);
  }

  /** The answers, once all lines were taken; `undefined` when the end is missing. */
  get answers(): readonly FiledAnswer[] | undefined {
    return this.state === "whole" ? this.found : undefined;
  }

  private header(value: unknown): string | undefined {
    const { format, version, host, settings } = (value ?? {}) as Record<string, unknown>;
    if (format !== FORMAT) {
      return "it is no cache of relaypost";
    }
    if (version !== VERSION) {
      return `it has version ${JSON.stringify(version)}, and this relaypost reads version ${VERSION}`;
    }
    if (host !== this.hostId) {
      return `it belongs to remote.${String(host)}`;
    }
    if (settings !== this.settings) {
      return "the settings that give its answers their meaning have changed";
    }
    this.state = "answers";
    return undefined;
  }

  private answer(value: readonly unknown[]): string | undefined {
    const [key, storedUnixMs, found, code, enhanced, text, ...values] = value;
    const isSound =
      typeof key === "string" &&
      typeof storedUnixMs === "number" &&
      typeof found === "boolean" &&
      Number.isInteger(code) &&
      (enhanced === null || typeof enhanced === "string") &&
      typeof text === "string" &&
      values.every((each) => typeof each === "string");
    if (!isSound) {
      return "it holds a line that is no answer";
    }
    if (this.found.length >= this.most) {
      return `it holds more than ${this.most} answers`;
    }
    const reply = enhanced === null ? { code: code as number, text } : { code: code as number, enhanced, text };
    this.found.push({ key, storedUnixMs, answer: { found, values: values as string[], reply } });
    return undefined;
  }

  private footer(value: unknown): string | undefined {
    const { answers, sha256 } = (value ?? {}) as Record<string, unknown>;
    if (answers !== this.found.length || sha256 !== this.digest.digest("hex")) {
      return "its digest does not fit: it is torn, or was changed";
    }
    this.state = "whole";
    return undefined;
  }
}
