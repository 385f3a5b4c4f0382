/**
 * Which recipient domains have a catch-all (`remote.<id>.lookups.catch-all`): a host that accepts a recipient whom nobody can have made
 * up accepts everybody there, and its yes says nothing. A random recipient of each domain is asked at most once a day, in the
 * background, once a recipient of the domain was found. Asked by lookups.ts for the certainty of each answer.
 */
import type { Certainty } from "../../src/api.js";
import { type Failure, isFailure } from "../../src/errors.js";
import type { Answer } from "../../src/messages/contract.js";
import type { HostLog } from "../../src/messages/host-log.js";
import type { HostStats } from "../../src/stats.js";
import type { World } from "../world.js";
import { AddressLookup } from "./questions.js";
import type { TaskOwner } from "./tasks.js";

const DAY_MS = 86_400_000;
/** Domains that are remembered: some two megabytes. The next ones are not asked about before a day has passed. */
const MOST_DOMAINS = 10_000;
/** No delimiter of subaddresses (`+`, `-`, `.`) is in it, or the part before it might be somebody's name. */
const RANDOM_OCTETS = 12;

/** What is known of one domain. */
interface Domain {
  certainty: Certainty;
  /** Until then it is not asked again. */
  untilMs: number;
  isAsking: boolean;
}

/** What {@link CatchAll} works with. */
export interface CatchAllParts {
  readonly world: World;
  readonly owner: TaskOwner;
  readonly log: HostLog;
  /** LMTP: a recipient may have no domain. */
  readonly hasBareRecipients: boolean;
  /** Hands a probe to the pool; false: nothing can be asked now. */
  readonly ask: (probe: CatchAllProbe) => boolean;
}

/** The question for a random recipient. Nobody waits for it. */
export class CatchAllProbe extends AddressLookup {
  wasSent = false;

  constructor(
    owner: TaskOwner,
    value: string,
    readonly answeredWith: (probe: CatchAllProbe, answer: Answer | Failure, speaksOfUs: boolean) => void,
  ) {
    super(owner, `catch-all:${value}`, "rcpt", value, "", true);
  }

  protected override started(): void {
    this.wasSent = true;
  }
}

/** How sure an answer is, and for how long that is known. */
export interface Known {
  readonly certainty: Certainty;
  /** On the actor's clock; `undefined`: it may be known better in a moment. */
  readonly untilMs: number | undefined;
}

const NOT_KNOWN: Known = { certainty: "unknown", untilMs: undefined };

export class CatchAll {
  private readonly domains = new Map<string, Domain>();
  private asked = 0;

  constructor(private readonly parts: CatchAllParts) {}

  /** Of the answer that a recipient was found. Asks about its domain where that is due. */
  ofFound(address: string): Known {
    const name = domainOf(address);
    const domain = this.domains.get(name);
    const nowMs = this.parts.world.clock.now();
    if (domain !== undefined && (domain.isAsking || nowMs < domain.untilMs)) {
      return { certainty: domain.certainty, untilMs: domain.isAsking ? undefined : domain.untilMs };
    }
    if (name !== "" || this.parts.hasBareRecipients) {
      this.probe(name, domain?.certainty ?? "unknown", nowMs);
    }
    return domain === undefined ? NOT_KNOWN : { certainty: domain.certainty, untilMs: undefined };
  }

  /** An operator threw away what is known of the host. */
  forget(): void {
    this.domains.clear();
  }

  stats(): HostStats["catchAll"] {
    let [verified, acceptsAll] = [0, 0];
    for (const { certainty } of this.domains.values()) {
      verified += certainty === "verified" ? 1 : 0;
      acceptsAll += certainty === "accepts-all" ? 1 : 0;
    }
    return { asked: this.asked, verified, acceptsAll };
  }

  private probe(name: string, certainty: Certainty, nowMs: number): void {
    const { world, owner, ask } = this.parts;
    if (!this.hasRoom(nowMs) && !this.domains.has(name)) {
      return;
    }
    const domain: Domain = { certainty, untilMs: nowMs + DAY_MS, isAsking: true };
    const random = Buffer.from(world.randomBytes(RANDOM_OCTETS)).toString("hex");
    const address = `relaypost${random}${name === "" ? "" : `@${name}`}`;
    // The oldest first, so that room is found without a search.
    this.domains.delete(name);
    this.domains.set(name, domain);
    const probe = new CatchAllProbe(owner, address, (...outcome) => this.settle(name, domain, ...outcome));
    if (!ask(probe)) {
      this.forgetUnasked(name, domain, certainty);
    }
  }

  private hasRoom(nowMs: number): boolean {
    if (this.domains.size < MOST_DOMAINS) {
      return true;
    }
    for (const [name, { untilMs, isAsking }] of this.domains) {
      if (isAsking || nowMs < untilMs) {
        return false;
      }
      this.domains.delete(name);
      break;
    }
    return true;
  }

  private settle(
    name: string,
    domain: Domain,
    { wasSent, value }: CatchAllProbe,
    answer: Answer | Failure,
    speaksOfUs: boolean,
  ): void {
    if (!wasSent) {
      this.forgetUnasked(name, domain, domain.certainty);
      return;
    }
    this.asked++;
    const before = domain.certainty;
    domain.isAsking = false;
    domain.certainty = certaintyBy(answer, speaksOfUs);
    if (domain.certainty === "accepts-all" && before !== "accepts-all") {
      const message =
        "The host accepts every recipient of a domain: its yes does not say that a recipient exists there.";
      this.parts.log.write("info", "accepts-all", message, { domain: domainOf(value) });
    }
  }

  /** Nothing was sent: the next answer may ask. */
  private forgetUnasked(name: string, domain: Domain, certainty: Certainty): void {
    if (this.domains.get(name) !== domain) {
      return;
    }
    if (certainty === "unknown") {
      this.domains.delete(name);
    } else {
      domain.isAsking = false;
      domain.untilMs = Number.NEGATIVE_INFINITY;
    }
  }
}

/** Only a host that says no to somebody who cannot exist knows whom it says yes to. */
function certaintyBy(answer: Answer | Failure, speaksOfUs: boolean): Certainty {
  if (isFailure(answer)) {
    return "unknown";
  }
  if (answer.found) {
    return "accepts-all";
  }
  return speaksOfUs || answer.mailbox !== undefined ? "unknown" : "verified";
}

function domainOf(address: string): string {
  const at = address.lastIndexOf("@");
  return at === -1 ? "" : address.slice(at + 1).replace(/[A-Z]+/g, (letters) => letters.toLowerCase());
}
