/** What contenders talk to: a sink, and when a round trip is asked for, a delay proxy before it. */
import { makeCertificate } from "./certificate.js";
import { Child } from "./child.js";
import type { DelayProxyOptions } from "./delay-proxy-process.js";
import type { SinkOptions } from "./sink-process.js";
import { hasPostfixTools, SmtpSink } from "./smtp-sink.js";

/** Which sink. */
export interface NetworkOptions {
  readonly protocol: SinkOptions["protocol"];
  readonly isTls?: boolean;
  /** Default 0: no proxy. */
  readonly roundTripMs?: number;
  /** Postfix's smtp-sink where it can do the work and is installed; otherwise our own. Default `false`. */
  readonly isSmtpSink?: boolean;
}

/** A sink and perhaps a proxy, each a process of its own. */
export class Network implements AsyncDisposable {
  private constructor(
    /** Where contenders connect. */
    readonly port: number,
    /** For the table: which sink it is. */
    readonly sink: "smtp-sink" | "own sink",
    private readonly parts: readonly AsyncDisposable[],
  ) {}

  static async start(options: NetworkOptions): Promise<Network> {
    const { protocol, isTls = false, roundTripMs = 0, isSmtpSink = false } = options;
    const parts: AsyncDisposable[] = [];
    try {
      let port: number;
      const usesSmtpSink = isSmtpSink && !isTls && protocol !== "imap" && hasPostfixTools();
      if (usesSmtpSink) {
        const sink = await SmtpSink.start(protocol);
        parts.push(sink);
        port = sink.port;
      } else {
        const sink = Child.start("sink");
        parts.push(sink);
        port = await sink.ask<number>({
          protocol,
          ...(isTls && { certificate: await makeCertificate() }),
        } satisfies SinkOptions);
      }
      if (roundTripMs > 0) {
        const proxy = Child.start("delay-proxy");
        parts.push(proxy);
        port = await proxy.ask<number>({ port, roundTripMs } satisfies DelayProxyOptions);
      }
      return new Network(port, usesSmtpSink ? "smtp-sink" : "own sink", parts);
    } catch (error) {
      for (const part of parts) {
        await part[Symbol.asyncDispose]();
      }
      throw error;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const part of this.parts.toReversed()) {
      await part[Symbol.asyncDispose]();
    }
  }
}
