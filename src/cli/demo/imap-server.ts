/**
 * The demo's IMAP server: as much of RFC 9051 as a login needs. Greeting, CAPABILITY, STARTTLS or implicit TLS,
 * AUTHENTICATE PLAIN and LOGIN (with SASL-IR), LOGIN with quoted strings and literals, NOOP, LOGOUT.
 */
import { type AddressInfo, createServer, type Server, type Socket } from "node:net";
import { createSecureContext, type SecureContext, TLSSocket } from "node:tls";
import type { Certificate } from "./certificate.js";
import { PASSWORDS } from "./directory.js";
import { Ledger } from "./ledger.js";

const MOST_OCTETS = 16 * 1024;
const GREETING = "* OK [CAPABILITY IMAP4rev1 IMAP4rev2 STARTTLS LOGINDISABLED] relaypost demo ready\r\n";

/** An embedded server on a free port of 127.0.0.1. */
export class ImapServer {
  readonly ledger = new Ledger();
  port = 0;
  private server: Server | undefined;
  private readonly sockets = new Set<Socket>();
  private readonly secureContext: SecureContext;

  constructor(
    certificate: Certificate,
    /** TLS from the first byte; otherwise STARTTLS. */
    private readonly isImplicit: boolean,
  ) {
    this.secureContext = createSecureContext(certificate);
  }

  /** Listens on any free port. */
  async start(): Promise<void> {
    const server = createServer((socket) => {
      this.sockets.add(socket);
      socket.once("close", () => this.sockets.delete(socket));
      new ImapDialogue(socket, this.ledger, this.secureContext).open(this.isImplicit);
    });
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen(this.port, "127.0.0.1", resolve);
    });
    this.port = (server.address() as AddressInfo).port;
    this.server = server;
  }

  /** Cuts every connection and stops listening. */
  async kill(): Promise<void> {
    const { server } = this;
    if (server === undefined) return;
    this.server = undefined;
    const closed = new Promise<void>((resolve) => server.close(() => resolve()));
    for (const socket of this.sockets) socket.destroy();
    await closed;
  }
}

/** What the client says next. */
type Expectation =
  | { readonly kind: "command" }
  | { readonly kind: "literal"; readonly before: string; readonly octets: number }
  | { readonly kind: "sasl"; readonly tag: string; readonly mechanism: string; readonly username?: string };

/** One connection. */
class ImapDialogue {
  private held: Buffer = Buffer.alloc(0);
  private expects: Expectation = { kind: "command" };
  private isSecure = false;
  private isCounted = false;

  constructor(
    private socket: Socket,
    private readonly ledger: Ledger,
    private readonly secureContext: SecureContext,
  ) {}

  open(isImplicit: boolean): void {
    if (isImplicit)
      this.secure(() => this.say("* OK [CAPABILITY IMAP4rev1 AUTH=PLAIN AUTH=LOGIN SASL-IR] relaypost demo ready"));
    else {
      this.listen();
      this.socket.write(GREETING);
    }
  }

  private listen(): void {
    this.socket.on("error", () => this.socket.destroy());
    this.socket.on("data", (chunk: Buffer) => this.take(chunk));
  }

  /** What was said in the clear is forgotten (RFC 9051 6.2.1). */
  private secure(then: () => void): void {
    this.socket.removeAllListeners("data");
    this.held = Buffer.alloc(0);
    this.socket = new TLSSocket(this.socket, { isServer: true, secureContext: this.secureContext });
    this.socket.once("secure", () => {
      this.isSecure = true;
      then();
    });
    this.listen();
  }

  private answer(line: string | undefined): void {
    if (line !== undefined) this.say(line);
  }

  private say(line: string): void {
    this.socket.write(`${line}\r\n`);
  }

  private take(chunk: Buffer): void {
    this.held = Buffer.concat([this.held, chunk]);
    if (this.held.length > MOST_OCTETS) {
      this.say("* BYE that is too long");
      this.socket.end();
      return;
    }
    while (this.takeOne());
  }

  /** One line, or one literal. False: more octets are needed. */
  private takeOne(): boolean {
    const { expects } = this;
    if (expects.kind === "literal") {
      if (this.held.length < expects.octets) return false;
      const text = this.held.subarray(0, expects.octets).toString("utf8");
      this.held = this.held.subarray(expects.octets);
      this.expects = { kind: "command" };
      this.held = Buffer.concat([Buffer.from(`${expects.before}${quoted(text)}`), this.held]);
      return true;
    }
    const end = this.held.indexOf("\r\n");
    if (end === -1) return false;
    const line = this.held.subarray(0, end).toString("utf8");
    this.held = this.held.subarray(end + 2);
    if (expects.kind === "sasl") {
      this.answer(this.sasl(expects, line));
      return true;
    }
    const literal = /\{(\d+)(\+?)\}$/.exec(line);
    if (literal === null) this.answer(this.command(line));
    else {
      this.expects = {
        kind: "literal",
        before: line.slice(0, literal.index),
        octets: Math.min(Number(literal[1]), MOST_OCTETS),
      };
      if (literal[2] === "") this.say("+ go on");
    }
    return true;
  }

  /** The line that answers; nothing where the dialogue goes on otherwise. */
  private command(line: string): string | undefined {
    const [tag = "*", name = "", ...rest] = line.split(" ");
    switch (name.toUpperCase()) {
      case "CAPABILITY":
        this.say(`* CAPABILITY ${this.capabilities()}`);
        return `${tag} OK done`;
      case "NOOP":
        return `${tag} OK done`;
      case "LOGOUT":
        this.say("* BYE until next time");
        this.say(`${tag} OK done`);
        this.socket.end();
        return undefined;
      case "STARTTLS":
        if (this.isSecure) return `${tag} BAD TLS is up already`;
        this.say(`${tag} OK begin`);
        this.secure(() => {});
        return undefined;
      case "LOGIN": {
        if (!this.isSecure) return `${tag} NO [PRIVACYREQUIRED] not in the clear`;
        const [username = "", secret = ""] = strings(rest.join(" "));
        return this.login(tag, username, secret);
      }
      case "AUTHENTICATE":
        return this.authenticate(tag, rest[0]?.toUpperCase() ?? "", rest[1]);
      default:
        return `${tag} BAD unknown command`;
    }
  }

  private capabilities(): string {
    return this.isSecure
      ? "IMAP4rev1 IMAP4rev2 SASL-IR AUTH=PLAIN AUTH=LOGIN"
      : "IMAP4rev1 IMAP4rev2 STARTTLS LOGINDISABLED";
  }

  private authenticate(tag: string, mechanism: string, initial: string | undefined): string | undefined {
    if (!this.isSecure) return `${tag} NO [PRIVACYREQUIRED] not in the clear`;
    if (mechanism !== "PLAIN" && mechanism !== "LOGIN") return `${tag} NO [CANNOT] no such mechanism`;
    this.expects = { kind: "sasl", tag, mechanism };
    if (initial !== undefined) return this.sasl({ kind: "sasl", tag, mechanism }, initial === "=" ? "" : initial);
    return mechanism === "PLAIN" ? "+ " : `+ ${base64("User Name")}`;
  }

  private sasl(expects: Expectation & { kind: "sasl" }, line: string): string {
    const { tag, mechanism, username } = expects;
    this.expects = { kind: "command" };
    if (line === "*") return `${tag} BAD cancelled`;
    const text = Buffer.from(line, "base64").toString("utf8");
    if (mechanism === "PLAIN") {
      const [, name = "", secret = ""] = text.split("\0");
      return this.login(tag, name, secret);
    }
    if (username !== undefined) return this.login(tag, username, text);
    this.expects = { ...expects, username: text };
    return `+ ${base64("Password")}`;
  }

  private login(tag: string, username: string, secret: string): string {
    this.ledger.questions.auth++;
    if (!this.isCounted) this.ledger.connections++;
    this.isCounted = true;
    const isRight = PASSWORDS.has(username) && PASSWORDS.get(username) === secret;
    return isRight
      ? `${tag} OK [CAPABILITY IMAP4rev1 IMAP4rev2] welcome`
      : `${tag} NO [AUTHENTICATIONFAILED] wrong name or password`;
  }
}

function base64(text: string): string {
  return Buffer.from(text).toString("base64");
}

function quoted(text: string): string {
  return `"${text.replace(/["\\]/g, "\\$&")}"`;
}

/** Atoms and quoted strings of a line. */
function strings(line: string): string[] {
  return Array.from(line.matchAll(/"((?:[^"\\]|\\.)*)"|([^\s"]+)/g), (match) =>
    match[2] === undefined ? (match[1] ?? "").replace(/\\(.)/g, "$1") : match[2],
  );
}
