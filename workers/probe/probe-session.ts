/**
 * A session that only looks: greeting, extensions, STARTTLS, extensions again, and a polite end (sans-IO, like those of smtp/ and imap/).
 * probe.ts runs it on a real connection.
 */
import type { Protocol } from "../../src/api.js";
import { type Failure, isFailure } from "../../src/errors.js";
import { ImapResponseParser, splitCapabilities } from "../wire/imap/response.js";
import type { Session, Wire } from "../wire/session.js";
import { greetingName } from "../wire/smtp/greeting-name.js";
import { ReplyParser } from "../wire/smtp/reply.js";

/** What was seen, as far as the dialogue came. */
export interface Sight {
  /** The greeting's text. */
  greeting?: string;
  /** EHLO lines or capabilities before TLS, where STARTTLS was used. */
  extensionsBeforeTls?: readonly string[];
  /** What is on offer in the state in which work would begin. */
  extensions?: readonly string[];
}

/** The moments that the prober takes the time of. */
export type Moment = "connected" | "greeted" | "securing" | "secured" | "helloSent" | "helloAnswered";

/** What a prober gives and hears. */
export interface Prober {
  readonly startTls: "require" | "optional" | "disable";
  /** Said in EHLO; `undefined`: none is known, and the connection's own address is said. */
  readonly hostname: string | undefined;
  readonly replyWithinMs: number;
  moment(moment: Moment): void;
  /** The connection is gone; without a failure the dialogue came to its end. */
  ended(failure: Failure | undefined): void;
}

/** One complete answer to what was said last. */
interface ProbeAnswer {
  readonly isPositive: boolean;
  readonly text: string;
  readonly extensions: readonly string[];
}

/** How a protocol says hello. */
interface Dialect {
  hello(): string;
  readonly startTls: string;
  readonly bye: string;
  read(bytes: Uint8Array): ProbeAnswer[] | Failure;
}

type State = "greeting" | "hello" | "starttls" | "handshake" | "bye";

/** One look at one host. */
export class ProbeSession implements Session {
  readonly sight: Sight = {};
  private state: State = "greeting";
  private isSecure = false;
  private failure: Failure | undefined;
  private readonly dialect: Dialect;

  constructor(
    private readonly wire: Wire,
    protocol: Protocol,
    private readonly prober: Prober,
  ) {
    const name = () => greetingName(prober.hostname, wire.localAddress);
    this.dialect = DIALECTS[protocol](name);
  }

  connected(isSecure: boolean): void {
    this.isSecure = isSecure;
    this.prober.moment("connected");
    this.wire.expectWithin(this.prober.replyWithinMs);
  }

  received(bytes: Uint8Array): void {
    const answers = this.dialect.read(bytes);
    if (isFailure(answers)) {
      this.fail(answers);
    } else {
      for (const answer of answers) {
        this.answered(answer);
      }
    }
  }

  secured(): void {
    this.isSecure = true;
    this.prober.moment("secured");
    this.say("hello", this.dialect.hello());
  }

  timedOut(): void {
    this.fail({ code: "COMMAND_TIMEOUT", message: "The peer did not reply in time." });
  }

  drained(): void {}

  closed(failure: Failure): void {
    this.prober.ended(this.state === "bye" ? undefined : (this.failure ?? failure));
  }

  private answered(answer: ProbeAnswer): void {
    switch (this.state) {
      case "greeting":
        this.sight.greeting = answer.text;
        this.prober.moment("greeted");
        if (!answer.isPositive) {
          return this.refused("The host does not serve us now", answer);
        }
        return this.say("hello", this.dialect.hello());
      case "hello":
        this.prober.moment("helloAnswered");
        if (!answer.isPositive) {
          return this.refused("The host refused our hello", answer);
        }
        return this.helloAnswered(answer.extensions);
      case "starttls":
        if (!answer.isPositive) {
          return this.refused("The host offers STARTTLS and refused it", answer);
        }
        this.state = "handshake";
        this.prober.moment("securing");
        return this.wire.startTls();
      default:
        this.wire.end();
    }
  }

  private helloAnswered(extensions: readonly string[]): void {
    const offersTls = extensions.some((extension) => extension.toUpperCase() === "STARTTLS");
    if (!this.isSecure && this.prober.startTls !== "disable" && offersTls) {
      this.sight.extensionsBeforeTls = extensions;
      this.say("starttls", this.dialect.startTls);
      return;
    }
    this.sight.extensions = extensions;
    if (!this.isSecure && this.prober.startTls === "require") {
      this.fail({
        code: "MISSING_STARTTLS",
        message: 'The host does not offer STARTTLS and tls.starttls = "require".',
      });
    } else {
      this.say("bye", this.dialect.bye);
    }
  }

  private say(state: State, command: string): void {
    this.state = state;
    if (state === "hello") {
      this.prober.moment("helloSent");
    }
    this.wire.write(command);
    this.wire.expectWithin(this.prober.replyWithinMs);
  }

  private refused(what: string, { text }: ProbeAnswer): void {
    this.fail({ code: "HOST_UNAVAILABLE", message: `${what}: ${text}` });
  }

  private fail(failure: Failure): void {
    this.failure ??= failure;
    this.wire.destroy();
  }
}

/** How each protocol is spoken. `name` is what EHLO says. */
const DIALECTS: Readonly<Record<Protocol, (name: () => string) => Dialect>> = {
  smtp: (name) => new SmtpDialect("smtp", name),
  lmtp: (name) => new SmtpDialect("lmtp", name),
  imap: () => new ImapDialect(),
};

/** EHLO or LHLO (RFC 5321 4.1.1.1, RFC 2033 4.1). */
class SmtpDialect implements Dialect {
  readonly startTls = "STARTTLS\r\n";
  readonly bye = "QUIT\r\n";
  private answers: ProbeAnswer[] = [];
  private failure: Failure | undefined;
  private readonly parser = new ReplyParser({
    replyRead: (reply) => {
      const lines = reply.lines();
      this.answers.push({
        isPositive: reply.code >= 200 && reply.code < 300,
        text: `${reply.code} ${lines.join("\n")}`,
        extensions: lines.slice(1),
      });
    },
    malformed: (what) => {
      this.failure = { code: "REMOTE_PROTOCOL", message: `The peer does not speak SMTP: ${what}.` };
    },
  });

  constructor(
    private readonly protocol: Protocol,
    private readonly name: () => string,
  ) {}

  hello(): string {
    return `${this.protocol === "lmtp" ? "LHLO" : "EHLO"} ${this.name()}\r\n`;
  }

  read(bytes: Uint8Array): ProbeAnswer[] | Failure {
    this.parser.push(bytes);
    return this.failure ?? this.answers.splice(0);
  }
}

/** CAPABILITY (RFC 9051 6.1.1). */
class ImapDialect implements Dialect {
  readonly startTls = "tls STARTTLS\r\n";
  readonly bye = "bye LOGOUT\r\n";
  private readonly parser = new ImapResponseParser();
  private isGreeted = false;
  private hellos = 0;
  private capabilities: readonly string[] = [];

  /** Once more after STARTTLS: no tag is used twice (RFC 9051 2.2.1). */
  hello(): string {
    return `hello${++this.hellos} CAPABILITY\r\n`;
  }

  read(bytes: Uint8Array): ProbeAnswer[] | Failure {
    const answers: ProbeAnswer[] = [];
    this.parser.push(bytes);
    for (let response = this.parser.next(); response !== null; response = this.parser.next()) {
      if (response.kind === "malformed") {
        return { code: "REMOTE_PROTOCOL", message: `The peer does not speak IMAP: ${response.reason}.` };
      }
      if (response.kind === "capability") {
        this.capabilities = response.names;
      }
      if (response.kind !== "status") {
        continue;
      }
      if (response.code === "CAPABILITY") {
        this.capabilities = splitCapabilities(response.codeText);
      }
      if (response.tag === null && this.isGreeted) {
        continue;
      }
      this.isGreeted = true;
      answers.push({
        isPositive: response.condition === "OK",
        text: `${response.condition} ${response.text}`,
        extensions: this.capabilities,
      });
    }
    return answers;
  }
}
