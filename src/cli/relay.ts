/** `relaypost relay`: hands messages of mail-source.ts to one host and reports what became of every recipient. */
import type { Envelope, RecipientResult } from "../api.js";
import { RelaypostError } from "../errors.js";
import type { RemoteHost } from "../remote-hosts.js";
import { replyAsText, shown } from "../serve/wording.js";
import type { CommandContext } from "./command.js";
import { EXIT, type ExitCode, errorAsJson, errorAsText, isMisuse } from "./exit-codes.js";
import { withHost } from "./hosts.js";
import { type MailSource, openMailSource, type SourceMessage } from "./mail-source.js";
import type { Letter } from "./message-start.js";
import { showProgress } from "./progress.js";
import type { Output } from "./terminal.js";

/** Options of `relaypost relay`. */
export interface RelayOptions {
  from: string;
  to: string[];
  json?: boolean;
  smtputf8?: boolean;
  requireTls?: boolean;
  /** Of each message, in milliseconds. */
  timeout?: number;
}

/** What came of it all. */
export class Tally {
  messages = 0;
  /** Relays that were rejected: delivered to nobody. */
  failed = 0;
  failedForGood = 0;
  /** Files and messages of an mbox that hold no message. */
  skipped = 0;
  readonly recipients: Record<RecipientResult["status"], number> = {
    delivered: 0,
    refused: 0,
    deferred: 0,
    uncertain: 0,
  };

  /** Whether anything came of any message. */
  get hasVerdicts(): boolean {
    return this.failed > 0 || Object.values(this.recipients).some((count) => count > 0);
  }

  /** What can be mended by another try counts for more than what cannot. */
  get exitCode(): ExitCode {
    if (this.messages === 0) {
      return EXIT.misuse;
    }
    const { refused, deferred, uncertain } = this.recipients;
    if (deferred > 0 || uncertain > 0 || this.failed > this.failedForGood) {
      return EXIT.temporary;
    }
    return refused > 0 || this.failed > 0 ? EXIT.no : EXIT.yes;
  }
}

/** Relays everything in `paths`. */
export async function relay(
  context: CommandContext,
  file: string,
  id: string,
  paths: readonly string[],
  options: RelayOptions,
): Promise<ExitCode> {
  return withHost(context, file, id, async (host, { concurrency }) => {
    const source = await openMailSource(paths, process.stdin);
    return new RelayRun(context, host, options, source).all(concurrency);
  });
}

/** One run over a source. */
class RelayRun {
  private readonly tally = new Tally();
  private readonly startMs = performance.now();
  private readonly report: Output;
  private readonly progress: ReturnType<typeof showProgress>;
  /** An error that every further message would meet too. */
  private stop: unknown;

  constructor(
    private readonly context: CommandContext,
    private readonly host: RemoteHost,
    private readonly options: RelayOptions,
    private readonly source: MailSource,
  ) {
    this.report = context.output;
    this.progress = showProgress(context.output, options.json ? undefined : "relaying", source.total);
  }

  /** Keeps `concurrency` messages under way, so that no more contents than that are held. */
  async all(concurrency: number): Promise<ExitCode> {
    const underWay = new Set<Promise<void>>();
    try {
      for await (const message of this.source.messages()) {
        if (this.context.signal.aborted || this.stop !== undefined) {
          break;
        }
        const one: Promise<void> = this.one(message).finally(() => underWay.delete(one));
        underWay.add(one);
        if (message.isStreamed) {
          await one;
        } else if (underWay.size >= concurrency) {
          await Promise.race(underWay);
        }
      }
    } catch (error) {
      this.stop ??= error;
    } finally {
      await Promise.all(underWay);
      this.progress.stop();
    }
    if (this.stop === undefined || this.tally.hasVerdicts) {
      this.summarise();
    }
    if (this.stop !== undefined) {
      throw this.stop;
    }
    return this.tally.exitCode;
  }

  private async one(message: SourceMessage): Promise<void> {
    const { from, to, smtputf8, requireTls, timeout } = this.options;
    const envelope: Envelope = { from, to, ...(smtputf8 && { smtputf8 }), ...(requireTls && { requireTls }) };
    const { signal } = this.context;
    const startMs = performance.now();
    let letter: Letter | undefined;
    this.tally.messages++;
    try {
      const opened = await message.open();
      if ("skipped" in opened) {
        return this.skipped(message, opened.skipped);
      }
      letter = opened;
      const result = await this.host.relay(envelope, letter.content, {
        signal,
        ...(timeout !== undefined && { timeoutMs: timeout }),
      });
      for (const { status } of result.recipients) {
        this.tally.recipients[status]++;
      }
      const ms = Math.round(performance.now() - startMs);
      this.say({ message: message.name, ...result, ...notesOf(letter), ms }, () => [
        ...letter!.notes.map((note) => `note       ${message.name}  ${note}`),
        ...result.recipients.filter(({ status }) => status !== "delivered").map((each) => outcome(message.name, each)),
      ]);
    } catch (error) {
      if (isMisuse(error)) {
        this.stop = error;
      } else {
        this.failed(message, error);
      }
    } finally {
      await letter?.close();
      this.progress.advance();
    }
  }

  private skipped({ name, count }: SourceMessage, reason: string): void {
    this.tally.messages--;
    this.tally.skipped += count;
    this.say({ message: name, skipped: reason }, () => [`skipped    ${name}  ${shown(reason)}`]);
  }

  private failed(message: SourceMessage, error: unknown): void {
    this.tally.failed++;
    if (
      error instanceof RelaypostError &&
      !error.retryable &&
      error.code !== "ABORTED" &&
      error.code !== "CONTENT_FAILED"
    ) {
      this.tally.failedForGood++;
    }
    this.say({ message: message.name, error: errorAsJson(error) }, () => [
      `failed     ${message.name}  ${shown(errorAsText(error))}`,
    ]);
  }

  private say(json: unknown, lines: () => string[]): void {
    if (this.options.json) {
      this.report.json(json);
    } else {
      for (const line of lines()) {
        this.progress.line(line);
      }
    }
  }

  private summarise(): void {
    const { messages, failed, recipients, skipped } = this.tally;
    const seconds = (performance.now() - this.startMs) / 1000;
    if (this.options.json) {
      this.report.json({ summary: { messages, failed, skipped, recipients, ms: Math.round(seconds * 1000) } });
      return;
    }
    const byStatus = Object.entries(recipients).map(([status, count]) => `${count} ${status}`);
    this.report.line(
      `${messages === 1 ? "1 message" : `${messages} messages`} in ${seconds.toFixed(1)} s; recipients: ${byStatus.join(", ")}; messages without a verdict: ${failed}${skipped > 0 ? `; skipped: ${skipped}` : ""}`,
    );
  }
}

/** For JSON: only where there is one. */
function notesOf({ notes }: Letter): { notes?: readonly string[] } {
  return notes.length > 0 ? { notes } : {};
}

function outcome(name: string, { address, status, reply }: RecipientResult): string {
  const silence =
    status === "uncertain" ? "no reply came; it may have been delivered" : "not sent; another try may help";
  return `${status.padEnd(9)}  ${shown(address)}  ${name}  ${replyAsText(reply) || silence}`;
}
