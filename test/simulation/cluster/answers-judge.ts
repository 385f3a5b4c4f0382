/** What the host said, what was forgotten and what befell whom in a simulated cluster; holds each answer of a gateway to that. Serves answers-run.ts. */
import type { LookupAnswer } from "../../../src/api.js";
import type { Answer } from "../../../src/messages/contract.js";
import type { VirtualTime } from "../virtual-time.js";
import type { AnswersGateway } from "./answers-gateway.js";
import { SETTLE_MS } from "./answers-run.js";

/** An answer may be under way for so long between the threads. */
const UNDER_WAY_MS = 100;
/** Word of what was forgotten may be under way for so long where nothing is wrong. */
const WORD_MS = 200;

interface Forgotten {
  readonly gateway: AnswersGateway;
  readonly hostId: string;
  /** `undefined`: everything of the host. */
  readonly address: string | undefined;
  readonly calledMs: number;
  doneMs: number;
  /** Nobody who knew of it may be left: it holds for the others no more. */
  isLost: boolean;
}

export class AnswersJudge {
  readonly broken: string[] = [];
  readonly forgets: Forgotten[] = [];
  /** When the host said what, by the text of its reply. */
  private readonly said = new Map<string, number>();
  /** When a gateway read it: one that is stopped leaves it in its socket. */
  private readonly read = new Map<string, number>();
  /** How often it was asked. */
  private readonly asked = new Map<string, number>();
  private readonly jumps: { readonly atMs: number; readonly byMs: number }[] = [];
  /** Until when the link of a gateway, or of all, may not have what it missed. */
  private readonly troubledUntilMs = new Map<AnswersGateway, number>();
  private allTroubledUntilMs = 0;

  constructor(
    private readonly time: VirtualTime,
    private readonly ttl: { readonly positiveTtlMs: number; readonly negativeTtlMs: number },
  ) {}

  add(gateway: AnswersGateway): void {
    this.trouble(gateway, 0);
  }

  trouble(gateway: AnswersGateway, forMs: number): void {
    const untilMs = this.time.nowMs + forMs + SETTLE_MS;
    this.troubledUntilMs.set(gateway, Math.max(untilMs, this.troubledUntilMs.get(gateway) ?? 0));
  }

  troubleAll(forMs: number): void {
    this.allTroubledUntilMs = Math.max(this.allTroubledUntilMs, this.time.nowMs + forMs + SETTLE_MS);
  }

  /** Nothing befalls anybody from here on. */
  calm(): void {
    const untilMs = this.time.nowMs + SETTLE_MS;
    this.allTroubledUntilMs = Math.min(this.allTroubledUntilMs, untilMs);
    for (const [gateway, ms] of this.troubledUntilMs) {
      this.troubledUntilMs.set(gateway, Math.min(ms, untilMs));
    }
  }

  /** What it had no time to tell died with it. */
  killed(gateway: AnswersGateway): void {
    for (const each of this.forgets) {
      if (each.gateway === gateway && (each.doneMs === Number.POSITIVE_INFINITY || this.isTroubled(gateway))) {
        each.isLost = true;
      }
    }
  }

  /** Redis has gone back to a copy. Another `forget()` behind it may be counted as one that was lost. */
  restored(copiedMs: number): void {
    for (const each of this.forgets) {
      if (each.doneMs > copiedMs) {
        each.isLost ||= each.gateway.state !== "running" || this.forgets.some(({ doneMs }) => doneMs > each.doneMs);
        this.restoredMs = this.time.nowMs;
      }
    }
  }

  private restoredMs = Number.NEGATIVE_INFINITY;

  clockJumped(byMs: number): void {
    this.jumps.push({ atMs: this.time.nowMs, byMs });
  }

  /** @returns to be called when the gateway says that it is done */
  forget(gateway: AnswersGateway, hostId: string, address: string | undefined): () => void {
    const calledMs = this.time.nowMs;
    const isLost = false;
    const forgotten: Forgotten = { gateway, hostId, address, calledMs, doneMs: Number.POSITIVE_INFINITY, isLost };
    // One that follows a Redis that went back is counted as the one that was lost was.
    if (calledMs < this.restoredMs + SETTLE_MS) {
      for (const each of this.forgets) {
        each.isLost ||= each.hostId === hostId && each.doneMs > this.restoredMs - 2 * SETTLE_MS;
      }
    }
    this.forgets.push(forgotten);
    return () => {
      forgotten.doneMs = this.time.nowMs;
    };
  }

  /** The host answers: each answer is told from all others by its text. */
  say(hostId: string, address: string, found: boolean): Answer {
    const text = `answer ${this.said.size}`;
    this.said.set(text, this.time.nowMs);
    const key = `${hostId} ${address}`;
    this.asked.set(key, (this.asked.get(key) ?? 0) + 1);
    return { found, values: [], reply: { code: found ? 250 : 550, text } };
  }

  heard(answer: Answer | undefined): void {
    if (answer !== undefined) {
      this.read.set(textOf(answer), this.time.nowMs);
    }
  }

  /** What a gateway was asked at `sinceMs`, and answers now. */
  checkAnswer(gateway: AnswersGateway, hostId: string, address: string, sinceMs: number, answer: LookupAnswer): void {
    const { nowMs } = this.time;
    if (gateway.state !== "running" || gateway.resumedMs >= sinceMs) {
      return;
    }
    const givenMs = this.said.get(textOf(answer))!;
    const readMs = this.read.get(textOf(answer))!;
    const what = `${hostId} ${address}: ${gateway.id} answered from ${answer.source} at ${Math.round(nowMs)} ms what was said at ${Math.round(givenMs)} ms`;
    const ttlMs = answer.found ? this.ttl.positiveTtlMs : this.ttl.negativeTtlMs;
    if (nowMs - readMs > ttlMs + this.setBackSince(readMs) + UNDER_WAY_MS) {
      this.fail(`${what}, with a TTL of ${ttlMs} ms`);
    }
    for (const each of this.forgets) {
      const isMeant = each.hostId === hostId && (each.address ?? address) === address;
      if (isMeant && givenMs < each.calledMs && this.mustKnow(gateway, each, sinceMs)) {
        this.fail(`${what}, forgotten by ${each.gateway.id} at ${Math.round(each.calledMs)} ms`);
      }
    }
  }

  /** Each question once, and none left out. */
  checkSurvey(asked: ReadonlyMap<string, string>): void {
    for (const question of asked.keys()) {
      const count = this.asked.get(question) ?? 0;
      if (count !== 1) {
        this.fail(`the host was asked ${count} times: ${question}`);
      }
    }
  }

  fail(what: string): void {
    if (this.broken.length < 5) {
      this.broken.push(what);
    }
  }

  /** Whether a gateway that is asked at `sinceMs` may not give an answer of before. */
  private mustKnow(gateway: AnswersGateway, { gateway: by, doneMs, isLost }: Forgotten, sinceMs: number): boolean {
    if (by === gateway) {
      return sinceMs >= doneMs && !isLost;
    }
    const isQuiet =
      sinceMs > this.allTroubledUntilMs && !this.isTroubled(gateway, sinceMs) && !this.isTroubled(by, sinceMs);
    return isQuiet && !isLost && sinceMs > doneMs + WORD_MS;
  }

  private isTroubled(gateway: AnswersGateway, atMs = this.time.nowMs): boolean {
    return atMs <= this.allTroubledUntilMs || atMs <= (this.troubledUntilMs.get(gateway) ?? 0);
  }

  /** By how much Redis' clock was set back since. */
  private setBackSince(ms: number): number {
    return this.jumps.reduce((sum, { atMs, byMs }) => sum + (atMs >= ms ? Math.max(0, -byMs) : 0), 0);
  }
}

function textOf({ reply }: Pick<LookupAnswer, "reply">): string {
  return reply!.text;
}
