/** What the gateway asks of its host in one run, and what else happens meanwhile: all of it from the seed. */
import { encodeClient } from "../../src/messages/client.js";
import { encodeTag, NO_TAG } from "../../src/messages/tenant.js";
import { domainFor, passwordOf } from "./directory.js";
import type { Gateway } from "./gateway.js";
import type { Random } from "./random.js";
import { SimRequest, type StreamPlan, type Work } from "./requests.js";
import type { Scenario } from "./scenario.js";

/** Something at a time of the run. */
export interface Happening {
  readonly atMs: number;
  readonly run: () => void;
}

/** What is done to the run from outside. */
export interface Controls {
  restartServers(downMs: number): void;
  crash(): void;
  reconfigure(): void;
}

/** Nobody, two clients of one network, and one of another. */
const BEHALVES = ["", ...["192.0.2.1", "2001:db8::1", "2001:db8::2"].map((address) => encodeClient({ address }))];

/** Nobody's, two that the settings name, and one that they do not; of each priority. */
const TAGS = ["", "large", "small", "other"].flatMap((tenant) => [
  encodeTag(tenant, "high"),
  encodeTag(tenant, "normal"),
  encodeTag(tenant, "bulk"),
]);

/** Contents: dots, bare CR and LF, no final newline, nothing at all. */
const LINES = [
  "hello\r\n",
  ".\r\n",
  "..stuffed\r\n",
  "lone\nfeed\n",
  "lone\rreturn\r",
  "\r\n",
  ".",
  "no end",
  "ü\r\n",
  "\r\n.\r\n",
];

/** Nobody who is known, two in one network, and another. */
const CLIENTS = ["", ...["2001:db8::1", "2001:db8::2", "192.0.2.1"].map((address) => encodeClient({ address }))];

export class Workload {
  readonly happenings: Happening[] = [];
  /** What each relay's content must look like on arrival. */
  readonly contents = new Map<string, string>();
  readonly recipients = new Map<string, readonly string[]>();
  /** Everything is asked within so long. */
  readonly spanMs: number;
  readonly closeAtMs: number;
  readonly drainMs: number;
  hasCrash = false;
  hasReconfigure = false;
  private count = 0;
  /** Questions that are asked again and again, so that the cache has something to do. */
  private readonly favourites: Work[] = [];

  constructor(
    private readonly random: Random,
    private readonly scenario: Scenario,
    private readonly gateway: Gateway,
    controls: Controls,
  ) {
    const spanMs = random.pick([20, 500, 3_000]);
    this.spanMs = spanMs;
    const requests = random.between(1, random.pick([4, 12, 30, 60]));
    const mix = random.pick(["relay", "lookup", "both", "both"] as const);
    for (let number = 0; number < requests; number++) {
      this.issueAt(random.next() * spanMs, mix);
    }
    this.closeAtMs = scenario.isCalm ? 100_000 : spanMs * (0.5 + random.next()) + random.pick([0, 100, 10_000]);
    this.drainMs = random.pick([0, 50, 1_000, 10_000]);
    if (scenario.isCalm) {
      return;
    }
    this.disturb(spanMs, controls);
  }

  private disturb(spanMs: number, controls: Controls): void {
    const { random } = this;
    const at = (chance: number, run: () => void): boolean => {
      const happens = random.chance(chance);
      if (happens) {
        this.happenings.push({ atMs: random.next() * spanMs, run });
      }
      return happens;
    };
    at(0.15, () => controls.restartServers(random.pick([1, 300, 3_000])));
    this.hasCrash = at(0.2, () => controls.crash());
    this.hasReconfigure = at(0.2, () => controls.reconfigure());
    at(0.1, () => this.gateway.control("forget all", (actor) => actor.forget({})));
    at(0.1, () => this.gateway.control("forget one", (actor) => actor.forget({ recipient: "y1@sim", username: "u1" })));
  }

  private issueAt(atMs: number, mix: "relay" | "lookup" | "both"): void {
    const { random, scenario } = this;
    const number = ++this.count;
    const isRelay =
      scenario.settings.protocol !== "imap" && (mix === "relay" || (mix === "both" && random.chance(0.5)));
    const work = isRelay ? this.makeRelay(number) : this.makeQuestion(number);
    const isHurried = !scenario.isCalm && random.chance(0.3);
    const request = new SimRequest(
      number,
      work,
      isHurried ? random.pick([1, 5, 30, 200, 1_000]) : Number.POSITIVE_INFINITY,
      BEHALVES[number % BEHALVES.length]!,
      scenario.settings.tenants === undefined ? NO_TAG : TAGS[(5 * number) % TAGS.length]!,
    );
    this.happenings.push({ atMs, run: () => this.gateway.issue(request) });
    if (scenario.isCalm || !random.chance(0.1)) {
      return;
    }
    const abortAtMs = atMs + random.skewed(0, random.pick([3, 50, 1_000]));
    this.happenings.push({ atMs: abortAtMs, run: () => this.gateway.abort(request) });
  }

  private makeQuestion(number: number): Work {
    const { random, favourites } = this;
    if (favourites.length > 0 && random.chance(0.5)) {
      return random.pick(favourites);
    }
    const made = this.makeNewQuestion(number);
    if (favourites.length < 3) {
      favourites.push(made);
    }
    return made;
  }

  private makeNewQuestion(number: number): Work {
    const { random, scenario } = this;
    if (scenario.settings.protocol === "imap" || random.chance(0.25)) {
      // Some users are asked for once in a run: what is sent for them twice was sent again by itself.
      const username = random.chance(0.5) ? `u${random.between(1, 3)}` : `u${100 + number}`;
      const isRight = random.chance(0.6);
      return {
        kind: "login",
        credentials: { username, secret: isRight ? passwordOf(username) : "wrong", isToken: false },
      };
    }
    const lookup = random.pick(["rcpt", "rcpt", "rcpt", "rcpt", "vrfy", "expn"] as const);
    const letter = scenario.isCalm ? random.pick(["y", "y", "n"]) : random.pick(["y", "y", "y", "n", "n", "t", "p"]);
    const isUtf8 = random.chance(0.03);
    const user = random.chance(0.5) ? random.between(1, 3) : 100 + number;
    const client = random.pick(CLIENTS);
    const domain = domainFor(number, scenario.offer.rcptDomainMax);
    return { kind: "lookup", lookup, value: `${letter}${isUtf8 ? "ü" : ""}${user}@${domain}`, client };
  }

  private makeRelay(number: number): Work {
    const { random, scenario } = this;
    const count = random.pick([1, 1, 1, 2, 3, 6]);
    const letters = random.chance(0.7) ? ["y"] : ["y", "y", "n", "t", "p"];
    const recipients = Array.from({ length: count }, (_, at) => {
      const domain = domainFor(number + at, scenario.offer.rcptDomainMax);
      return `${random.pick(letters)}${random.between(1, 4)}@${domain}`;
    });
    const isBinary = scenario.offer.chunking && random.chance(0.1);
    const isStream = random.chance(0.3);
    const text = this.makeText(number, isBinary || random.chance(0.5));
    const content = Buffer.from(text);
    this.recipients.set(String(number), recipients);
    this.contents.set(String(number), isBinary ? content.toString("latin1") : canonical(content.toString("latin1")));
    const isDeclared = random.chance(0.5);
    return {
      kind: "relay",
      stream: isStream ? this.makeStream(content) : undefined,
      job: {
        from: `m${number}@gateway.sim`,
        recipients,
        sizeOctets: isDeclared ? content.length : -1,
        smtputf8: random.chance(0.02) ? "required" : "unused",
        body: isBinary ? "binarymime" : random.pick([null, null, "7bit"]),
        requireTls: !scenario.isCalm && random.chance(0.02),
        ret: null,
        envid: null,
        dsn: null,
        content: isStream ? null : content,
      },
    };
  }

  private makeText(number: number, isCanonical: boolean): string {
    const { random } = this;
    const lines = isCanonical ? LINES.filter((line) => /^[^\r\n]*\r\n$/.test(line)) : LINES;
    if (random.chance(0.03)) {
      return "";
    }
    const body = Array.from({ length: random.below(8) }, () => random.pick(lines)).join("");
    return `Subject: ${number}\r\n\r\n${body}`;
  }

  private makeStream(content: Uint8Array): StreamPlan {
    const { random, scenario } = this;
    const parts: Uint8Array[] = [];
    for (let start = 0; start < content.length; ) {
      const end = start + random.between(1, 40);
      parts.push(content.subarray(start, end));
      start = end;
    }
    if (parts.length === 0 || random.chance(0.3)) {
      parts.push(new Uint8Array(0));
    }
    const at = (chance: number): number =>
      !scenario.isCalm && random.chance(chance) ? random.below(parts.length) : -1;
    return { parts, failsAt: at(0.15), stallsAt: at(0.05), mostDelayMs: random.pick([0, 5, 100]) };
  }
}

/** What mail data must be on arrival: every newline CRLF, the last one too. */
function canonical(text: string): string {
  const lines = text.replace(/\r\n|\r|\n/g, "\r\n");
  return lines === "" || lines.endsWith("\r\n") ? lines : `${lines}\r\n`;
}
