/** One connection of a simulated IMAP server (RFC 9051 6.1 to 6.2, RFC 4959, RFC 8437): logins and nothing else, faults as the seed wants them. */
import { passwordOf, ServerLogin } from "./directory.js";
import { LinePeer } from "./line-peer.js";

type Condition = readonly [condition: "NO" | "BAD", code: string];

const REFUSALS: readonly Condition[] = [
  ["NO", "[UNAVAILABLE] "],
  ["NO", "[CONTACTADMIN] "],
  ["NO", "[LIMIT] "],
  ["BAD", ""],
];

export class ImapPeer extends LinePeer {
  awaitsTls = false;
  protected readonly mayGroup = false;
  private user: string | undefined;
  private tag = "";
  private login: ServerLogin | undefined;
  private isRefused = false;

  private get capabilities(): string {
    const { startTls, mechanisms, saslIr, unauthenticate } = this.offer;
    const names = ["IMAP4rev2", ...mechanisms.map((name) => `AUTH=${name}`)];
    if (startTls && !this.isSecure) {
      names.push("STARTTLS");
    }
    if (saslIr) {
      names.push("SASL-IR");
    }
    if (unauthenticate) {
      names.push("UNAUTHENTICATE");
    }
    return names.join(" ");
  }

  protected greet(): void {
    if (this.ledger.open > this.offer.connections) {
      return this.bye("too many connections");
    }
    if (!this.isServed(() => (this.isRefused = true))) {
      return;
    }
    if (this.takeRefusal()) {
      return this.bye("not now");
    }
    this.answer(this.offer.talkative ? `* OK [CAPABILITY ${this.capabilities}] ready\r\n` : "* OK ready\r\n", true);
  }

  protected farewell(): string {
    return "* BYE idle for too long\r\n";
  }

  override secured(): void {
    super.secured();
    this.awaitsTls = false;
  }

  protected read(): boolean {
    const line = this.takeLine();
    if (line === undefined) {
      return false;
    }
    this.noteCommand(line);
    if (this.awaitsTls) {
      this.violation(`"${line}" was sent where TLS was to begin`);
    } else if (this.isServed(() => (this.isRefused = true))) {
      if (this.login === undefined) {
        this.command(line);
      } else {
        this.continueLogin(line);
      }
    }
    return true;
  }

  private command(line: string): void {
    const [tag = "", verb = "", ...words] = line.split(" ");
    this.tag = tag;
    if (this.user !== undefined && verb !== "LOGOUT" && verb !== "UNAUTHENTICATE" && verb !== "CAPABILITY") {
      this.violation(`${verb} on a connection that belongs to a user`);
    }
    switch (verb) {
      case "CAPABILITY":
        return this.answer(`* CAPABILITY ${this.capabilities}\r\n${tag} OK done\r\n`, true);
      case "STARTTLS":
        return this.startTls();
      case "AUTHENTICATE":
        return this.authenticate(words[0]!, words[1]);
      case "LOGIN":
        return this.loginCommand(words);
      case "UNAUTHENTICATE":
        if (this.user === undefined || !this.offer.unauthenticate) {
          this.violation("UNAUTHENTICATE that is not due");
        }
        if (this.takeRefusal()) {
          return this.answer(`${tag} BAD no\r\n`, true);
        }
        this.user = undefined;
        return this.answer(`${tag} OK done\r\n`, true);
      case "LOGOUT":
        return this.answer(`* BYE bye\r\n${tag} OK done\r\n`, true, () => this.link.finish());
      default:
        this.violation(`"${line}" is no command`);
    }
  }

  private startTls(): void {
    if (this.takeRefusal()) {
      return this.answer(`${this.tag} NO not now\r\n`, true);
    }
    this.awaitsTls = true;
    this.answer(`${this.tag} OK go\r\n${this.faults.injects ? "* OK injected\r\n" : ""}`, true);
  }

  private authenticate(mechanism: string, response: string | undefined): void {
    if (!this.offer.mechanisms.includes(mechanism)) {
      this.violation(`AUTHENTICATE ${mechanism} is not offered`);
    }
    this.login = new ServerLogin(mechanism, `<${this.random.below(1_000_000)}@server.sim>`);
    if (this.login.showsSecret) {
      this.checkSecrecy();
    }
    if (response !== undefined && !this.offer.saslIr) {
      this.violation("an initial response without SASL-IR");
    }
    this.step(response === "=" ? "" : response);
  }

  private continueLogin(line: string): void {
    if (line === "*") {
      this.login = undefined;
      this.answer(`${this.tag} BAD cancelled\r\n`, true);
    } else {
      this.step(line);
    }
  }

  private step(response: string | undefined): void {
    const login = this.login!;
    const challenge = this.isRefused && response === undefined ? undefined : login.next(response);
    if (challenge !== undefined) {
      return this.answer(`+ ${challenge}\r\n`, true);
    }
    this.login = undefined;
    this.conclude(login.username, login.isRight);
  }

  private loginCommand(words: readonly string[]): void {
    this.checkSecrecy();
    const [username = "", secret = ""] = words.map((word) => word.replaceAll('"', ""));
    this.conclude(username, secret === passwordOf(username));
  }

  private conclude(username: string, isRight: boolean): void {
    this.record.requests++;
    this.record.answers++;
    if (username !== "") {
      this.ledger.asked(this.record, `login:${username}`);
    }
    if (this.takeRefusal()) {
      this.record.refusals++;
      const [condition, code] = this.random.pick(REFUSALS);
      const number = this.ledger.say(this.record, "login", username, -1, condition === "BAD" ? 501 : 400);
      return this.answer(`${this.tag} ${condition} ${code}refused #${number}\r\n`, true);
    }
    if (isRight) {
      this.user = username;
    } else {
      this.record.refusals++;
    }
    const number = this.ledger.say(this.record, "login", username, -1, isRight ? 235 : 535);
    this.answer(`${this.tag} ${isRight ? "OK welcome" : "NO [AUTHENTICATIONFAILED] wrong"} #${number}\r\n`, true);
  }

  private checkSecrecy(): void {
    if (!this.isSecure && !this.parts.scenario.settings.allowPlaintextAuth) {
      this.violation("a secret over plain text");
    }
  }

  private bye(why: string): void {
    this.answer(`* BYE ${why}\r\n`, false, () => this.link.finish());
  }

  private takeRefusal(): boolean {
    const { isRefused } = this;
    this.isRefused = false;
    return isRefused;
  }
}
