/**
 * One host actor with its pool under a clock that stands still until a test moves it, against peers that answer as a test says.
 * Everything happens in {@link HostRig.run}, in order and without real time, so that a rule of the pool is a few lines of test.
 */
import assert from "node:assert/strict";
import type { RecipientResult, Reply } from "../../src/api.js";
import type { HostSettings } from "../../src/config/settings.js";
import type { Failure } from "../../src/errors.js";
import type { Answer, RelayJob } from "../../src/messages/contract.js";
import type { HealthNews } from "../../src/messages/health.js";
import type { GatewayPort, RelayPhases } from "../../src/messages/host-actor.js";
import { type PlaceDemand, type PlaceGrant, type SharedThing, splitLeaseId } from "../../src/messages/places.js";
import { type Clock, TimerWheel } from "../../src/timer-wheel.js";
import { Actor } from "../../workers/host/actor.js";
import type { Dial } from "../../workers/wire/dial.js";
import type { Session, Wire } from "../../workers/wire/session.js";
import type { World } from "../../workers/world.js";
import { PLAIN_HEAD } from "./plain-head.js";
import { type AnswerLine, RigPeer } from "./rig-peer.js";
import { smtpSettings } from "./smtp-dialogue.js";

export interface RigOptions {
  readonly settings?: Parameters<typeof smtpSettings>[0];
  readonly answer?: AnswerLine;
  /** What becomes of an attempt to connect. Default: `accept`. */
  readonly connect?: (peer: RigPeer) => "accept" | "refuse" | "hold";
  /** Default: `220 host`; undefined: nothing yet. */
  readonly greeting?: (peer: RigPeer) => string | undefined;
  /** Where its name leads; `own`: each name is an address. */
  readonly addresses?: string[] | Failure | "own";
}

const TIMEOUTS = {
  greetingMs: 60_000,
  mailMs: 60_000,
  rcptMs: 60_000,
  dataInitiationMs: 60_000,
  dataBlockMs: 60_000,
  dataTerminationMs: 60_000,
  commandMs: 60_000,
  lookupMs: 10_000,
};

export class HostRig implements GatewayPort, RelayPhases {
  readonly peers: RigPeer[] = [];
  /** What each slot was told, in order. */
  readonly told: string[] = [];
  readonly logged: string[] = [];
  /** The same with what they said. */
  readonly records: { event: string; fields: Readonly<Record<string, unknown>> }[] = [];
  /** Requests that have left their queue for a connection. */
  readonly begun = new Set<string>();
  readonly settings: HostSettings;
  /** Who has the host's requests now. */
  actor: Actor;
  /** Connections whose end is held back: {@link RigPeer.cut} lets them go. */
  holdsClose = false;
  inFlight = 0;
  nowMs = 1_000;
  /** Most connections at one time. */
  mostOpen = 0;
  private readonly names = new Map<number, string>();
  private readonly events: (() => void)[] = [];
  private readonly timers = new Set<{ dueMs: number; run: () => void }>();
  private slots = 0;
  private serial = 0;
  /** What the actor told of the places that gateways share. */
  readonly demands: string[] = [];
  /** Access tokens that were asked for, by the number of the one that was refused. */
  readonly tokenWishes: number[] = [];
  readonly clock: Clock = {
    now: () => this.nowMs,
    after: (ms, run) => {
      const timer = { dueMs: this.nowMs + ms, run };
      this.timers.add(timer);
      return () => this.timers.delete(timer);
    },
  };
  private readonly world: World = {
    clock: this.clock,
    wheel: new TimerWheel(this.clock),
    resolve: (name, done) => {
      const { addresses = ["192.0.2.1"] } = this.options;
      this.soon(() => done(addresses === "own" ? [name] : addresses));
    },
    findService: () => assert.fail("no host of this rig has SRV records"),
    dial: <S extends Session>(dial: Dial, open: (wire: Wire) => S): S => {
      const peer = new RigPeer(this, this.peers.length, dial.address, dial.preface);
      this.peers.push(peer);
      this.mostOpen = Math.max(this.mostOpen, this.peers.filter(({ state }) => state !== "gone").length);
      const session = open(peer);
      peer.begin(session);
      return session;
    },
    date: () => 1_700_000_000_000 + this.nowMs,
    random: () => 1,
    randomBytes: (count) => new Uint8Array(count).fill(7),
  };

  constructor(readonly options: RigOptions = {}) {
    this.settings = smtpSettings({
      timeouts: TIMEOUTS,
      ...options.settings,
      tls: { implicit: true, ...options.settings?.tls },
    });
    this.actor = this.appoint(undefined);
  }

  /** Removes the host, which serves what it has for so long, and adds it again: requests go to the new one. Resolves when the former one is done. */
  replace(drainMs: number): Promise<void> {
    const predecessor = this.actor;
    const done = predecessor.close(drainMs);
    this.actor = this.appoint(predecessor);
    return done;
  }

  /** Lets the actor have so many of the places that gateways share, or so many parts of a rate. */
  grant(
    places: number,
    basis: PlaceGrant["basis"] = "lease",
    forMs = Number.POSITIVE_INFINITY,
    of: SharedThing = "connections",
  ): void {
    this.serial++;
    this.actor.grantPlaces(of, { serial: this.serial, places, untilMs: this.nowMs + forMs, basis });
  }

  private appoint(predecessor: Actor | undefined): Actor {
    const { settings, world } = this;
    const ends = { answers: this, phases: this };
    return new Actor({ settings, hostname: "gw.example", hostIndex: 0, ...ends, world, predecessor });
  }

  // --- requests: each has a name, by which its outcome is told

  rcpt(name: string, deadlineMs = Number.POSITIVE_INFINITY, client = "", tag = ""): number {
    const slot = this.take(name);
    this.actor.lookup(slot, "rcpt", `${name.split("#")[0]}@example.net`, deadlineMs, client, tag);
    return slot;
  }
  vrfy(name: string): number {
    const slot = this.take(name);
    this.actor.lookup(slot, "vrfy", name, Number.POSITIVE_INFINITY, "");
    return slot;
  }
  login(name: string, secret = "good", client = "", deadlineMs = Number.POSITIVE_INFINITY, tag = ""): number {
    const slot = this.take(name);
    const credentials = { username: name.split("#")[0]!, secret, isToken: false };
    this.actor.authenticate(slot, credentials, deadlineMs, client, tag);
    return slot;
  }
  relay(name: string, deadlineMs = Number.POSITIVE_INFINITY, details: Partial<RelayJob> = {}): number {
    const slot = this.take(name);
    this.actor.relay({
      slot,
      deadlineMs,
      from: `${name}@example.org`,
      recipients: ["u@example.net"],
      ...PLAIN_HEAD,
      client: "",
      tag: "",
      content: Buffer.from("hi\r\n"),
      ...details,
    });
    return slot;
  }

  // --- time

  soon(event: () => void): void {
    this.events.push(event);
  }
  /** Lets happen what is due now. */
  run(): void {
    for (let event = this.events.shift(); event !== undefined; event = this.events.shift()) {
      event();
    }
  }
  /** Lets time pass, and happen what falls due meanwhile. */
  advance(ms: number): void {
    const untilMs = this.nowMs + ms;
    this.run();
    for (;;) {
      let next: { dueMs: number; run: () => void } | undefined;
      for (const timer of this.timers) {
        if (timer.dueMs <= untilMs && timer.dueMs < (next?.dueMs ?? Infinity)) {
          next = timer;
        }
      }
      if (next === undefined) {
        break;
      }
      this.timers.delete(next);
      this.nowMs = Math.max(this.nowMs, next.dueMs);
      next.run();
      this.run();
    }
    this.nowMs = untilMs;
  }

  // --- what is to be seen

  /** The outcomes since the last call. */
  outcomes(): string[] {
    return this.told.splice(0);
  }
  /** Commands of one verb that all peers saw, in their order on each connection. */
  seen(verb: string): string[] {
    return this.peers.flatMap(({ lines }) => lines.filter((line) => line.startsWith(verb)));
  }
  get open(): RigPeer[] {
    return this.peers.filter(({ state }) => state !== "gone");
  }
  /** Every slot was answered, once, and nothing counts as in flight. */
  checkSettled(): void {
    assert.equal(this.names.size, 0, `not settled: ${[...this.names.values()]}`);
    assert.equal(this.inFlight, 0, "requests in flight");
    assert.ok(this.mostOpen <= this.settings.concurrency, "concurrency was exceeded");
  }

  // --- GatewayPort and RelayPhases

  answered(slot: number, answer: Answer, source: string, ageMs: number): void {
    const age = ageMs === 0 ? "" : ` ${ageMs} ms old`;
    this.tell(slot, `${answer.found ? "found" : "not found"} (${source}${age})`);
  }
  relayed(slot: number, recipients: readonly RecipientResult[], _reply: Reply | undefined, connection: number): void {
    this.tell(slot, `${recipients.map(({ status }) => status).join(", ")} on ${connection}`);
  }
  failed(slot: number, failure: Failure): void {
    this.tell(slot, failure.code);
  }
  /** Gives the next part of a streamed content, as soon as it is wanted. */
  stream: ((slot: number) => void) | undefined;
  wantContent(slot: number): void {
    this.soon(() => this.stream?.(slot));
  }
  recycle(): void {}
  connected(): void {}

  tokenWanted(_host: number, _hostId: string, refused: number): void {
    this.tokenWishes.push(refused);
  }

  /** What the actor found out that other gateways may be told. */
  readonly found: HealthNews[] = [];
  healthFound(_hostId: string, news: HealthNews): void {
    this.found.push(news);
  }

  placesWanted(leaseId: string, { want, held }: PlaceDemand): void {
    const { of } = splitLeaseId(leaseId);
    this.demands.push(of === "rate" ? `rate: ${want} wanted` : `${want} wanted, ${held} held`);
  }

  log(
    _level: string,
    event: string,
    _hostId: string,
    _message: string,
    fields: Readonly<Record<string, unknown>> = {},
  ): void {
    this.records.push({ event, fields });
    this.logged.push(event);
  }
  toEnvelope(slot: number): boolean {
    this.begun.add(this.names.get(slot)!);
    return true;
  }
  toContent(): boolean {
    return true;
  }
  toTerminator(): boolean {
    return true;
  }
  toReplied(): void {}
  toQueued(slot: number): boolean {
    this.begun.delete(this.names.get(slot)!);
    return true;
  }
  countInFlight(_host: number, delta: number): void {
    this.inFlight += delta;
    assert.ok(this.inFlight >= 0, "fewer than no requests in flight");
  }

  private take(name: string): number {
    const slot = this.slots++;
    this.names.set(slot, name);
    return slot;
  }

  private tell(slot: number, what: string): void {
    const name = this.names.get(slot);
    assert.ok(name !== undefined, `slot ${slot} was answered twice, now: ${what}`);
    this.names.delete(slot);
    this.told.push(`${name}: ${what}`);
  }
}
