/**
 * One gateway of a simulated cluster that shares answers: the real decisions of its main thread, and workers as plain as they can be,
 * with the real cache.
 */
import type { LookupAnswer, RequestOptions } from "../../../src/api.js";
import type { AnswerVault, SharedQuestion } from "../../../src/cluster/answer-vault.js";
import { type ForgetFilter, SharedAnswers } from "../../../src/cluster/shared-answers.js";
import type { HostSettings } from "../../../src/config/settings.js";
import { NO_CLIENT } from "../../../src/messages/client.js";
import type { AdoptedAnswer, Answer } from "../../../src/messages/contract.js";
import { SharedLookups, type SharedWorker } from "../../../src/runtime/shared-lookups.js";
import type { HostLoad } from "../../../src/runtime/slot.js";
import { AnswerCache } from "../../../workers/host/cache.js";
import { lookupKey } from "../../../workers/host/cache-keys.js";
import { SimProcess } from "./sim-process.js";
import { type SimRedis, SimRedisLink } from "./sim-redis.js";

/** The host that all gateways ask. */
export interface AnsweringHost {
  /** Answers later, or fails: `undefined`. */
  ask(gateway: AnswersGateway, hostId: string, address: string, done: (answer: Answer | undefined) => void): void;
}

/** How late a thread may hear of the other. */
const MOST_DELAY_MS = 20;

/** Why the worker has no answer. */
export class NoAnswer extends Error {}

/** Equal questions are one. */
interface Asked {
  readonly waiting: ((answer: Answer | undefined, isShared: boolean) => void)[];
}

/** A worker's side of one host. */
class AnswersWorker {
  private readonly cache: AnswerCache;
  private asked = new Map<string, Asked>();
  /** When the last message from the gateway's thread comes, and to it: none overtakes another. */
  private toMs = 0;
  private fromMs = 0;

  constructor(
    private readonly gateway: AnswersGateway,
    private readonly settings: HostSettings,
    private readonly host: AnsweringHost,
  ) {
    const { clock } = gateway;
    const hmacKey = new Uint8Array(32);
    this.cache = new AnswerCache({ settings: settings.cache, hostId: settings.id, clock, hmacKey });
  }

  lookup(address: string): Promise<LookupAnswer> {
    return new Promise((resolve, reject) => {
      const tell = (answer: Answer | undefined, source: LookupAnswer["source"], ageMs: number): void => {
        this.toGateway(() => {
          if (answer === undefined) {
            reject(new NoAnswer("The host gave no answer"));
          } else {
            const { found, values, reply } = answer;
            resolve({ found, values: [...values], reply, source, ageMs, certainty: "verified" });
          }
        });
      };
      this.toWorker(() => this.serve(address, tell));
    });
  }

  adopt({ value, answer, ageMs }: Omit<AdoptedAnswer, "ageMs"> & { ageMs: number }): void {
    const sinceMs = this.gateway.clock.now();
    this.toWorker(() => {
      this.cache.adopt(lookupKey("rcpt", value), answer, {}, ageMs + this.gateway.clock.now() - sinceMs);
    });
  }

  forget(filter: ForgetFilter): Promise<number> {
    return new Promise((resolve) => {
      this.toWorker(() => {
        const count = this.cache.forget(filter);
        if (filter.recipient === undefined) {
          this.asked = new Map();
        } else {
          this.asked.delete(filter.recipient);
        }
        this.toGateway(() => resolve(count));
      });
    });
  }

  private serve(
    address: string,
    tell: (answer: Answer | undefined, source: LookupAnswer["source"], ageMs: number) => void,
  ) {
    const key = lookupKey("rcpt", address);
    const hit = this.cache.get(key);
    if (hit !== undefined) {
      tell(hit.answer, "cache", hit.ageMs);
      return;
    }
    const waiting = (answer: Answer | undefined, isShared: boolean): void =>
      tell(answer, isShared ? "shared" : "remote", 0);
    const known = this.asked.get(address);
    if (known !== undefined) {
      known.waiting.push(waiting);
      return;
    }
    const asked: Asked = { waiting: [waiting] };
    this.asked.set(address, asked);
    this.host.ask(this.gateway, this.settings.id, address, (answer) => {
      // What was forgotten meanwhile is not kept.
      if (this.asked.get(address) === asked) {
        this.asked.delete(address);
        if (answer !== undefined) {
          this.cache.put(key, answer);
        }
      }
      for (const [index, each] of asked.waiting.entries()) {
        each(answer, index > 0);
      }
    });
  }

  private toWorker(run: () => void): void {
    this.toMs = this.gateway.inOrder(this.toMs, MOST_DELAY_MS, run);
  }

  private toGateway(run: () => void): void {
    this.fromMs = this.gateway.inOrder(this.fromMs, MOST_DELAY_MS, run);
  }
}

export class AnswersGateway extends SimProcess {
  readonly link: SimRedisLink;
  readonly answers: SharedAnswers;
  private readonly workers = new Map<string, AnswersWorker>();
  private readonly lookups = new Map<string, SharedLookups>();

  constructor(
    readonly id: string,
    redis: SimRedis,
    readonly hosts: readonly HostSettings[],
    vault: AnswerVault,
    host: AnsweringHost,
  ) {
    super(redis.time, redis.random);
    this.link = new SimRedisLink(redis, (event) => this.run(event));
    this.answers = new SharedAnswers({
      name: "sim",
      gateway: id,
      vault,
      link: this.link,
      clock: this.clock,
      forgotten: (hostId, filter) => {
        void this.lookups.get(hostId)?.dropping(() => this.workers.get(hostId)!.forget(filter));
      },
    });
    this.link.onListening = () => this.answers.listening(hosts);
    for (const settings of hosts) {
      this.answers.addHost(settings.id);
      const worker = new AnswersWorker(this, settings, host);
      const load = { failed() {} } as unknown as HostLoad;
      const adopt: SharedWorker["adopt"] = (question, answer, ageMs) => worker.adopt({ ...question, answer, ageMs });
      this.workers.set(settings.id, worker);
      this.lookups.set(settings.id, new SharedLookups(settings, this.answers, this.clock, () => ({ load, adopt })));
    }
  }

  lookup(hostId: string, address: string, options?: RequestOptions): Promise<LookupAnswer> {
    const question: SharedQuestion = { kind: "rcpt", value: address, client: NO_CLIENT, credentials: undefined };
    return this.lookups.get(hostId)!.lookup(question, options, () => this.workers.get(hostId)!.lookup(address));
  }

  async forget(hostId: string, filter: ForgetFilter): Promise<void> {
    await this.lookups.get(hostId)!.forget(filter, () => this.workers.get(hostId)!.forget(filter));
  }

  override kill(): void {
    super.kill();
    this.link.end();
  }
}
