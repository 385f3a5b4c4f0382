/**
 * One connection of a simulated SMTP or LMTP server (RFC 5321, 2033, 2920, 3030): strict about the order of what it is sent,
 * honest in what it says of mail, and as unreliable as the seed wants it. Writes down in the ledger what it did.
 */
import { codeOf, domainOf } from "./directory.js";
import { MailHello } from "./mail-hello.js";
import { REFUSALS } from "./mail-replies.js";

interface ServerTransaction {
  /** The relay's number; undefined for questions under the null reverse-path. */
  readonly relay: string | undefined;
  recipients: number;
  /** Of those recipients. */
  readonly domains: Set<string>;
  /** Of the recipient that came last, in the order of the message. */
  lastIndex: number;
  readonly accepted: number[];
  content: string;
  /** A chunk was refused: only RSET helps. */
  hasFailed: boolean;
}

export class MailPeer extends MailHello {
  private transaction: ServerTransaction | undefined;
  private mails = 0;
  private chunk = { octets: 0, isLast: false };
  /** Recipients deferred for the next transaction: asked again, they are no new request. */
  private readonly deferred = new Set<string>();

  protected get mayGroup(): boolean {
    return this.offer.pipelining && this.hello === "extended" && this.parts.scenario.settings.limits.pipeline > 1;
  }

  protected greet(): void {
    if (this.ledger.open > this.offer.connections) {
      this.answer(this.reply("other", "", -1, 421, "4.7.0", "too many connections"), false, () => this.link.finish());
    } else if (this.isServed(() => this.refuseGreeting())) {
      if (!this.takeRefusal()) {
        this.answer(this.reply("other", "", -1, 220, "", "server.sim ready"), true);
      }
    }
  }

  protected farewell(): string {
    return "421 4.4.2 idle for too long\r\n";
  }

  protected read(): boolean {
    if (this.mode === "chunk") {
      return this.readChunk();
    }
    const line = this.takeLine();
    if (line === undefined) {
      return false;
    }
    if (this.mode === "data") {
      this.dataLine(line);
    } else if (this.mode === "sasl") {
      this.saslLine(line);
    } else {
      this.command(line);
    }
    return true;
  }

  // --- commands --------------------------------------------------------------------------------------------------

  private command(line: string): void {
    this.noteCommand(line);
    if (this.awaitsTls) {
      return this.violation(`"${line}" was sent where TLS was to begin`);
    }
    this.checkWindow(line);
    if (/[^ -~]/.test(line) && !this.offer.smtputf8) {
      this.violation(`"${line}" is not ASCII and SMTPUTF8 is not offered`);
    }
    if (!this.isServed(() => (this.isRefused = true))) {
      return;
    }
    const verb = line.split(/[ :]/, 1)[0]!.toUpperCase();
    if (this.user === "user" && verb !== "QUIT") {
      this.violation(`"${verb}" on a connection that belongs to a user`);
    }
    this.obey(verb, line);
  }

  private obey(verb: string, line: string): void {
    switch (verb) {
      case "EHLO":
      case "LHLO":
      case "HELO":
        return this.greeted(verb);
      case "STARTTLS":
        return this.startTls();
      case "AUTH":
        return this.auth(line);
      case "MAIL":
        return this.mail(line);
      case "RCPT":
        return this.rcpt(line);
      case "DATA":
        return this.data();
      case "BDAT":
        return this.bdat(line);
      case "RSET":
        this.transaction = undefined;
        return this.settle("other", "", -1, "RSET", 250, "2.0.0");
      case "VRFY":
      case "EXPN":
        return this.query(verb, line.slice(5));
      case "QUIT":
        return this.answer("221 2.0.0 bye\r\n", true, () => this.link.finish());
      default:
        if (this.record.isPairable) {
          this.violation(`"${line}" is no command`);
        }
        this.answer("500 5.5.1 what?\r\n", false);
    }
  }

  protected forgetTransaction(): void {
    this.transaction = undefined;
  }

  private query(verb: "VRFY" | "EXPN", value: string): void {
    const kind = verb === "VRFY" ? "vrfy" : "expn";
    value = value.replace(/ SMTPUTF8$/, "");
    this.record.requests++;
    this.ledger.asked(this.record, `${kind}:${value}`);
    const refusal = this.takeRefusalFor("QUERY");
    const { code, enhanced } = codeOf(value);
    const said = refusal?.[0] ?? (code === 550 && enhanced === "5.7.1" ? 252 : code);
    if (said >= 500) {
      this.record.refusals++;
    }
    if (refusal !== undefined) {
      return this.refuse(kind, value, -1, refusal, true);
    }
    if (said !== 250) {
      return this.settle(kind, value, -1, "", said, said === 252 ? "2.5.0" : enhanced, true);
    }
    this.record.answers++;
    const number = this.ledger.say(this.record, kind, value, -1, 250);
    const second = kind === "expn" ? `250 2.1.5 Other #${number} <other.${value}>\r\n` : "";
    this.answer(`250${second === "" ? " " : "-"}2.1.5 Known #${number} <${value}>\r\n${second}`, true);
  }

  // --- mail ------------------------------------------------------------------------------------------------------

  private mail(line: string): void {
    const [, from = "", parameters = ""] = /^MAIL FROM:<([^<>]*)>(.*)$/.exec(line) ?? [];
    const { size, eightBit, chunking } = this.offer;
    if ((parameters.includes("SIZE") && !size) || (/BODY=[78]/.test(parameters) && !eightBit)) {
      this.violation(`parameters that are not offered: ${parameters}`);
    }
    if (parameters.includes("BINARYMIME") && !chunking) {
      this.violation("BINARYMIME is not offered");
    }
    if (this.hello === "none" && this.record.isPairable) {
      this.violation("MAIL before EHLO");
    }
    if (++this.mails > this.offer.mailMax && this.record.isPairable && this.hello === "extended") {
      this.violation(`more than MAILMAX=${this.offer.mailMax} transactions`);
    }
    if (this.parts.scenario.settings.auth !== undefined && this.user === undefined) {
      this.violation("MAIL before AUTH");
    }
    const relay = /^m(\d+)@/.exec(from)?.[1];
    if (relay !== undefined) {
      this.record.requests++;
      this.ledger.mail(this.record, relay);
    }
    if (this.transaction !== undefined) {
      if (this.record.isPairable) {
        this.violation("MAIL in a transaction that was not ended");
      }
      return this.answer("503 5.5.1 nested MAIL\r\n", false);
    }
    const refusal = this.takeRefusalFor("MAIL");
    if (refusal !== undefined) {
      return this.refuse("mail", relay ?? "", -1, refusal, false);
    }
    this.transaction = {
      relay,
      recipients: 0,
      domains: new Set(),
      lastIndex: -1,
      accepted: [],
      content: "",
      hasFailed: false,
    };
    this.settle("mail", relay ?? "", -1, "", 250, "2.1.0");
  }

  private rcpt(line: string): void {
    const address = /^RCPT TO:<([^<>]*)>/.exec(line)?.[1] ?? "";
    const { transaction } = this;
    const index = transaction === undefined ? -1 : this.indexOf(address, transaction);
    this.checkLimits(transaction?.recipients ?? 0, transaction?.domains.size ?? 0);
    const isQuestion = transaction !== undefined && transaction.relay === undefined;
    const kind = isQuestion ? "probe" : "rcpt";
    const subject = isQuestion ? address : (transaction?.relay ?? "");
    if (isQuestion && !this.deferred.delete(address)) {
      this.record.requests++;
      this.ledger.asked(this.record, `rcpt:${address}`);
    }
    const isFull = (transaction?.accepted.length ?? 0) >= this.offer.recipients;
    const refusal =
      this.takeRefusalFor("RCPT") ??
      (transaction === undefined ? ([503, "5.5.1"] as const) : isFull ? ([452, "4.5.3"] as const) : undefined);
    const { code, enhanced } = refusal === undefined ? codeOf(address) : { code: refusal[0], enhanced: refusal[1] };
    if (isQuestion && code === 452 && transaction.accepted.length > 0) {
      this.deferred.add(address);
    } else if (isQuestion && code >= 400) {
      this.record.refusals++;
    }
    if (code === 250) {
      transaction!.accepted.push(index);
    }
    this.refuse(kind, subject, index, [code, enhanced], false);
  }

  /** Which of the message's recipients it is. One that is there twice may be taken for the other: verdict.ts counts both together. */
  private indexOf(address: string, transaction: ServerTransaction): number {
    transaction.recipients++;
    transaction.domains.add(domainOf(address));
    const all = this.parts.recipients.get(transaction.relay ?? "") ?? [];
    const later = all.indexOf(address, transaction.lastIndex + 1);
    transaction.lastIndex = later === -1 ? all.indexOf(address) : later;
    return transaction.lastIndex;
  }

  private data(): void {
    const { transaction } = this;
    const refusal = this.takeRefusalFor("DATA");
    if (refusal !== undefined) {
      return this.refuse("data", transaction?.relay ?? "", -1, refusal, true);
    }
    const isIdle = transaction === undefined || transaction.accepted.length === 0;
    if (isIdle && !(transaction !== undefined && this.offer.asksForNothing)) {
      return this.settle(
        "data",
        transaction?.relay ?? "",
        -1,
        "",
        transaction === undefined ? 503 : 554,
        "5.5.1",
        true,
      );
    }
    if (transaction?.relay === undefined) {
      this.violation("DATA in a transaction of questions");
    }
    this.mode = "data";
    this.answer(this.reply("data", transaction!.relay ?? "", -1, 354, "", "go ahead"), true);
  }

  private dataLine(line: string): void {
    const { transaction } = this;
    if (line === ".") {
      this.mode = "command";
      return this.contentEnded(transaction!);
    }
    if (/[\r\n]/.test(line)) {
      this.violation("a bare CR or LF in mail data");
    }
    transaction!.content += `${line.startsWith(".") ? line.slice(1) : line}\r\n`;
    if (this.random.chance(this.parts.scenario.faults.refusal / 8)) {
      this.answer(this.reply("final", transaction!.relay ?? "", -1, 552, "5.3.4", "too much"), false, () =>
        this.link.finish(),
      );
      this.transaction = undefined;
    }
  }

  private bdat(line: string): void {
    const [, octets = "0", last] = line.split(" ");
    this.chunk = { octets: Number(octets), isLast: last === "LAST" };
    this.mode = "chunk";
  }

  private readChunk(): boolean {
    const { octets, isLast } = this.chunk;
    if (this.input.length < octets) {
      return false;
    }
    this.mode = "command";
    const { transaction } = this;
    const content = this.input.slice(0, octets);
    this.input = this.input.slice(octets);
    if (transaction === undefined || transaction.accepted.length === 0 || transaction.hasFailed) {
      // A chunk that is not the last one may have crossed the refusal of the one before it (RFC 3030 4.2).
      const mayHaveCrossed = transaction?.hasFailed === true && !isLast && this.mayGroup;
      if (this.record.isPairable && !mayHaveCrossed) {
        this.violation("BDAT without a transaction that takes it");
      }
      this.answer("503 5.5.1 no transaction\r\n", false);
      return true;
    }
    transaction.content += content;
    if (isLast) {
      this.contentEnded(transaction);
    } else {
      const refusal = this.takeRefusalFor("FINAL");
      transaction.hasFailed = refusal !== undefined;
      this.refuse("final", transaction.relay ?? "", -1, refusal ?? [250, "2.0.0"], false);
    }
    return true;
  }

  /** The terminator was read: what is accepted now is delivered, whether anybody hears of it or not. */
  private contentEnded(transaction: ServerTransaction): void {
    this.transaction = undefined;
    const { relay = "", accepted, content } = transaction;
    this.note(`. content of ${relay} complete, ${content.length} octets`);
    const { close, refusal } = this.parts.scenario.faults;
    if (this.random.chance(close * 2)) {
      this.note("closes without taking it");
      this.noteEnd(relay, accepted);
      return this.random.chance(0.5) ? this.link.finish() : this.link.reset();
    }
    const message = this.ledger.message(relay);
    if (accepted.length === 0) {
      if (content !== "") {
        this.violation("content without a recipient");
      }
      if (!this.isLmtp) {
        this.settle("final", relay, -1, "", 554, "5.5.1");
      }
      return;
    }
    this.noteEnd(relay, accepted);
    if (content !== this.parts.contents.get(relay)) {
      this.violation(`the content of relay ${relay} arrived changed`);
    }
    const finals = this.isLmtp ? accepted : [-1];
    const verdicts = finals.map(() => (this.random.chance(refusal) ? this.random.pick(REFUSALS.FINAL!) : undefined));
    verdicts.forEach((refusal, at) => {
      if (refusal !== undefined) {
        return;
      }
      for (const index of this.isLmtp ? [accepted[at]!] : accepted) {
        message.deliveries[index] = (message.deliveries[index] ?? 0) + 1;
      }
    });
    const say = (count: number): string =>
      finals
        .slice(0, count)
        .map((index, at) =>
          this.reply("final", relay, index, verdicts[at]?.[0] ?? 250, verdicts[at]?.[1] ?? "2.0.0", "content"),
        )
        .join("");
    let text = say(finals.length);
    const isServed = this.isServed(() => (this.isRefused = false));
    if (!isServed) {
      this.note("after it has taken the message");
      return;
    }
    if (this.random.chance(close * 2)) {
      text = text.slice(0, this.random.below(text.length));
      return this.answer(text, false, () => this.link.finish());
    }
    this.record.answers++;
    const is421 = verdicts.findIndex((refusal) => refusal?.[0] === 421);
    if (is421 !== -1) {
      return this.answer(say(is421 + 1), false, () => this.link.finish());
    }
    this.answer(text + this.surplus, false);
  }

  private noteEnd(relay: string, accepted: readonly number[]): void {
    const { ends } = this.ledger.message(relay);
    for (const index of accepted) {
      ends[index] = (ends[index] ?? 0) + 1;
    }
  }

  /** `limits.pipeline`: most commands in flight. A chunk's octets look like lines, so it is not looked at then. */
  private checkWindow(line: string): void {
    if (!this.record.isPairable || line.startsWith("BDAT") || this.input.includes("BDAT")) {
      return;
    }
    const lines = this.input.split("\r\n").length;
    const { pipeline } = this.parts.scenario.settings.limits;
    if (lines > pipeline) {
      this.violation(`${lines} commands in flight; ${pipeline} are allowed`);
    }
  }
}
