/** How the simulated mail server replies: each reply is written down in the ledger, and refusals are picked as the seed wants them. */
import type { ReplyKind } from "./ledger.js";
import { LinePeer } from "./line-peer.js";

type Refusals = readonly (readonly [code: number, enhanced: string])[];

/** What a server may say instead of yes, by command; some of it makes no sense. */
export const REFUSALS: Readonly<Record<string, Refusals>> = {
  HELLO: [
    [421, "4.3.2"],
    [500, "5.5.1"],
    [550, "5.7.1"],
    [451, "4.3.0"],
  ],
  STARTTLS: [
    [454, "4.7.0"],
    [500, "5.5.1"],
    [421, "4.3.2"],
  ],
  AUTH: [
    [454, "4.7.0"],
    [421, "4.3.2"],
    [504, "5.5.4"],
    [534, "5.7.9"],
    [538, "5.7.11"],
  ],
  MAIL: [
    [450, "4.3.2"],
    [451, "4.3.0"],
    [550, "5.7.1"],
    [452, "4.3.1"],
    [421, "4.3.2"],
    [530, "5.7.0"],
    [354, ""],
  ],
  RCPT: [
    [450, "4.2.0"],
    [452, "4.5.3"],
    [550, "5.1.1"],
    [550, "5.7.1"],
    [554, "5.7.1"],
    [421, "4.3.2"],
    [503, "5.5.1"],
    [354, ""],
  ],
  DATA: [
    [451, "4.3.0"],
    [554, "5.6.0"],
    [421, "4.3.2"],
    [452, "4.3.1"],
    [250, "2.0.0"],
  ],
  FINAL: [
    [451, "4.3.0"],
    [554, "5.6.0"],
    [552, "5.2.2"],
    [452, "4.2.2"],
    [421, "4.3.2"],
  ],
  RSET: [
    [421, "4.3.2"],
    [500, "5.5.1"],
  ],
  QUERY: [
    [252, "2.5.0"],
    [502, "5.5.1"],
    [551, "5.1.6"],
    [553, "5.1.3"],
    [421, "4.3.2"],
    [450, "4.2.0"],
    [550, "5.7.1"],
  ],
};

export abstract class MailReplies extends LinePeer {
  /** The command at hand shall be refused. */
  protected isRefused = false;

  /** A reply too many, behind those that are due. */
  protected get surplus(): string {
    if (!this.faults.isSurplus) {
      return "";
    }
    this.record.isPairable = false;
    return "250 2.0.0 surplus\r\n";
  }

  protected settle(
    kind: ReplyKind,
    subject: string,
    index: number,
    refusals: string,
    code: number,
    enhanced: string,
    endsGroup = false,
  ): void {
    const refusal = refusals === "" ? undefined : this.takeRefusalFor(refusals);
    this.refuse(kind, subject, index, refusal ?? [code, enhanced], endsGroup);
  }

  protected refuse(
    kind: ReplyKind,
    subject: string,
    index: number,
    [code, enhanced]: readonly [number, string],
    endsGroup: boolean,
  ): void {
    if (kind === "probe" || kind === "vrfy" || kind === "expn" || kind === "login") {
      this.record.answers++;
    }
    if (code >= 400 && (kind === "mail" || kind === "data")) {
      this.record.answers++;
    }
    // A message is finished too when nobody in it was accepted.
    if (kind === "rcpt" && code >= 400) {
      this.record.answers++;
    }
    const isMany = kind === "rcpt" || kind === "probe";
    const text = this.reply(kind, subject, index, code, enhanced, kind) + (isMany ? this.surplus : "");
    this.answer(text, endsGroup && code !== 421, code === 421 ? () => this.link.finish() : undefined);
  }

  protected reply(
    kind: ReplyKind,
    subject: string,
    index: number,
    code: number,
    enhanced: string,
    text: string,
  ): string {
    const number = this.ledger.say(this.record, kind, subject, index, code);
    const prefix = enhanced === "" ? "" : `${enhanced} `;
    const first = this.offer.talkative && code !== 354 ? `${code}-${prefix}I have much to say\r\n` : "";
    return `${first}${code} ${prefix}${text} #${number}\r\n`;
  }

  protected refuseGreeting(): void {
    this.isRefused = true;
    const [code, enhanced] = this.random.pick([
      [421, "4.3.2"],
      [554, "5.7.1"],
      [250, ""],
      [354, ""],
    ] as const);
    this.answer(this.reply("other", "", -1, code, enhanced, "no"), false, () => this.link.finish());
  }

  protected takeRefusal(): boolean {
    const { isRefused } = this;
    this.isRefused = false;
    return isRefused;
  }

  protected takeRefusalFor(command: string): readonly [number, string] | undefined {
    return this.takeRefusal() ? this.random.pick(REFUSALS[command]!) : undefined;
  }
}
