/** What a seed makes of a run: the host's settings, what its servers offer, and how often everything goes wrong. */
import type { HostSettings } from "../../src/config/settings.js";
import { placed, unplaced } from "./places.js";
import { Random } from "./random.js";

/** Chances: of each connection, or of each command. */
export interface FaultRates {
  /** Of each connection: not accepted, cut, TLS that fails, slow, in single octets. */
  readonly refusedConnect: number;
  readonly cut: number;
  readonly tls: number;
  readonly slow: number;
  readonly unresolved: number;
  /** Of each connection: says nothing, throws commands of a group away, offers what it does not have, sends octets behind 220. */
  readonly silent: number;
  readonly drops: number;
  readonly injects: number;
  /** Of each command: refused, answered late, answered with garbage, the connection closed instead or behind the reply. */
  readonly refusal: number;
  readonly late: number;
  readonly garbage: number;
  readonly close: number;
  readonly stall: number;
  /** Of each reply: if nothing follows it for a while, the connection is closed. */
  readonly idleClose: number;
  readonly surplus: number;
}

/** What a server offers and how it is bounded; honest, but not generous. */
export interface Offer {
  readonly pipelining: boolean;
  readonly chunking: boolean;
  readonly eightBit: boolean;
  readonly size: boolean;
  readonly smtputf8: boolean;
  readonly startTls: boolean;
  readonly mechanisms: readonly string[];
  readonly saslIr: boolean;
  readonly unauthenticate: boolean;
  /** Recipients of one transaction before 452. */
  readonly recipients: number;
  /** LIMITS (RFC 9422); `Infinity` where it is not declared. */
  readonly rcptMax: number;
  readonly rcptDomainMax: number;
  readonly mailMax: number;
  /** Connections before 421; `Infinity` for no limit. */
  readonly connections: number;
  /** Says EHLO's and other replies in several lines. */
  readonly talkative: boolean;
  /** Asks for content although no recipient was accepted. */
  readonly asksForNothing: boolean;
}

export interface Scenario {
  readonly settings: HostSettings;
  /** After a change of the settings: another server. */
  readonly changed: HostSettings;
  faults: FaultRates;
  readonly offer: Offer;
  readonly mostDelayMs: number;
  /** Nothing goes wrong: then everything must be answered. */
  readonly isCalm: boolean;
}

export const ACCOUNT = { username: "gateway", secret: "account" } as const;

const NO_FAULTS: FaultRates = {
  refusedConnect: 0,
  cut: 0,
  tls: 0,
  slow: 0,
  unresolved: 0,
  silent: 0,
  drops: 0,
  injects: 0,
  refusal: 0,
  late: 0,
  garbage: 0,
  close: 0,
  stall: 0,
  idleClose: 0,
  surplus: 0,
};

/** Make another seed of one: what places are is drawn apart, and how many domains a transaction takes. */
const PLACES = 0x5eed;
const DOMAINS = 0xd03a;

export function makeScenario(random: Random, seed: number): Scenario {
  const isCalm = random.chance(0.12);
  const protocol = random.pick(["smtp", "smtp", "smtp", "lmtp", "lmtp", "imap"] as const);
  const made = {
    ...makeSettings(random, new Random(~seed), protocol, isCalm),
    ...lookupsOf(random, protocol),
  };
  const settings = placed(made, new Random(seed ^ PLACES));
  const changed = { ...unplaced(settings), address: "second.sim", concurrency: random.between(1, 4) };
  return {
    settings,
    changed,
    faults: isCalm ? NO_FAULTS : makeFaults(random),
    offer: { ...makeOffer(random, settings, isCalm), rcptDomainMax: mostDomains(new Random(seed ^ DOMAINS)) },
    mostDelayMs: random.pick([1, 1, 5, 40]),
    isCalm,
  };
}

/** What goes wrong goes wrong no more. */
export function calm(scenario: Scenario): void {
  scenario.faults = NO_FAULTS;
}

function lookupsOf(random: Random, protocol: string): Pick<HostSettings, "lookups"> {
  const detectsCatchAll = random.chance(0.3);
  const isShielded = random.chance(0.3);
  if (protocol === "imap" || !(detectsCatchAll || isShielded)) {
    return {};
  }
  const harvest = { unknown: random.between(1, 2), ratio: 0.5, windowMs: random.pick([500, 60_000]) };
  return { lookups: { detectsCatchAll, acceptsAll: "found", ...(isShielded ? { harvest } : {}) } };
}

/** Each kind of fault is absent from many runs and frequent in some, so that what hides behind another one is met too. */
function makeFaults(random: Random): FaultRates {
  const rate = (usual: number): number => usual * random.pick([0, 0, 0.5, 1, 3]);
  return {
    refusedConnect: rate(0.15),
    cut: rate(0.2),
    tls: rate(0.1),
    slow: rate(0.1),
    unresolved: rate(0.08),
    silent: rate(0.05),
    drops: rate(0.1),
    injects: rate(0.05),
    refusal: rate(0.08),
    late: rate(0.05),
    garbage: rate(0.02),
    close: rate(0.04),
    stall: rate(0.02),
    idleClose: rate(0.15),
    surplus: rate(0.02),
  };
}

/** In runs with tenants: one has more weight, and one a rate. */
const TENANTS = { large: { weight: 3 }, small: { weight: 1, rate: { intervalMs: 40, burst: 2 } } } as const;

/** @param clients what clients and tenants are is drawn apart, so that runs without any stay as they were */
function makeSettings(
  random: Random,
  clients: Random,
  protocol: "smtp" | "lmtp" | "imap",
  isCalm: boolean,
): HostSettings {
  const implicit = random.chance(0.15);
  const limitMs = (): number => (isCalm ? 60_000 : random.pick([150, 400, 1_000, 3_000]));
  const hasAccount = protocol !== "imap" && random.chance(0.2);
  const client = clients.pick(["none", "none", "proxy-v2"] as const);
  const guesses = clients.pick([0, 1, 10]);
  return {
    id: "host",
    address: random.pick(["first.sim", "first.sim", "10.0.0.1"]),
    port: 25,
    protocol,
    concurrency: random.pick([1, 1, 2, 3, 5]),
    timeoutMs: isCalm ? 60_000 : random.pick([300, 1_000, 4_000]),
    lookup: true,
    // The servers here take no notice of a header; connections belong to their clients all the same.
    client,
    ...(clients.chance(0.5) ? { tenants: TENANTS } : {}),
    tls: {
      implicit,
      startTls: random.pick(["disable", "disable", "optional", "require"]),
      allowInvalidCerts: false,
      serverName: "first.sim",
      minVersion: "TLSv1.2",
    },
    ...(hasAccount ? { auth: ACCOUNT } : {}),
    allowPlaintextAuth: random.chance(0.7),
    timeouts: {
      greetingMs: limitMs(),
      mailMs: limitMs(),
      rcptMs: limitMs(),
      dataInitiationMs: limitMs(),
      dataBlockMs: limitMs(),
      dataTerminationMs: limitMs(),
      commandMs: limitMs(),
      lookupMs: limitMs(),
    },
    limits: {
      errors: random.pick([1, 2, 3, 10]),
      refusals: random.pick([1, 5]),
      guesses,
      requests: random.pick([1, 2, 5, 100, 100]),
      idleMs: random.pick([100, 500, 5_000]),
      lifetimeMs: random.pick([400, 3_000, 60_000]),
      queue: 10_000,
      queueOctets: 1_000_000,
      ...(random.chance(0.1) ? { recipients: random.pick([1, 2, 4]) } : {}),
      pipeline: random.pick([1, 2, 3, 8, 50, 50]),
    },
    bareRecipients: false,
    eightBit: "send",
    cache: {
      entries: random.pick([0, 2, 100]),
      positiveTtlMs: random.pick([300, 2_000]),
      negativeTtlMs: random.pick([100, 1_000]),
      authTtlMs: random.pick([200, 1_500]),
      stateTtlMs: 200,
      staleIfErrorMs: random.pick([0, 0, 1_500]),
      staleAuth: random.chance(0.3),
      byClient: false,
      learn: true,
      refresh: random.pick([0, 0.1, 0.5]),
    },
  };
}

/** Then nothing at all would work without a mechanism. */
function hasAccount(settings: HostSettings): boolean {
  return settings.auth !== undefined;
}

const MECHANISMS: readonly (readonly string[])[] = [
  ["PLAIN"],
  ["PLAIN", "LOGIN"],
  ["LOGIN"],
  ["CRAM-MD5", "PLAIN"],
  ["CRAM-MD5"],
  ["XOAUTH2"],
  [],
];

const NO_LIMIT: readonly number[] = new Array(6).fill(Number.POSITIVE_INFINITY);

function mostDomains(random: Random): number {
  return random.pick([1, 2, ...NO_LIMIT]);
}

function makeOffer(random: Random, settings: HostSettings, isCalm: boolean): Omit<Offer, "rcptDomainMax"> {
  const needsTls = settings.tls.startTls === "require";
  const chunking = random.chance(0.4);
  return {
    pipelining: random.chance(0.8),
    chunking,
    eightBit: random.chance(0.7),
    size: random.chance(0.7),
    smtputf8: random.chance(0.5),
    startTls: needsTls && (isCalm || random.chance(0.95)) ? true : random.chance(0.5),
    mechanisms: hasAccount(settings) ? ["CRAM-MD5", "PLAIN"] : random.pick(MECHANISMS),
    saslIr: random.chance(0.5),
    unauthenticate: random.chance(0.4),
    recipients: random.pick([1, 2, 4, 100, 100]),
    connections: isCalm ? Number.POSITIVE_INFINITY : random.pick([1, 2, 100, 100, 100]),
    talkative: random.chance(0.3),
    asksForNothing: random.chance(0.2),
    rcptMax: random.pick([1, 2, 3, ...NO_LIMIT]),
    mailMax: random.pick([1, 2, 5, ...NO_LIMIT]),
  };
}
