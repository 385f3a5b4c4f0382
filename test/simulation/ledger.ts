/**
 * What the servers of a run saw and said: the truth that the answers of the actor are judged by. Every reply carries a number
 * (`#17`), so that whoever is given a reply can be asked which command it was said to.
 */
import type { Trace } from "./trace.js";
import type { VirtualTime } from "./virtual-time.js";

export type ReplyKind = "other" | "mail" | "rcpt" | "data" | "final" | "probe" | "vrfy" | "expn" | "login";

/** One connection, as its server saw it. */
export interface PeerRecord {
  readonly number: number;
  /** Which server: the settings before and after a change name different ones. */
  readonly host: string;
  /** Where it was dialled. */
  readonly address: string;
  readonly acceptedMs: number;
  /** The client's end of it. */
  readonly link: { readonly hasRested: boolean };
  goneMs: number | undefined;
  /** False once the server said or left out a reply that shifts all that follow: who pairs by count is fooled then, rightly. */
  isPairable: boolean;
  /** Relays and questions, as `limits.requests` counts them, and refused questions, as `limits.errors` does. */
  requests: number;
  refusals: number;
  /** Replies to a request. */
  answers: number;
}

export interface SaidReply {
  readonly peer: PeerRecord;
  readonly kind: ReplyKind;
  /** The relay's number, the address asked for, or the user's name and the verdict. */
  readonly subject: string;
  /** Of the recipient; -1 where the reply is for all of them. */
  readonly index: number;
  readonly code: number;
  readonly saidMs: number;
}

/** A request that arrived. */
export interface Attempt {
  readonly peer: PeerRecord;
  readonly atMs: number;
  /** Requests that arrived on the connection before it. */
  readonly before: number;
  /** The connection rested before it or one of those. */
  readonly hasRested: boolean;
}

/** What became of one relay at the servers. */
export interface MessageRecord {
  /** How often its terminator arrived, by the index of each recipient that had been accepted for it. */
  readonly ends: number[];
  /** How often each recipient's message was accepted, by the recipient's index. */
  readonly deliveries: number[];
  /** On which connections its MAIL arrived. */
  readonly attempts: Attempt[];
}

export class Ledger {
  readonly replies: SaidReply[] = [];
  readonly peers: PeerRecord[] = [];
  readonly messages = new Map<string, MessageRecord>();
  /** Which connections each question was sent on. */
  readonly questions = new Map<string, Attempt[]>();
  readonly violations: string[] = [];
  private standing = 0;
  private most = Number.POSITIVE_INFINITY;
  private mostEach = Number.POSITIVE_INFINITY;

  constructor(
    private readonly time: VirtualTime,
    private readonly trace: Trace,
  ) {}

  /** Of one of several addresses: at most so many connections stand to it. */
  allowEach(connections: number): void {
    this.mostEach = connections;
  }

  /** From now on at most so many connections may stand. */
  allow(connections: number): void {
    this.most = connections;
  }

  get open(): number {
    return this.standing;
  }

  accepted(host: string, address: string, link: PeerRecord["link"]): PeerRecord {
    const record: PeerRecord = {
      number: this.peers.length + 1,
      host,
      address,
      acceptedMs: this.time.nowMs,
      link,
      goneMs: undefined,
      isPairable: true,
      requests: 0,
      refusals: 0,
      answers: 0,
    };
    this.peers.push(record);
    this.standing++;
    if (this.standing > this.most) {
      this.violation(`${this.standing} connections stand; ${this.most} are allowed`);
    }
    const there = this.peers.filter((peer) => peer.goneMs === undefined && peer.address === address).length;
    if (host === "first" && there > this.mostEach) {
      this.violation(`${there} connections stand to ${address}; ${this.mostEach} are allowed`);
    }
    return record;
  }

  gone(record: PeerRecord): void {
    if (record.goneMs !== undefined) {
      return;
    }
    record.goneMs = this.time.nowMs;
    this.standing--;
  }

  /** Notes a reply and gives its number. */
  say(peer: PeerRecord, kind: ReplyKind, subject: string, index: number, code: number): number {
    this.replies.push({ peer, kind, subject, index, code, saidMs: this.time.nowMs });
    return this.replies.length - 1;
  }

  /** The reply whose text this is; undefined for one that is not ours. */
  find(text: string): SaidReply | undefined {
    const number = /#(\d+)/.exec(text)?.[1];
    return number === undefined ? undefined : this.replies[Number(number)];
  }

  message(id: string): MessageRecord {
    const known = this.messages.get(id);
    if (known !== undefined) {
      return known;
    }
    const made: MessageRecord = { ends: [], deliveries: [], attempts: [] };
    this.messages.set(id, made);
    return made;
  }

  asked(peer: PeerRecord, question: string): void {
    const attempts = this.questions.get(question) ?? [];
    attempts.push(this.attemptOn(peer));
    this.questions.set(question, attempts);
  }

  mail(peer: PeerRecord, id: string): void {
    this.message(id).attempts.push(this.attemptOn(peer));
  }

  violation(what: string): void {
    this.trace.add("!!!!", what);
    this.violations.push(`at ${this.time.nowMs.toFixed(3)} ms: ${what}`);
  }

  /** The request is counted already. */
  private attemptOn(peer: PeerRecord): Attempt {
    return { peer, atMs: this.time.nowMs, before: peer.requests - 1, hasRested: peer.link.hasRested };
  }
}
