/** How a connection of a simulated SMTP or LMTP server begins: EHLO, STARTTLS and AUTH (RFC 5321, 3207, 4954). mail-peer.ts goes on from there. */
import { ServerLogin } from "./directory.js";
import { MailReplies } from "./mail-replies.js";
import { ACCOUNT } from "./scenario.js";

export abstract class MailHello extends MailReplies {
  awaitsTls = false;
  protected mode: "command" | "data" | "chunk" | "sasl" = "command";
  protected hello: "none" | "basic" | "extended" = "none";
  protected user: string | undefined;
  private login: ServerLogin | undefined;

  protected get isLmtp(): boolean {
    return this.parts.scenario.settings.protocol === "lmtp";
  }

  override secured(): void {
    super.secured();
    this.awaitsTls = false;
    this.hello = "none";
  }

  /** A transaction that is open is over. */
  protected abstract forgetTransaction(): void;

  protected greeted(verb: string): void {
    if ((verb === "LHLO") !== this.isLmtp) {
      this.violation(`${verb} in ${this.parts.scenario.settings.protocol}`);
    }
    const refusal = this.takeRefusalFor("HELLO");
    this.forgetTransaction();
    if (refusal !== undefined) {
      return this.refuse("other", "", -1, refusal, true);
    }
    this.hello = verb === "HELO" ? "basic" : "extended";
    if (verb === "HELO") {
      return this.answer(this.reply("other", "", -1, 250, "", "server.sim"), true);
    }
    const { pipelining, chunking, eightBit, size, smtputf8, startTls, mechanisms } = this.offer;
    const lines = ["server.sim", "ENHANCEDSTATUSCODES"];
    if (pipelining) {
      lines.push("PIPELINING");
    }
    if (chunking) {
      lines.push("CHUNKING", "BINARYMIME");
    }
    if (eightBit) {
      lines.push("8BITMIME");
    }
    if (size) {
      lines.push("SIZE 1000000");
    }
    const { mailMax, rcptMax, rcptDomainMax } = this.offer;
    const limits = Object.entries({ MAILMAX: mailMax, RCPTMAX: rcptMax, RCPTDOMAINMAX: rcptDomainMax });
    const declared = limits
      .filter(([, most]) => most !== Number.POSITIVE_INFINITY)
      .map(([name, most]) => `${name}=${most}`);
    if (declared.length > 0) {
      lines.push(`LIMITS ${declared.join(" ")}`);
    }
    if (smtputf8) {
      lines.push("SMTPUTF8");
    }
    if (startTls && !this.isSecure) {
      lines.push("STARTTLS");
    }
    if (mechanisms.length > 0) {
      lines.push(`AUTH ${mechanisms.join(" ")}`);
    }
    this.answer(lines.map((text, at) => `250${at < lines.length - 1 ? "-" : " "}${text}\r\n`).join(""), true);
  }

  /** What EHLO declared of one transaction. */
  protected checkLimits(recipients: number, domains: number): void {
    const { rcptMax, rcptDomainMax } = this.offer;
    if (!this.record.isPairable || this.hello !== "extended") {
      return;
    }
    if (recipients > rcptMax) {
      this.violation(`more than RCPTMAX=${rcptMax} recipients in a transaction`);
    }
    if (domains > rcptDomainMax) {
      this.violation(`more than RCPTDOMAINMAX=${rcptDomainMax} domains in a transaction`);
    }
  }

  protected startTls(): void {
    const refusal = this.takeRefusalFor("STARTTLS");
    if (refusal !== undefined) {
      return this.refuse("other", "", -1, refusal, true);
    }
    this.awaitsTls = true;
    this.answer(`220 2.0.0 go\r\n${this.faults.injects ? "250 injected\r\n" : ""}`, true);
  }

  protected auth(line: string): void {
    const [, mechanism = "", response] = line.split(" ");
    if (!this.offer.mechanisms.includes(mechanism)) {
      this.violation(`AUTH ${mechanism} is not offered`);
    }
    this.login = new ServerLogin(mechanism, `<${this.random.below(1_000_000)}@server.sim>`);
    if (this.user !== undefined) {
      this.violation("a second AUTH after a successful one");
    }
    if (this.login.showsSecret && !this.isSecure && !this.parts.scenario.settings.allowPlaintextAuth) {
      this.violation(`AUTH ${mechanism} over plain text`);
    }
    this.challenge(response === "=" ? "" : response);
  }

  protected saslLine(line: string): void {
    this.noteCommand(line);
    this.mode = "command";
    if (line === "*") {
      this.answer("501 5.7.0 cancelled\r\n", true);
    } else if (this.isServed(() => (this.isRefused = true))) {
      this.challenge(line);
    }
  }

  private challenge(response: string | undefined): void {
    const login = this.login!;
    const isFirst = response === undefined;
    const challenge = this.isRefused && isFirst ? undefined : login.next(response);
    if (challenge !== undefined) {
      this.mode = "sasl";
      return this.answer(`334 ${challenge}\r\n`, true);
    }
    const isUser = login.username !== ACCOUNT.username;
    if (isUser) {
      this.record.requests++;
    }
    if (isUser && login.username !== "") {
      this.ledger.asked(this.record, `login:${login.username}`);
    }
    const refusal = this.takeRefusalFor("AUTH");
    if (isUser && (refusal !== undefined || !login.isRight)) {
      this.record.refusals++;
    }
    if (refusal !== undefined) {
      return this.refuse("login", login.username, -1, refusal, true);
    }
    if (login.isRight) {
      this.user = isUser ? "user" : "account";
    }
    this.settle("login", login.username, -1, "", login.isRight ? 235 : 535, login.isRight ? "2.7.0" : "5.7.8", true);
  }
}
