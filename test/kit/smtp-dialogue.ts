/**
 * What the tests of the SMTP and LMTP session share: settings, an owner and tasks that write down what they are told, and scripts
 * that are replayed at every split. Events are short lines, so that a test reads as a dialogue and its outcome.
 */
import assert from "node:assert/strict";
import type { RecipientResult, Reply } from "../../src/api.js";
import type { HostSettings, LimitSettings, TlsSettings } from "../../src/config/settings.js";
import type { Failure } from "../../src/errors.js";
import type { AddressLookupKind } from "../../src/lookup-kinds.js";
import type { Answer, RelayJob, UserCredentials } from "../../src/messages/contract.js";
import type { HostLog } from "../../src/messages/host-log.js";
import { isRetrySafe } from "../../workers/host/retry.js";
import type { Progress } from "../../workers/wire/progress.js";
import { ReplyRules } from "../../workers/wire/reply-rules.js";
import type { SessionPurpose } from "../../workers/wire/smtp/channel.js";
import type { SmtpOwner } from "../../workers/wire/smtp/owner.js";
import { PeerMemory } from "../../workers/wire/smtp/peer-memory.js";
import { SmtpSession } from "../../workers/wire/smtp/session.js";
import type { ContentReceiver, LoginTask, LookupTask, RelayHandle, RelayTask } from "../../workers/wire/smtp/tasks.js";
import { cacheSettings } from "./cache-settings.js";
import { PLAIN_HEAD } from "./plain-head.js";
import { replay, replayEverySplit, type ScriptedWire } from "./transcript.js";

type Steps = readonly (string | ((session: SmtpSession) => void))[];

/** Settings of an SMTP host in plain text, unless told otherwise. */
export function smtpSettings(
  details: Partial<Omit<HostSettings, "limits" | "tls">> & {
    limits?: Partial<LimitSettings>;
    tls?: Partial<TlsSettings>;
  } = {},
): HostSettings {
  const { limits, tls, ...others } = details;
  return {
    id: "host",
    address: "192.0.2.1",
    port: 25,
    protocol: "smtp",
    concurrency: 2,
    timeoutMs: 60_000,
    lookup: true,
    client: "none",
    tls: {
      implicit: false,
      startTls: "disable",
      allowInvalidCerts: false,
      serverName: "192.0.2.1",
      minVersion: "TLSv1.2",
      ...tls,
    },
    allowPlaintextAuth: false,
    bareRecipients: false,
    eightBit: "send",
    timeouts: {
      greetingMs: 1_001,
      mailMs: 1_002,
      rcptMs: 1_003,
      dataInitiationMs: 1_004,
      dataBlockMs: 1_005,
      dataTerminationMs: 1_006,
      commandMs: 1_007,
      lookupMs: 10_000,
    },
    limits: {
      errors: 100,
      requests: 1_000,
      idleMs: 30_000,
      lifetimeMs: 300_000,
      queue: 1_000,
      queueOctets: 1_000_000,
      pipeline: 50,
      refusals: 5,
      guesses: 10,
      ...limits,
    },
    cache: cacheSettings(),
    ...others,
  };
}

/** What a message is, as far as a test cares. */
export interface RelayDetails extends Partial<Omit<RelayJob, "content">> {
  /** null: it comes in parts, given with {@link FakeRelay.part}. */
  content?: string | null;
  /** Withdrawn by the gateway's thread before this phase. */
  withdrawnBefore?: "envelope" | "content" | "terminator";
}

/** A message that writes down what becomes of it. */
export class FakeRelay implements RelayTask {
  readonly job: RelayJob;
  phase = "queued";
  /** Parts asked for and not given. */
  wanted = 0;
  private handle: RelayHandle | undefined;
  private receiver: ContentReceiver | undefined;
  private isSettled = false;

  constructor(
    private readonly events: string[],
    readonly name: string,
    private readonly details: RelayDetails = {},
  ) {
    const { content = "hi\r\n", withdrawnBefore: _, ...job } = details;
    this.job = {
      slot: 0,
      deadlineMs: Number.POSITIVE_INFINITY,
      from: `${name}@example.org`,
      recipients: ["u@example.net"],
      ...PLAIN_HEAD,
      body: "7bit",
      client: "",
      tag: "",
      content: content === null ? null : Buffer.from(content),
      ...job,
    };
  }

  get client(): string {
    return this.job.client;
  }

  startedOn(transaction: RelayHandle): void {
    this.handle = transaction;
  }
  portion(): undefined {}
  toEnvelope(): boolean {
    return this.to("envelope");
  }
  toContent(): boolean {
    return this.to("content");
  }
  toTerminator(): boolean {
    return this.to("terminator");
  }
  toReplied(): void {
    this.phase = "replied";
  }
  wantContent(receiver: ContentReceiver): void {
    this.receiver = receiver;
    this.wanted++;
  }
  partSent(): void {}
  finished(recipients: readonly RecipientResult[], reply: Reply | undefined): void {
    const results = recipients.map((r) => (r.reply === undefined ? r.status : `${r.status} ${r.reply.code}`));
    this.settle(`${results.join(", ")}${reply === undefined ? "" : `; ${reply.code} ${reply.text}`}`);
  }
  failed(failure: Failure): void {
    this.settle(failure.code);
  }
  lost(failure: Failure, progress: Progress): void {
    this.settle(lostWith(failure, progress));
  }

  /** Hands it to a session. */
  readonly start = (session: SmtpSession): void => session.relay(this);
  readonly cancel = (): void => this.handle?.cancel({ code: "ABORTED", message: "given up" });
  /** One part of its content. */
  part(text: string, isLast = false): () => void {
    return () => {
      assert.ok(this.wanted > 0, "a part that was not asked for");
      this.wanted--;
      this.receiver!.contentPart(Buffer.from(text), isLast);
    };
  }
  readonly breakStream = (): void =>
    this.receiver!.contentFailed({ code: "CONTENT_FAILED", message: "the stream threw" });

  private to(phase: "envelope" | "content" | "terminator"): boolean {
    if (this.details.withdrawnBefore === phase) {
      return false;
    }
    this.phase = phase;
    return true;
  }

  private settle(what: string): void {
    assert.ok(!this.isSettled, `message ${this.name} was settled twice, now as ${what}`);
    this.isSettled = true;
    this.events.push(`${this.name}: ${what}`);
  }
}

/** A question that writes down its answer. */
export class FakeLookup implements LookupTask {
  private isSettled = false;
  constructor(
    private readonly events: string[],
    readonly kind: AddressLookupKind,
    readonly value: string,
    readonly client = "",
  ) {}

  answered(answer: Answer, speaksOfUs: boolean): void {
    const values = answer.values.length === 0 ? "" : ` [${answer.values.join(" ")}]`;
    const mailbox = answer.mailbox === undefined ? "" : `, ${answer.mailbox}`;
    this.settle(`${answer.found ? "found" : "not found"}${values}${mailbox}${speaksOfUs ? " (of us)" : ""}`);
  }
  failed(failure: Failure): void {
    this.settle(failure.code);
  }
  lost(failure: Failure, progress: Progress): void {
    this.settle(lostWith(failure, progress));
  }
  readonly start = (session: SmtpSession): void => session.lookup(this);

  private settle(what: string): void {
    assert.ok(!this.isSettled, `${this.value} was settled twice, now as ${what}`);
    this.isSettled = true;
    this.events.push(`${this.kind} ${this.value}: ${what}`);
  }
}

class FakeLogin implements LoginTask {
  constructor(
    private readonly dialogue: SmtpDialogue,
    readonly credentials: UserCredentials,
    readonly client = "",
  ) {}
  answered(answer: Answer): void {
    this.dialogue.replies.push(answer.reply);
    this.dialogue.events.push(`login: ${answer.found ? "found" : "not found"}`);
  }
  failed(failure: Failure): void {
    this.dialogue.failures.push(failure);
    this.dialogue.events.push(`login: ${failure.code}`);
  }
  lost(failure: Failure, progress: Progress): void {
    this.dialogue.failures.push(failure);
    this.dialogue.events.push(`login: ${lostWith(failure, progress)}`);
  }
}

function lostWith(failure: Failure, progress: Progress): string {
  return `${failure.code}${isRetrySafe(progress) ? " (retry)" : ""}`;
}

export interface DialogueOptions {
  /** No name is known for EHLO, and the connection comes from this address, or by a unix socket. */
  readonly comesFrom?: string;
  readonly settings?: HostSettings;
  readonly purpose?: SessionPurpose;
  /** What the account logs in by, where it does so by access tokens. */
  readonly token?: string;
  readonly isSecure?: boolean;
  readonly peer?: Partial<PeerMemory>;
}

/** One session and everything it told. */
export class SmtpDialogue implements SmtpOwner {
  readonly events: string[] = [];
  readonly failures: Failure[] = [];
  readonly replies: Reply[] = [];
  /** Messages to hand over behind a terminator. */
  readonly waiting: FakeRelay[] = [];
  readonly peer: PeerMemory;
  /** Tasks given that count for limits.requests, refusals that count for limits.errors, and whether more tasks may come. */
  requests = 0;
  errors = 0;
  isRetired = false;
  session!: SmtpSession;
  wire!: ScriptedWire;

  constructor(private readonly options: DialogueOptions) {
    this.peer = Object.assign(new PeerMemory(), options.peer);
  }

  open(wire: ScriptedWire): SmtpSession {
    this.wire = wire;
    wire.localAddress = this.options.comesFrom === "unix" ? undefined : this.options.comesFrom;
    let drawn = 0;
    const settings = this.options.settings ?? smtpSettings();
    this.session = new SmtpSession(wire, {
      settings,
      hostname: this.options.comesFrom === undefined ? "gw.example" : undefined,
      purpose: this.options.purpose ?? "service",
      token: this.options.token,
      peer: this.peer,
      owner: this,
      log: this.log,
      replyRules: settings.replies === undefined ? undefined : new ReplyRules(settings.replies),
      randomBytes: (count) => new Uint8Array(count).fill(++drawn),
    });
    return this.session;
  }

  relay(name: string, details?: RelayDetails): FakeRelay {
    return new FakeRelay(this.events, name, details);
  }
  rcpt(value: string, client = ""): (session: SmtpSession) => void {
    return new FakeLookup(this.events, "rcpt", value, client).start;
  }
  vrfy(value: string, client = ""): (session: SmtpSession) => void {
    return new FakeLookup(this.events, "vrfy", value, client).start;
  }
  expn(value: string): (session: SmtpSession) => void {
    return new FakeLookup(this.events, "expn", value).start;
  }
  login(username: string, secret: string, isToken = false): (session: SmtpSession) => void {
    const task = new FakeLogin(this, { username, secret, isToken });
    return (session) => session.login(task);
  }

  ready(): void {
    this.events.push("ready");
  }
  /** As the pool does with a connection that is used up. */
  progressed(): void {
    if (this.options.purpose === "login" && this.session.isIdle && this.isRetired) {
      this.session.quit(false);
    }
  }
  refused(): void {
    this.errors++;
  }
  settled(): void {
    this.requests++;
  }
  unsent(): void {}
  retire(): void {
    this.isRetired = true;
  }
  nextRelay(): FakeRelay | undefined {
    return this.waiting.shift();
  }
  ended(failure: Failure): void {
    this.failures.push(failure);
    this.events.push(`ended ${failure.code}`);
  }
  readonly log: HostLog = { write: (_level, event) => this.events.push(`notice ${event}`) };
}

/** Replays a dialogue whole, byte by byte and at every split; each time exactly these events must come of it. */
export function checkDialogue(
  options: DialogueOptions,
  build: (dialogue: SmtpDialogue) => Steps,
  expected: readonly string[],
  further: (dialogue: SmtpDialogue) => void = () => {},
): void {
  let dialogue!: SmtpDialogue;
  replayEverySplit(
    () => {
      dialogue = new SmtpDialogue(options);
      const current = dialogue;
      const steps = build(current);
      return { open: (wire) => current.open(wire as ScriptedWire), isSecure: options.isSecure ?? false, steps };
    },
    () => {
      assert.deepEqual(dialogue.events, expected);
      further(dialogue);
    },
  );
}

/** The same, whole only: for what depends on where the network cuts. */
export function checkWhole(
  options: DialogueOptions,
  build: (dialogue: SmtpDialogue) => Steps,
  expected: readonly string[],
): SmtpDialogue {
  const dialogue = new SmtpDialogue(options);
  const steps = build(dialogue);
  replay({ open: (wire) => dialogue.open(wire as ScriptedWire), isSecure: options.isSecure ?? false, steps });
  assert.deepEqual(dialogue.events, expected);
  return dialogue;
}

/** Greeting, EHLO (or LHLO) and what the host offers. */
export function greeted(extensions: readonly string[] = ["PIPELINING"], verb = "EHLO"): string[] {
  return ["S: 220 host ESMTP", `C: ${verb} gw.example`, ...offered(extensions)];
}

/** The reply to EHLO. */
export function offered(extensions: readonly string[]): string[] {
  const lines = ["host", ...extensions];
  return lines.map((line, at) => `S: 250${at === lines.length - 1 ? " " : "-"}${line}`);
}
