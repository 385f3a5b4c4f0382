/**
 * A whole host actor on a stage: its connections are scripted by the test, its time is virtual. For what only pool and actor
 * decide: who is served by which connection, and what happens when one of them is gone.
 */
import assert from "node:assert/strict";
import type { HostSettings } from "../../src/config/settings.js";
import type { Failure } from "../../src/errors.js";
import { NO_CLIENT } from "../../src/messages/client.js";
import type { GatewayPort, RelayPhases } from "../../src/messages/host-actor.js";
import { TimerWheel } from "../../src/timer-wheel.js";
import { Actor } from "../../workers/host/actor.js";
import type { SrvAnswer } from "../../workers/wire/dns/srv-message.js";
import type { Session } from "../../workers/wire/session.js";
import type { World } from "../../workers/world.js";
import { VirtualTime } from "../simulation/virtual-time.js";
import { PLAIN_HEAD } from "./plain-head.js";
import { ScriptedWire } from "./transcript.js";

/** One connection that the actor dialled. */
export class StagedConnection {
  readonly wire = new ScriptedWire();
  session!: Session;
  private isClosed = false;

  constructor(
    readonly address: string,
    /** What stands in front of everything, where something does. */
    readonly preface: Uint8Array | undefined,
  ) {}

  get isOpen(): boolean {
    return !this.isClosed;
  }

  /** The server says this, after the connection was made where that is still to be done. */
  says(text: string): void {
    this.session.received(Buffer.from(text));
    this.settle();
  }

  connects(): this {
    this.session.connected(false);
    return this;
  }

  /** Takes what was written and not taken, and compares it. */
  wrote(text: string): void {
    this.wire.takeText(text);
    assert.equal(this.wire.untaken.length, 0, `it wrote more: ${this.wire.describe()}`);
  }

  /** The connection is lost, or could not be made. */
  closes(): void {
    if (this.isClosed) {
      return;
    }
    this.isClosed = true;
    this.wire.state = "closed";
    this.session.closed({ code: "REMOTE_CLOSED", message: "The connection is gone." });
  }

  /** A destroyed connection tells its session so, later than the call that destroyed it. */
  settle(): void {
    if (this.wire.state === "destroyed") {
      this.closes();
    }
  }
}

const WORKING_PHASES: RelayPhases = {
  toEnvelope: () => true,
  toContent: () => true,
  toTerminator: () => true,
  toReplied: () => {},
  toQueued: () => true,
  countInFlight: () => {},
};

export class ActorStage {
  readonly time = new VirtualTime();
  readonly connections: StagedConnection[] = [];
  /** Those that were not closed when it was last looked. */
  private readonly live = new Set<StagedConnection>();
  /** Answers by slot, as short words. */
  readonly answers: Record<number, string> = {};
  readonly actor: Actor;
  /** What SRV records say. */
  service: SrvAnswer | Failure = { records: [], ttlMs: 0 };
  servicesAsked = 0;

  constructor(settings: HostSettings) {
    const clock = { now: () => this.time.nowMs, after: (ms: number, run: () => void) => this.time.after(ms, run) };
    const world: World = {
      clock,
      wheel: new TimerWheel(clock),
      resolve: (name, done) => this.time.soon(() => done([name])),
      findService: (_service, _withinMs, done) => {
        this.servicesAsked++;
        const { service } = this;
        this.time.soon(() => done(service));
      },
      dial: ({ address, preface }, open) => {
        const connection = new StagedConnection(address, preface);
        const session = open(connection.wire);
        connection.session = session;
        this.connections.push(connection);
        this.live.add(connection);
        return session;
      },
      date: () => this.time.nowMs,
      random: () => 0.5,
      randomBytes: (count) => new Uint8Array(count),
    };
    const answers: GatewayPort = {
      answered: (slot, answer, source) => this.note(slot, `${answer.found ? "found" : "not found"}, ${source}`),
      relayed: (slot, recipients) => this.note(slot, recipients.map(({ status }) => status).join(" ")),
      failed: (slot, failure) => this.note(slot, failure.code),
      wantContent: () => {},
      recycle: () => {},
      connected: () => {},
      placesWanted: () => {},
      healthFound: () => {},
      tokenWanted: () => {},
      log: () => {},
    };
    this.actor = new Actor({
      settings,
      hostname: "gw.example.org",
      hostIndex: 0,
      answers,
      phases: WORKING_PHASES,
      world,
    });
  }

  /** The connection with this number, from 0. What the actor has begun is carried on first. */
  connection(number: number): StagedConnection {
    this.settle();
    const connection = this.connections[number];
    assert.ok(connection, `connection ${number} was not dialled`);
    return connection;
  }

  relay(slot: number, recipients = ["u@example.net"]): void {
    this.actor.relay({
      slot,
      deadlineMs: Number.POSITIVE_INFINITY,
      from: `${slot}@example.org`,
      recipients,
      ...PLAIN_HEAD,
      body: "7bit",
      client: NO_CLIENT,
      tag: "",
      content: Buffer.from("hi\r\n"),
    });
    this.settle();
  }

  lookup(slot: number, kind: "rcpt" | "vrfy" | "expn", value: string, client = NO_CLIENT): void {
    this.actor.lookup(slot, kind, value, Number.POSITIVE_INFINITY, client);
    this.settle();
  }

  login(slot: number, username: string, client = NO_CLIENT): void {
    const credentials = { username, secret: "secret", isToken: false };
    this.actor.authenticate(slot, credentials, Number.POSITIVE_INFINITY, client);
    this.settle();
  }

  /** So much time passes. */
  advance(ms: number): void {
    let isOver = false;
    this.time.after(ms, () => {
      isOver = true;
    });
    while (!isOver) {
      this.time.step();
    }
    this.settle();
  }

  settle(): void {
    this.time.settle();
    for (const connection of this.live) {
      connection.settle();
      if (!connection.isOpen) {
        this.live.delete(connection);
      }
    }
    this.time.settle();
  }

  private note(slot: number, what: string): void {
    assert.equal(this.answers[slot], undefined, `slot ${slot} is answered twice`);
    this.answers[slot] = what;
  }
}
