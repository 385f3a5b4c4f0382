/**
 * The commands in flight on one SMTP session and the replies awaited for them. A group begins with a command to a peer that owes
 * nothing, and ends when everything is answered. The session asks here what may be sent and whom a reply is for.
 */
import { type ReplyHandler, ReplyQueue } from "./reply-queue.js";

/**
 * - `quiet`: nothing is awaited.
 * - `single`: one command was sent; several replies may follow it (LMTP's verdicts).
 * - `pipelined`: commands were sent before the one before them was answered, and none is answered since.
 * - `answering`: as before, and replies have come.
 * - `…-ended`: nothing may be sent until all is answered (RFC 2920 3.1).
 * - `stray`: part of a reply came when none was awaited. Whatever is sent before the rest comes, that is no answer to it: final.
 */
export type GroupState =
  | "quiet"
  | "single"
  | "pipelined"
  | "answering"
  | "single-ended"
  | "pipelined-ended"
  | "answering-ended"
  | "stray";

/**
 * - `send`: a command is written; `expect`: one more reply is due to what was written; `end`: the command was the group's last.
 * - `answer`: a reply is read and more are awaited; `complete`: it was the last one.
 * - `stray`: part of a reply came that nobody awaits.
 */
export type GroupEvent = "send" | "expect" | "end" | "answer" | "complete" | "stray";

/** Everything that can become of a group. What cannot happen in a state changes nothing. */
export const GROUP_TABLE: Readonly<Record<GroupState, Readonly<Partial<Record<GroupEvent, GroupState>>>>> = {
  quiet: { send: "single", expect: "single", stray: "stray" },
  single: { send: "pipelined", end: "single-ended", complete: "quiet", stray: "stray" },
  pipelined: { end: "pipelined-ended", answer: "answering", complete: "quiet", stray: "stray" },
  answering: { end: "answering-ended", complete: "quiet", stray: "stray" },
  "single-ended": { complete: "quiet", stray: "stray" },
  "pipelined-ended": { answer: "answering-ended", complete: "quiet", stray: "stray" },
  "answering-ended": { complete: "quiet", stray: "stray" },
  stray: {},
};

/** A row of the table with its references resolved: a step costs one load. */
interface Row extends Record<GroupEvent, Row> {
  readonly name: GroupState;
  readonly isEnded: boolean;
  readonly isPipelined: boolean;
}

function linkRows(): Record<GroupState, Row> {
  const names = Object.keys(GROUP_TABLE) as GroupState[];
  const rows = {} as Record<GroupState, Row>;
  for (const name of names) {
    rows[name] = {
      name,
      isEnded: name.endsWith("-ended"),
      isPipelined: name.startsWith("pipelined") || name.startsWith("answering"),
    } as Row;
  }
  for (const name of names) {
    const next = (event: GroupEvent): Row => rows[GROUP_TABLE[name][event] ?? name];
    for (const event of ["send", "expect", "end", "answer", "complete", "stray"] as const) {
      rows[name][event] = next(event);
    }
  }
  return rows;
}

const ROWS = linkRows();

export class CommandGroup {
  private row = ROWS.quiet;
  private readonly awaited = new ReplyQueue();
  /** Replies that the bytes at hand can hold: a command that is queued meanwhile has not left yet. */
  private answerable = 0;

  get state(): GroupState {
    return this.row.name;
  }

  /** Replies awaited. */
  get size(): number {
    return this.awaited.length;
  }

  /** A reply that comes now belongs to nobody. */
  get isUnasked(): boolean {
    return this.answerable === 0 || this.row === ROWS.stray;
  }

  /** Nothing more may be sent for now. */
  get isEnded(): boolean {
    return this.row.isEnded;
  }

  get isStray(): boolean {
    return this.row === ROWS.stray;
  }

  /** Commands went out before the one before them was answered. */
  get isPipelined(): boolean {
    return this.row.isPipelined;
  }

  /** The peer answered the first commands of the group and then nothing more: it may have lost the others. */
  get mayBeLost(): boolean {
    return this.row === ROWS.answering || this.row === ROWS["answering-ended"];
  }

  /** Which command the next reply answers, as its handler numbered it. */
  get tag(): number {
    return this.awaited.tag;
  }

  /** The time limit of the next reply; 0 when none is awaited. */
  get withinMs(): number {
    return this.awaited.withinMs;
  }

  send(handler: ReplyHandler, tag: number, withinMs: number): void {
    this.row = this.row.send;
    this.awaited.push(handler, tag, withinMs);
  }

  expect(handler: ReplyHandler, tag: number, withinMs: number): void {
    this.row = this.row.expect;
    this.awaited.push(handler, tag, withinMs);
  }

  end(): void {
    this.row = this.row.end;
  }

  /** Bytes came: they answer what was sent by now, and nothing else. */
  bytesRead(): void {
    this.answerable = this.awaited.length;
  }

  /** The bytes at hand hold part of a reply behind everything that was awaited. */
  strayBegun(): void {
    this.row = this.row.stray;
  }

  /** Takes the reply at hand for whoever is next; not to be called where {@link isUnasked}. */
  take(): ReplyHandler {
    this.answerable--;
    const handler = this.awaited.shift();
    this.row = this.awaited.length === 0 ? this.row.complete : this.row.answer;
    return handler;
  }
}
