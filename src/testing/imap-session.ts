/**
 * One connection of the well-behaved IMAP server: it knows what a client needs to log in and no more (RFC 9051 6.1, 6.2; RFC 4959,
 * RFC 8437). mail-server.ts makes one per connection; everything is entered in the ledger.
 */
import { type ImapCommand, ImapCommandReader, parseImapCommand } from "./imap-command.js";
import { capabilitiesOf, type ImapSessionOptions, isLoginDisabled, mechanismsOf } from "./imap-options.js";
import { enterLogin, type Ledger, type LedgerConnection } from "./ledger.js";
import { applyEnding, linesOf, type Order, type Orders } from "./orders.js";
import type { ScriptedPeer } from "./peer.js";
import { beginSasl, type SaslExchange, type SaslState } from "./sasl-server.js";

const LF = 10;
const EMPTY = Buffer.alloc(0);

interface Answer {
  readonly stage: string;
  readonly subject: string;
  readonly tag: string;
  readonly lines: readonly string[];
  readonly login?: { readonly mechanism: string; readonly username: string | undefined };
  commit?(lastLine: string): void;
}

/** A running session. */
export class ImapSession {
  readonly #peer: ScriptedPeer;
  readonly #options: ImapSessionOptions;
  readonly #overrides: Orders;
  readonly #ledger: Ledger;
  readonly #record: LedgerConnection;
  readonly #reader = new ImapCommandReader();
  readonly #tags = new Set<string>();
  #sasl: { readonly tag: string; readonly mechanism: string; readonly next: SaslExchange } | undefined;
  #user: string | undefined;
  #buffer: Buffer = EMPTY;
  #isWaiting = false;
  #isDeaf = false;
  #sent: Promise<unknown> = Promise.resolve();

  constructor(
    peer: ScriptedPeer,
    options: ImapSessionOptions,
    overrides: Orders,
    ledger: Ledger,
    record: LedgerConnection,
  ) {
    this.#peer = peer;
    this.#options = options;
    this.#overrides = overrides;
    this.#ledger = ledger;
    this.#record = record;
  }

  /** Greets, and serves until the connection is gone. */
  async serve(): Promise<void> {
    this.#settle({
      stage: "greeting",
      subject: "",
      tag: "*",
      lines: [`* OK ${this.#announcement()}relaypost test server`],
    });
    this.#peer.takeOver((bytes) => {
      this.#buffer = this.#buffer.length === 0 ? bytes : Buffer.concat([this.#buffer, bytes]);
      this.#run();
    });
    await this.#peer.ended;
    this.#record.isClosed = true;
    this.#ledger.changed();
    this.#peer.close();
  }

  #announcement(): string {
    return (this.#options.announces ?? true) ? `[CAPABILITY ${this.#capabilities()}] ` : "";
  }

  #capabilities(): string {
    return capabilitiesOf(this.#options, this.#peer.isSecure).join(" ");
  }

  #run(): void {
    while (!this.#isWaiting && this.#buffer.length > 0 && this.#step()) {}
    this.#ledger.changed();
  }

  #step(): boolean {
    if (this.#isDeaf) {
      this.#buffer = EMPTY;
      return false;
    }
    const { literal } = this.#reader;
    if (literal !== undefined) {
      if (this.#buffer.length < literal.sizeOctets) {
        return false;
      }
      this.#reader.octets(this.#buffer.subarray(0, literal.sizeOctets));
      this.#buffer = this.#buffer.subarray(literal.sizeOctets);
      return true;
    }
    const end = this.#buffer.indexOf(LF);
    if (end < 0) {
      return false;
    }
    const line = this.#buffer.toString("utf8", 0, end);
    this.#buffer = this.#buffer.subarray(end + 1);
    if (!line.endsWith("\r") || /[\0\r]/.test(line.slice(0, -1))) {
      this.#object("bare LF, bare CR or NUL");
    }
    this.#takeLine(line.endsWith("\r") ? line.slice(0, -1) : line);
    return true;
  }

  #object(violation: string): void {
    this.#record.violations.push(violation);
  }

  #takeLine(line: string): void {
    if (this.#sasl !== undefined) {
      this.#respondToChallenge(line);
      return;
    }
    const parts = this.#reader.line(line);
    if (parts === undefined) {
      const { sizeOctets, isSynchronizing } = this.#reader.literal!;
      if (!isSynchronizing && !(this.#options.literalPlus ?? true)) {
        this.#object("{n+} without LITERAL+");
      }
      if (sizeOctets > 65_536) {
        this.#object(`literal of ${sizeOctets} octets`);
      }
      if (!isSynchronizing) {
        return;
      }
      if (this.#buffer.length > 0) {
        this.#object("literal sent before the continuation request");
      }
      this.#settle({ stage: "literal", subject: line, tag: "+", lines: ["+ go ahead"] });
      return;
    }
    const command = parseImapCommand(parts);
    if (typeof command === "string") {
      this.#object(command);
      this.#settle({ stage: "garbage", subject: line, tag: "*", lines: ["* BAD cannot be read"] });
      return;
    }
    this.#ledger.commandCount++;
    this.#record.commands.push(command.text);
    if (this.#tags.has(command.tag)) {
      this.#object(`tag ${command.tag} twice`);
    }
    this.#tags.add(command.tag);
    this.#settle(this.#respond(command));
  }

  #respond(command: ImapCommand): Answer {
    const { tag, verb, args, text } = command;
    const say = (...lines: string[]): Answer => ({ stage: verb, subject: text, tag, lines });
    if (verb === "CAPABILITY") {
      return say(`* CAPABILITY ${this.#capabilities()}`, `${tag} OK done`);
    }
    if (verb === "NOOP") {
      return say(`${tag} OK done`);
    }
    if (verb === "ID") {
      if (!capabilitiesOf(this.#options, this.#peer.isSecure).includes("ID")) {
        this.#object("ID was not offered");
      }
      return { ...say(`${tag} OK done`), commit: () => this.#identified(args) };
    }
    if (verb === "LOGOUT") {
      this.#record.saidGoodbye = true;
      return { ...say("* BYE goodbye", `${tag} OK done`), commit: () => this.#goodbye() };
    }
    if (verb === "STARTTLS") {
      return this.#startTls(command);
    }
    if (verb === "LOGIN") {
      return this.#login(command);
    }
    if (verb === "AUTHENTICATE") {
      return this.#authenticate(command);
    }
    if (verb === "UNAUTHENTICATE" && this.#options.unauthenticate && this.#user !== undefined) {
      return {
        ...say(`${tag} OK done`),
        commit: (last) => {
          if (/^\S+ OK/i.test(last)) {
            this.#user = undefined;
          }
        },
      };
    }
    this.#object(`${verb} with ${args.length} arguments`);
    return say(`${tag} BAD no such command`);
  }

  /** What Dovecot takes from its `login_trusted_networks`. */
  #identified(fields: readonly string[]): void {
    const name = fields.indexOf("x-originating-ip");
    this.#record.client = name < 0 ? undefined : fields[name + 1];
  }

  #goodbye(): void {
    this.#isDeaf = true;
    void this.#sent.then(() => this.#peer.close());
  }

  #startTls({ tag, verb, text, args }: ImapCommand): Answer {
    if (this.#options.startTls === undefined || this.#peer.isSecure || args.length > 0) {
      this.#object("STARTTLS was not offered");
      return { stage: verb, subject: text, tag, lines: [`${tag} BAD STARTTLS was not offered`] };
    }
    return {
      stage: verb,
      subject: text,
      tag,
      lines: [`${tag} OK begin`],
      commit: (last) => {
        if (last.startsWith(`${tag} OK`)) {
          void this.#secure();
        }
      },
    };
  }

  async #secure(): Promise<void> {
    // What came before the OK was noted as a violation and is not read; what comes now is the handshake.
    this.#buffer = EMPTY;
    this.#isWaiting = true;
    await this.#sent;
    this.#peer.giveBack(this.#buffer);
    this.#buffer = EMPTY;
    try {
      await this.#peer.startTls(this.#options.startTls!, this.#options.tlsOptions);
    } catch {
      // That the client refuses the certificate is its right.
      this.#peer.destroy();
      return;
    }
    this.#record.isSecure = true;
    this.#isWaiting = false;
  }

  #login({ tag, verb, args, text }: ImapCommand): Answer {
    if (isLoginDisabled(this.#options, this.#peer.isSecure)) {
      this.#object("LOGIN in spite of LOGINDISABLED");
    }
    if (this.#user !== undefined) {
      this.#object("LOGIN behind a login");
    }
    if (args.length !== 2) {
      this.#object(`LOGIN with ${args.length} arguments`);
    }
    const [username = "", secret] = args;
    const { users = {} } = this.#options;
    const isRight =
      Object.hasOwn(users, username) &&
      users[username] === secret &&
      !isLoginDisabled(this.#options, this.#peer.isSecure);
    return this.#verdict(verb, text, tag, "LOGIN", username, isRight);
  }

  #authenticate({ tag, verb, args, text }: ImapCommand): Answer {
    const [mechanism = "", initial] = args;
    if (this.#user !== undefined) {
      this.#object("AUTHENTICATE behind a login");
    }
    if (initial !== undefined && !(this.#options.saslIr ?? true)) {
      this.#object("initial response without SASL-IR");
    }
    const bytes = initial === undefined ? undefined : initial === "=" ? EMPTY : Buffer.from(initial, "base64");
    const begun = mechanismsOf(this.#options, this.#peer.isSecure).includes(mechanism.toUpperCase())
      ? beginSasl(mechanism, bytes, this.#options)
      : undefined;
    if (begun === undefined) {
      this.#object(`AUTHENTICATE ${mechanism}, which was not offered`);
      return { stage: verb, subject: text, tag, lines: [`${tag} NO no such mechanism`] };
    }
    this.#sasl = { tag, mechanism: mechanism.toUpperCase(), next: begun.next };
    return this.#judge(verb, text, begun.state);
  }

  #respondToChallenge(line: string): void {
    const { tag, mechanism, next } = this.#sasl!;
    if (line === "*") {
      this.#sasl = undefined;
      this.#settle({ stage: "challenge", subject: line, tag, lines: [`${tag} BAD cancelled`] });
      return;
    }
    if (!/^[A-Za-z0-9+/]*={0,2}$/.test(line)) {
      this.#object(`${mechanism} response is not base64`);
    }
    this.#settle(this.#judge("challenge", line, next(Buffer.from(line, "base64"))));
  }

  #judge(stage: string, subject: string, state: SaslState): Answer {
    const { tag, mechanism } = this.#sasl!;
    if (state.kind === "challenge") {
      return { stage, subject, tag, lines: [`+ ${state.data.toString("base64")}`] };
    }
    if (state.kind === "malformed") {
      this.#object(`${mechanism} response cannot be read`);
      this.#sasl = undefined;
      return { stage, subject, tag, lines: [`${tag} BAD cannot be read`] };
    }
    return this.#verdict(stage, subject, tag, mechanism, state.username, state.kind === "accepted");
  }

  #verdict(
    stage: string,
    subject: string,
    tag: string,
    mechanism: string,
    username: string | undefined,
    isRight: boolean,
  ): Answer {
    const announcement = this.#announcement();
    return {
      stage,
      subject,
      tag,
      lines: [
        isRight ? `${tag} OK ${announcement}logged in` : `${tag} NO [AUTHENTICATIONFAILED] wrong name or password`,
      ],
      login: { mechanism, username },
      commit: (last) => {
        if (last.startsWith("+")) {
          return;
        }
        this.#sasl = undefined;
        if (last.startsWith(`${tag} OK`)) {
          this.#user = username ?? "";
        }
      },
    };
  }

  #settle(answer: Answer): void {
    const { number } = this.#record;
    let order = this.#overrides.find(answer.stage, answer.subject, number);
    if (order === undefined && answer.login !== undefined) {
      order = this.#overrides.find("login", answer.login.username ?? "", number);
    }
    const { waitFor } = order ?? {};
    if (waitFor === undefined) {
      this.#answer(answer, order);
      return;
    }
    this.#isWaiting = true;
    void Promise.resolve(typeof waitFor === "function" ? waitFor() : waitFor).then(() => {
      this.#isWaiting = false;
      this.#answer(answer, order);
      this.#run();
    });
  }

  #answer(answer: Answer, order: Order | undefined): void {
    if (
      this.#buffer.length > 0 &&
      ["STARTTLS", "AUTHENTICATE", "challenge", "LOGIN", "LOGOUT"].includes(answer.stage)
    ) {
      this.#object(`${this.#buffer.length} octets behind ${answer.stage} before its answer`);
    }
    const usual = order === undefined ? answer.lines : linesOf(order, answer.lines);
    const lines = usual.map((line) => line.replaceAll("{tag}", answer.tag));
    if (order?.bytes !== undefined) {
      const { bytes } = order;
      this.#emit(typeof bytes === "string" ? bytes.replaceAll("{tag}", answer.tag) : bytes);
    } else if (lines.length > 0) {
      this.#emit(lines.map((line) => `${line}\r\n`).join(""));
    }
    const last = lines.at(-1) ?? "";
    if (answer.login !== undefined) {
      enterLogin(this.#record, answer.login, last.startsWith(`${answer.tag} OK`), this.#peer.isSecure);
    }
    answer.commit?.(last);
    if (order?.afterwards === undefined) {
      return;
    }
    if (order.afterwards !== "stop-reading" && order.afterwards !== "half-close") {
      this.#isDeaf = true;
    }
    void this.#sent.then(() => applyEnding(order.afterwards!, this.#peer));
  }

  #emit(data: string | Uint8Array): void {
    this.#sent = this.#sent.then(() =>
      this.#options.octetReplies ? this.#peer.sendOctets(data) : this.#peer.send(data),
    );
  }
}
