/**
 * One connection of the well-behaved SMTP or LMTP server: frames lines, mail data and chunks, asks mail-dialogue.ts for the answer
 * and the standing orders for another one, and enters everything in the ledger. mail-server.ts makes one per connection.
 */
import { enterLogin, type Ledger, type LedgerConnection } from "./ledger.js";
import { MailDataReader } from "./mail-data-reader.js";
import { MailDialogue } from "./mail-dialogue.js";
import type { MailSessionOptions } from "./mail-options.js";
import { applyEnding, linesOf, type Order, type Orders } from "./orders.js";
import type { ScriptedPeer } from "./peer.js";
import type { Next, Verdict } from "./verdict.js";

const LF = 10;
const CR = 13;
const EMPTY = Buffer.alloc(0);

/** RFC 5321 4.5.3.1.4 allows 512 octets a line; extensions add to MAIL and RCPT, RFC 4954 4 allows 12,288 for AUTH. */
const LINE_LIMITS: Record<string, number> = { MAIL: 2_048, RCPT: 2_048, AUTH: 12_288 };

type Phase = "command" | "data" | "chunk" | "sasl" | "deaf";

/** A running session. */
export class MailSession {
  readonly #peer: ScriptedPeer;
  readonly #options: MailSessionOptions;
  readonly #overrides: Orders;
  readonly #ledger: Ledger;
  readonly #record: LedgerConnection;
  readonly #dialogue: MailDialogue;
  readonly #isRecording: boolean;
  #phase: Phase = "command";
  /** An order makes the answer wait; what arrives meanwhile is kept. */
  #isWaiting = false;
  #buffer: Buffer = EMPTY;
  #at = 0;
  /** Counts what arrived in one piece; equal numbers stood behind one another before any reply. */
  #batch = 0;
  #rcptBatch = -1;
  #out = "";
  #sent: Promise<unknown> = Promise.resolve();
  #reader: MailDataReader | undefined;
  #chunk = { left: 0, isLast: false };

  constructor(
    peer: ScriptedPeer,
    options: MailSessionOptions,
    overrides: Orders,
    ledger: Ledger,
    record: LedgerConnection,
  ) {
    this.#peer = peer;
    this.#options = options;
    this.#overrides = overrides;
    this.#ledger = ledger;
    this.#record = record;
    this.#dialogue = new MailDialogue(options, ledger, record);
    this.#dialogue.isSecure = peer.isSecure;
    this.#isRecording = options.keep !== "nothing";
  }

  /** Greets, and serves until the connection is gone. */
  async serve(): Promise<void> {
    this.#settle(this.#dialogue.greet(), "");
    this.#flush();
    this.#peer.takeOver((bytes) => this.#received(bytes));
    await this.#peer.ended;
    this.#dialogue.end("closed");
    this.#record.isClosed = true;
    this.#ledger.changed();
    this.#peer.close();
  }

  #received(bytes: Buffer): void {
    this.#batch++;
    this.#buffer = this.#at < this.#buffer.length ? Buffer.concat([this.#buffer.subarray(this.#at), bytes]) : bytes;
    this.#at = 0;
    this.#run();
  }

  #run(): void {
    while (!this.#isWaiting && this.#at < this.#buffer.length && this.#step()) {}
    this.#flush();
    this.#ledger.changed();
  }

  /** Consumes one line, or content; false: more octets are needed. */
  #step(): boolean {
    if (this.#phase === "deaf") {
      this.#at = this.#buffer.length;
      return false;
    }
    if (this.#phase === "data") {
      return this.#stepData();
    }
    if (this.#phase === "chunk") {
      return this.#stepChunk();
    }
    const end = this.#buffer.indexOf(LF, this.#at);
    if (end < 0) {
      return false;
    }
    const isStrict = end > this.#at && this.#buffer[end - 1] === CR;
    const line = this.#buffer.toString("utf8", this.#at, isStrict ? end - 1 : end);
    this.#at = end + 1;
    this.#takeLine(line, isStrict);
    return true;
  }

  #takeLine(line: string, isStrict: boolean): void {
    if (!isStrict || /[\0\r]/.test(line)) {
      this.#record.violations.push(`bare LF, bare CR or NUL in ${JSON.stringify(line.slice(0, 80))}`);
      this.#settle({ stage: "garbage", replies: ["500 5.5.2 bare newline or NUL"], endsGroup: true }, line);
      return;
    }
    if (this.#phase === "sasl") {
      this.#settle(this.#dialogue.respondToChallenge(line), line);
      return;
    }
    const verb = line.slice(0, 4).toUpperCase();
    if (line.length > (LINE_LIMITS[verb] ?? 510)) {
      this.#record.violations.push(`${verb} line of ${line.length} octets`);
    }
    this.#ledger.commandCount++;
    if (this.#isRecording) {
      this.#record.commands.push(line);
    }
    if (verb === "BDAT") {
      this.#beginChunk(line);
      return;
    }
    if (verb === "MAIL" || verb === "RCPT") {
      this.#rcptBatch = this.#batch;
    }
    this.#settle(this.#dialogue.respond(line), line);
  }

  #beginChunk(line: string): void {
    const match = /^BDAT (\d{1,10})( LAST)?$/i.exec(line);
    if (match === null) {
      this.#record.violations.push(`501 ${line.slice(0, 80)}`);
      this.#settle({ stage: "BDAT", replies: ["501 5.5.4 BDAT size [LAST]"], endsGroup: true }, line);
      return;
    }
    // RFC 3030 2: content must not leave before the replies to MAIL and RCPT were read.
    if (this.#rcptBatch === this.#batch) {
      this.#record.violations.push("BDAT in one group with MAIL or RCPT");
    }
    this.#chunk = { left: Number(match[1]), isLast: match[2] !== undefined };
    this.#phase = "chunk";
    if (this.#chunk.left === 0) {
      this.#endChunk();
    }
  }

  #stepChunk(): boolean {
    const size = Math.min(this.#chunk.left, this.#buffer.length - this.#at);
    this.#dialogue.take(this.#buffer.subarray(this.#at, this.#at + size));
    this.#at += size;
    this.#chunk.left -= size;
    if (this.#chunk.left > 0) {
      return false;
    }
    this.#endChunk();
    return true;
  }

  #endChunk(): void {
    this.#phase = "command";
    const { isLast } = this.#chunk;
    this.#settle(this.#dialogue.chunk(isLast), isLast ? "BDAT LAST" : "BDAT");
  }

  #stepData(): boolean {
    if (this.#reader === undefined) {
      this.#reader = new MailDataReader((part) => this.#dialogue.take(part));
      const order = this.#overrides.find("content", this.#dialogue.transaction?.from ?? "", this.#record.number);
      if (order !== undefined) {
        this.#settle({ stage: "content", replies: [], endsGroup: false, commit: () => "data" }, "", order);
        // The order may have ended the session, or made it wait.
        return true;
      }
    }
    const reader = this.#reader;
    this.#at = reader.push(this.#buffer, this.#at);
    if (!reader.isComplete) {
      return false;
    }
    this.#reader = undefined;
    this.#phase = "command";
    const fault = reader.hasBareLf ? "bare LF in content" : reader.hasBareCr ? "bare CR in content" : undefined;
    if (fault !== undefined) {
      this.#record.violations.push(fault);
      if (this.#options.refuseBareNewlines) {
        this.#dialogue.contentFault = `550 5.6.11 ${fault}`;
      }
    }
    this.#settle(this.#dialogue.complete(), "");
    return true;
  }

  /** Finds the order for a verdict, waits if it says so, and answers. */
  #settle(verdict: Verdict, line: string, given?: Order): void {
    const { number } = this.#record;
    let order = given ?? this.#overrides.find(verdict.stage, verdict.subject ?? line, number);
    if (order === undefined && verdict.login !== undefined) {
      order = this.#overrides.find("login", verdict.login.username ?? "", number);
    }
    const { waitFor } = order ?? {};
    if (waitFor === undefined) {
      this.#answer(verdict, order);
      return;
    }
    this.#flush();
    this.#isWaiting = true;
    void Promise.resolve(typeof waitFor === "function" ? waitFor() : waitFor).then(() => {
      this.#isWaiting = false;
      this.#answer(verdict, order);
      this.#run();
    });
  }

  #answer(verdict: Verdict, order: Order | undefined): void {
    this.#judgeGroup(verdict);
    const { replies, ending } =
      order === undefined
        ? this.#deliveryReplies(verdict)
        : { replies: linesOf(order, verdict.replies), ending: order.afterwards };
    if (order?.bytes !== undefined) {
      this.#emit(order.bytes);
    } else if (replies.length > 0) {
      this.#emit(replies.map((reply) => `${reply}\r\n`).join(""));
    }
    const code = Number(replies.at(-1)?.slice(0, 3) ?? 0);
    if (verdict.login !== undefined) {
      enterLogin(this.#record, verdict.login, code === 235, this.#peer.isSecure);
    }
    const next = verdict.commit?.(code, replies) ?? "command";
    if (ending !== undefined) {
      this.#flush();
      if (ending !== "stop-reading" && ending !== "half-close") {
        this.#phase = "deaf";
      } else {
        this.#follow(next);
      }
      void this.#sent.then(() => applyEnding(ending, this.#peer));
      return;
    }
    this.#follow(next);
  }

  /** RFC 2920 3.1: what must stand last in its group; without PIPELINING everything must. */
  #judgeGroup(verdict: Verdict): void {
    const behind = this.#buffer.length - this.#at;
    if (behind === 0 || verdict.stage === "content") {
      return;
    }
    if (verdict.endsGroup) {
      this.#record.violations.push(`${behind} octets behind ${verdict.stage} before its reply`);
    } else if (!this.#dialogue.hasPipelining) {
      this.#record.violations.push(`${behind} octets behind ${verdict.stage}, and PIPELINING was not offered`);
    }
  }

  /** LMTP: each recipient's reply behind the terminator may have an order of its own; behind one that ends the session no more replies come. */
  #deliveryReplies({ stage, replies }: Verdict): { replies: readonly string[]; ending?: Order["afterwards"] } {
    if (stage !== "terminator" || this.#options.protocol !== "lmtp") {
      return { replies };
    }
    const accepted = this.#dialogue.transaction?.recipients.filter(({ isAccepted }) => isAccepted) ?? [];
    const given: string[] = [];
    for (const [at, reply] of replies.entries()) {
      const order = this.#overrides.find("delivery", accepted[at]?.address ?? "", this.#record.number);
      given.push(...(order === undefined ? [reply] : linesOf(order, [reply])));
      if (order?.afterwards !== undefined) {
        return { replies: given, ending: order.afterwards };
      }
    }
    return { replies: given };
  }

  #follow(next: Next): void {
    if (next === "tls") {
      void this.#secure();
    } else if (next === "quit") {
      this.#phase = "deaf";
      this.#flush();
      void this.#sent.then(() => this.#peer.close());
    } else {
      this.#phase = next;
    }
  }

  async #secure(): Promise<void> {
    const { startTls, tlsOptions } = this.#options;
    // What came before the 220 was noted as a violation and is not read; what comes now is the handshake.
    this.#buffer = EMPTY;
    this.#at = 0;
    this.#isWaiting = true;
    this.#flush();
    await this.#sent;
    this.#peer.giveBack(this.#buffer);
    this.#buffer = EMPTY;
    try {
      await this.#peer.startTls(startTls!, tlsOptions);
    } catch {
      // That the client refuses the certificate is its right.
      this.#peer.destroy();
      return;
    }
    this.#record.isSecure = true;
    this.#dialogue.secured();
    this.#isWaiting = false;
  }

  #emit(data: string | Uint8Array): void {
    if (typeof data === "string") {
      this.#out += data;
    } else {
      this.#flush();
      this.#sent = this.#sent.then(() => this.#peer.send(data));
    }
  }

  #flush(): void {
    if (this.#out === "") {
      return;
    }
    const out = this.#out;
    this.#out = "";
    if (this.#options.octetReplies) {
      this.#sent = this.#sent.then(() => this.#peer.sendOctets(out));
    } else {
      this.#peer.write(out);
    }
  }
}
