/**
 * What the answer script does, written a second time: for simulated gateways, and to be held to a real Redis by equal random sequences.
 */
import type { AnswerCall } from "../../../src/cluster/answer-script.js";

/** Numbers and texts as Redis would send them. */
export type AnswerReply = number | readonly (number | string)[];

/** An answer, or a claim. */
type Field =
  | { readonly is: "a"; readonly epoch: number; readonly given: number; readonly till: number; readonly sealed: string }
  | { readonly is: "c" | "w"; readonly epoch: number; readonly till: number; readonly token: string };

interface Counts {
  epoch: number;
  forgets: number;
}

/** All that a Redis holds of answers. */
interface Content {
  readonly records: Map<string, Map<string, Field>>;
  readonly counts: Map<string, Counts>;
}

export class AnswersModel {
  nowMs = 1_000_000;
  private content: Content = { records: new Map(), counts: new Map() };

  /** @param publish told what the script publishes */
  constructor(private readonly publish: (channel: string, message: string) => void) {}

  /** FLUSHALL, and a restart without data. */
  flush(): void {
    this.content = { records: new Map(), counts: new Map() };
  }

  /** An older copy of it, or back to one. */
  copy(): Content {
    return structuredClone(this.content);
  }

  restore(copy: Content): void {
    this.content = structuredClone(copy);
  }

  /** @param host of the counts; a record belongs to one */
  apply(host: string, record: string, call: AnswerCall): AnswerReply {
    const counts = this.countsOf(host);
    const { known, channel } = call;
    if (counts.forgets < known) {
      counts.epoch = known + 1;
      counts.forgets = known + 1;
    }
    if (call.verb === "count") {
      return counts.forgets;
    }
    if (call.verb === "forget") {
      if (call.what === "record") {
        this.content.records.delete(`${host} ${record}`);
      } else {
        counts.epoch++;
      }
      counts.forgets++;
      this.publish(channel, `forget ${counts.forgets} ${call.sealed}`);
      return counts.forgets;
    }
    const fields = this.fieldsOf(`${host} ${record}`);
    const text = fields.get(call.field);
    const found = text?.epoch === counts.epoch && text.till > this.nowMs ? text : undefined;
    if (call.verb === "ask") {
      return this.ask(call, fields, found, counts);
    }
    const { field, token } = call;
    const isMine = found !== undefined && found.is !== "a" && found.token === token;
    const wake = (): void => {
      if (found?.is === "w") {
        this.publish(channel, `told ${record.slice(record.lastIndexOf(":") + 1)} ${field}`);
      }
    };
    if (call.verb === "release") {
      if (isMine) {
        fields.delete(field);
        wake();
      }
      return 0;
    }
    return this.put(call, fields, { found, isMine, counts, wake });
  }

  /** What plain commands read; keys are those of answerKeys(). */
  read([name, key, ...fields]: readonly string[]): unknown {
    switch (name) {
      case "HGET":
        return this.texts(key!.slice(0, key!.lastIndexOf(":")), key!)[fields[0]!] ?? null;
      case "HMGET": {
        const counts = this.content.counts.get(key!);
        return fields.map((field) => (counts === undefined ? null : String(counts[field as keyof Counts])));
      }
      case "TIME":
        return [String(Math.floor(this.nowMs / 1000)), String((this.nowMs % 1000) * 1000)];
      default:
        return undefined;
    }
  }

  /** Each field as the script leaves it. */
  texts(host: string, record: string): Record<string, string> {
    return Object.fromEntries(
      [...(this.content.records.get(`${host} ${record}`) ?? [])].map(([name, field]) => {
        const { is, epoch, till } = field;
        return [name, [is, epoch, ...(is === "a" ? [field.given, till, field.sealed] : [till, field.token])].join(" ")];
      }),
    );
  }

  private ask(
    { field, token, lifeMs }: AnswerCall & { verb: "ask" },
    fields: Map<string, Field>,
    found: Field | undefined,
    { epoch, forgets }: Counts,
  ): AnswerReply {
    const { nowMs } = this;
    if (found?.is === "a") {
      return [1, nowMs - found.given, forgets, found.sealed, nowMs];
    }
    if (found !== undefined) {
      fields.set(field, { ...found, is: "w" });
      return [2, found.till - nowMs, forgets, "", nowMs];
    }
    fields.set(field, { is: "c", epoch, till: nowMs + lifeMs, token });
    return [0, 0, forgets, "", nowMs];
  }

  private put(
    { field, ageMs, givenMs, lifeMs, asOf, sealed }: AnswerCall & { verb: "put" },
    fields: Map<string, Field>,
    state: { found: Field | undefined; isMine: boolean; counts: Counts; wake: () => void },
  ): AnswerReply {
    const { found, isMine, counts, wake } = state;
    const { nowMs } = this;
    const byAge = nowMs - Math.round(ageMs);
    const given = givenMs < 0 ? byAge : Math.min(byAge, Math.round(givenMs));
    const isSound = asOf < 0 || asOf === counts.forgets;
    const isNewer = found?.is === "a" && found.given < given;
    if (!isMine && !(isNewer && isSound)) {
      return 0;
    }
    const till = given + Math.round(lifeMs);
    if (isSound && till > nowMs) {
      fields.set(field, { is: "a", epoch: counts.epoch, given, till, sealed });
    } else {
      fields.delete(field);
    }
    wake();
    return 1;
  }

  private countsOf(host: string): Counts {
    let counts = this.content.counts.get(host);
    if (counts === undefined) {
      counts = { epoch: 0, forgets: 0 };
      this.content.counts.set(host, counts);
    }
    return counts;
  }

  private fieldsOf(key: string): Map<string, Field> {
    let fields = this.content.records.get(key);
    if (fields === undefined) {
      fields = new Map();
      this.content.records.set(key, fields);
    }
    return fields;
  }
}

/** What encodeAnswerCall() was given. */
export function parseAnswerCall(args: readonly string[]): AnswerCall {
  const [verb, field, token, channel, known, ...rest] = args as [string, string, string, string, string, ...string[]];
  const start = { channel, known: Number(known) };
  switch (verb) {
    case "ask":
      return { ...start, verb, field, token, lifeMs: Number(rest[0]) };
    case "put": {
      const [ageMs, givenMs, lifeMs, asOf] = rest.slice(0, 4).map(Number) as [number, number, number, number];
      return { ...start, verb, field, token, ageMs, givenMs, lifeMs, asOf, sealed: rest[4]! };
    }
    case "forget":
      return { ...start, verb, what: field as "record" | "all", sealed: token };
    case "release":
      return { ...start, verb, field, token };
    default:
      return { ...start, verb: "count" };
  }
}
