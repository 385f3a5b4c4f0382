/**
 * The demo's SMTP and LMTP servers: the `smtp-server` package with a directory behind it, VRFY and EXPN in front of it,
 * and a way to crash in the middle of its work. Everything it does is written into its {@link Ledger}.
 */
import { createHash } from "node:crypto";
import type { AddressInfo, Socket } from "node:net";
import type { TLSSocket } from "node:tls";
import {
  SMTPServer,
  type SMTPServerAddress,
  type SMTPServerAuthentication,
  type SMTPServerAuthenticationResponse,
  type SMTPServerDataStream,
  type SMTPServerEnvelope,
  type SMTPServerSession,
} from "smtp-server";
import type { SMTPConnection, SMTPConnectionOptions } from "smtp-server/lib/smtp-connection.js";
import type { RecipientResult } from "../../api.js";
import type { Certificate } from "../../testing/index.js";
import { ACCOUNTS, ASKED_DOMAIN, LISTS, PASSWORDS, PEOPLE, verdictOn } from "./directory.js";
import { Ledger } from "./ledger.js";

type Done = (error?: Error | null) => void;

/** What the package's command handlers look like from outside. */
type CommandHandler = (this: SMTPConnection, command: Buffer, done: () => void) => void;

/** An error that becomes a reply. */
function reply(responseCode: number, text: string): Error {
  return Object.assign(new Error(text), { responseCode });
}

/** The package's server with two commands more. */
class AnsweringServer extends SMTPServer {
  commands: Record<"handler_VRFY" | "handler_EXPN", CommandHandler> | undefined;

  override connect(socket: Socket | TLSSocket, options?: SMTPConnectionOptions | null): void {
    super.connect(socket, options);
    const connection = [...this.connections].at(-1);
    if (connection !== undefined) {
      Object.assign(connection, this.commands);
    }
  }
}

/** How the server is to crash: at its n-th message. */
interface CrashPlan {
  readonly atMessage: number;
  /** `record`: that message is written down but never answered; `drop`: the one after it was read and is lost; then everything is cut. */
  stage: "armed" | "recorded" | "over";
  readonly onCrash: () => void;
}

/** An embedded server on a free port of 127.0.0.1. */
export class MailServer {
  readonly ledger = new Ledger();
  port = 0;
  private server: AnsweringServer | undefined;
  private crash: CrashPlan | undefined;
  private readonly verdicts = new WeakMap<SMTPServerEnvelope, Map<string, RecipientResult["status"]>>();
  /** Open sessions with TLS, and whether they did any work. */
  private readonly sessions = new Map<string, boolean>();

  constructor(
    private readonly protocol: "smtp" | "lmtp",
    private readonly certificate: Certificate,
    /** TLS from the first byte; otherwise STARTTLS. */
    private readonly isImplicit: boolean,
  ) {}

  /** Listens: the first time on any free port, later on the same. */
  async start(): Promise<void> {
    const server = new AnsweringServer({
      lmtp: this.protocol === "lmtp",
      secure: this.isImplicit,
      key: this.certificate.key,
      cert: this.certificate.cert,
      name: `${this.protocol}.demo.invalid`,
      banner: "relaypost demo",
      size: 10_000_000,
      authMethods: ["PLAIN", "LOGIN", "CRAM-MD5"],
      maxAllowedUnauthenticatedCommands: false,
      disableReverseLookup: true,
      hideENHANCEDSTATUSCODES: false,
      hideDSN: false,
      logger: false,
      onSecure: (socket, session, done) => {
        if (this.server !== server) {
          socket.destroy();
          return;
        }
        this.ledger.connections++;
        this.sessions.set(session.id, false);
        done();
      },
      onAuth: (auth, session, done) => this.onAuth(auth, session, done),
      onRcptTo: (address, session, done) => this.onRcptTo(address, session, done),
      onData: (stream, session, done) => this.onData(stream, session, done),
      onClose: (session) => this.sessions.delete(session.id),
    });
    server.commands = { handler_VRFY: this.vrfy(), handler_EXPN: this.expn() };
    // Connections that are cut report errors; what they cost is seen in the ledger.
    server.on("error", () => {});
    await new Promise<void>((resolve, reject) => {
      server.server.once("error", reject);
      server.listen(this.port, "127.0.0.1", resolve);
    });
    this.port = (server.server.address() as AddressInfo).port;
    this.server = server;
  }

  /** Cuts every connection and stops listening, as a killed process would. The port is free again at once. */
  kill(): void {
    const { server } = this;
    if (server === undefined) {
      return;
    }
    this.server = undefined;
    for (const isUsed of this.sessions.values()) {
      if (!isUsed) {
        this.ledger.cutUnused++;
      }
    }
    this.sessions.clear();
    server.close();
    // A socket in the middle of its handshake may not be torn from under TLS: onSecure ends it.
    for (const connection of server.connections) {
      if (!connection._upgrading) {
        connection._socket.destroy();
      }
    }
  }

  /** Arranges a crash. Resolves when it has come. */
  crashAt(atMessage: number): Promise<void> {
    return new Promise((onCrash) => {
      this.crash = { atMessage, stage: "armed", onCrash };
    });
  }

  private use(session: SMTPServerSession): void {
    this.sessions.set(session.id, true);
  }

  private onAuth(
    auth: SMTPServerAuthentication,
    session: SMTPServerSession,
    done: (error: Error | null | undefined, response?: SMTPServerAuthenticationResponse) => void,
  ): void {
    const username = auth.username ?? "";
    const password = PASSWORDS.get(username);
    const isRight =
      password !== undefined &&
      (auth.method === "CRAM-MD5" ? auth.validatePassword(password) : auth.password === password);
    if (!ACCOUNTS.has(username)) {
      this.use(session);
      this.ledger.questions.auth++;
    }
    if (isRight) {
      done(null, { user: username });
    } else {
      done(reply(535, "Authentication credentials invalid"));
    }
  }

  private onRcptTo({ address }: SMTPServerAddress, session: SMTPServerSession, done: Done): void {
    this.use(session);
    const verdict = verdictOn(address);
    if (address.endsWith(`@${ASKED_DOMAIN}`)) {
      this.ledger.questions.rcpt++;
    }
    const verdicts = this.verdicts.get(session.envelope) ?? new Map<string, RecipientResult["status"]>();
    this.verdicts.set(session.envelope, verdicts.set(address, verdict));
    if (verdict === "refused") {
      done(reply(550, "No such mailbox here"));
    }
    // LMTP says so after the content (RFC 2033 4.2), SMTP has to say it now.
    else if (verdict === "deferred" && this.protocol === "smtp") {
      done(reply(452, "Mailbox full, try tomorrow"));
    } else {
      done();
    }
  }

  private onData(
    stream: SMTPServerDataStream,
    session: SMTPServerSession,
    done: (error?: Error | null, message?: string | (string | Error)[]) => void,
  ): void {
    const hash = createHash("sha256");
    const { envelope } = session;
    const { server } = this;
    stream.on("data", (chunk: Buffer) => hash.update(chunk));
    stream.on("end", () => {
      // A process that was killed writes nothing down any more.
      if (this.server !== server || this.crashes()) {
        return;
      }
      this.ledger.deliveries.push({
        digest: hash.digest("hex"),
        octets: stream.byteLength,
        from: envelope.mailFrom === false ? "" : envelope.mailFrom.address,
        recipients: this.verdicts.get(envelope) ?? new Map(),
      });
      if (this.crash?.stage === "recorded") {
        return;
      }
      if (this.protocol === "smtp") {
        return done(null, "Message taken");
      }
      done(
        null,
        envelope.rcptTo.map(({ address }) =>
          verdictOn(address) === "deferred" ? reply(452, "Mailbox full, try tomorrow") : `Delivered to <${address}>`,
        ),
      );
    });
  }

  /** The planned crash. True: the message at hand is lost with the server. */
  private crashes(): boolean {
    const { crash } = this;
    if (crash === undefined || crash.stage === "over") {
      return false;
    }
    if (crash.stage === "armed") {
      if (this.ledger.deliveries.length + 1 >= crash.atMessage) {
        crash.stage = "recorded";
      }
      return false;
    }
    crash.stage = "over";
    this.kill();
    crash.onCrash();
    return true;
  }

  private vrfy(): CommandHandler {
    const count = () => this.ledger.questions.vrfy++;
    const use = (session: SMTPServerSession) => this.use(session);
    return function (command, done) {
      use(this.session as SMTPServerSession);
      count();
      const local = argumentOf(command).replace(/@.*$/, "");
      if (PEOPLE.has(local)) {
        this.send(250, `<${local}@${ASKED_DOMAIN}>`);
      } else if (local === "secretive") {
        this.send(252, "Cannot VRFY, but will take mail");
      } else {
        this.send(550, "No such user here");
      }
      done();
    };
  }

  private expn(): CommandHandler {
    const count = () => this.ledger.questions.expn++;
    const use = (session: SMTPServerSession) => this.use(session);
    return function (command, done) {
      use(this.session as SMTPServerSession);
      count();
      const members = LISTS.get(argumentOf(command));
      if (members === undefined) {
        this.send(550, "No such list here");
      } else {
        this.send(250, [...members]);
      }
      done();
    };
  }
}

/** What stands behind VRFY or EXPN, with or without angle brackets. */
function argumentOf(command: Buffer): string {
  return command.toString().trim().split(/\s+/).slice(1).join(" ").replace(/^<|>$/g, "");
}
