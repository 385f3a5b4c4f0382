/**
 * Evaluates conditions. A remote list is asked only if the outcome depends on its answer. The tree is walked with what is known; if an
 * answer is missing, the walk names the first one. It is fetched, and the tree is walked again.
 */
import type { RequestOptions } from "../api.js";
import { RelaypostError } from "../errors.js";
import type { Condition } from "./condition.js";
import type { EnvelopeValues } from "./envelope.js";

/** What rules need of the remote hosts; `RemoteHosts` is one. */
export interface RecipientDirectory {
  /** The ids that `remote/<id>` may name. */
  readonly ids: readonly string[];
  /** Whether `value` is a recipient at the host that `list` (`remote/<id>`) names. Rejects when there is no answer. */
  inList(list: string, value: string, options?: RequestOptions): Promise<boolean>;
}

/** A remote list that has to be asked before more can be said. */
interface Question {
  readonly list: string;
  readonly value: string;
}

/** Why a remote list has no answer. */
class NoAnswer {
  constructor(
    readonly list: string,
    readonly cause: unknown,
  ) {}
}

/** True, false, not known for want of an answer (for good), or not known yet. */
type Outcome = boolean | NoAnswer | Question;

/** One evaluation: one envelope, and every remote answer that was fetched for it. */
export class Evaluation {
  readonly #values: EnvelopeValues;
  readonly #named: ReadonlyMap<string, Condition>;
  readonly #remotes: RecipientDirectory;
  readonly #options: RequestOptions;
  readonly #startedMs = performance.now();
  readonly #answers = new Map<string, boolean | NoAnswer>();
  /** Named conditions whose outcome is final; without it, names that refer to names twice would cost 2^n. */
  readonly #settled = new Map<string, boolean | NoAnswer>();
  /** The same for outcomes that lack an answer; it holds for one walk. */
  readonly #unsettled = new Map<string, Question>();

  constructor(
    values: EnvelopeValues,
    named: ReadonlyMap<string, Condition>,
    remotes: RecipientDirectory,
    options: RequestOptions,
  ) {
    this.#values = values;
    this.#named = named;
    this.#remotes = remotes;
    this.#options = options;
  }

  /** Rejects with RULE_FAILED when the outcome depends on a remote list that gave no answer. `where` names the rule in the error. */
  async decide(condition: Condition, where: string): Promise<boolean> {
    for (;;) {
      if (this.#options.signal?.aborted === true) {
        throw new RelaypostError("ABORTED", `${where} was given up`, { cause: this.#options.signal.reason });
      }
      this.#unsettled.clear();
      const outcome = this.#outcomeOf(condition);
      if (typeof outcome === "boolean") {
        return outcome;
      }
      if (outcome instanceof NoAnswer) {
        throw ruleFailed(where, outcome);
      }
      this.#answers.set(answerKey(outcome), await this.#ask(outcome));
    }
  }

  #outcomeOf(condition: Condition): Outcome {
    switch (condition.kind) {
      case "local":
        return condition.holds(this.#values);
      case "remote":
        return this.#membership(condition);
      case "named":
        return this.#namedOutcome(condition.name);
      case "all-of":
        return this.#firstDecisive(condition.parts, false);
      case "any-of":
        return this.#firstDecisive(condition.parts, true);
      case "none-of":
        return not(this.#firstDecisive(condition.parts, true));
    }
  }

  /**
   * `decisive` when any part has that outcome, its opposite when all parts have the opposite. What is left depends on
   * answers: on the first that can still be had, and if there is none, on the first that cannot.
   */
  #firstDecisive(parts: readonly Condition[], decisive: boolean): Outcome {
    let question: Question | undefined;
    let failure: NoAnswer | undefined;
    for (const part of parts) {
      const outcome = this.#outcomeOf(part);
      if (outcome === decisive) {
        return outcome;
      }
      if (typeof outcome === "boolean") {
        continue;
      }
      if (outcome instanceof NoAnswer) {
        failure ??= outcome;
      } else {
        question ??= outcome;
      }
    }
    return question ?? failure ?? !decisive;
  }

  #namedOutcome(name: string): Outcome {
    let outcome: Outcome | undefined = this.#settled.get(name) ?? this.#unsettled.get(name);
    if (outcome === undefined) {
      outcome = this.#outcomeOf(this.#named.get(name)!);
      if (typeof outcome === "boolean" || outcome instanceof NoAnswer) {
        this.#settled.set(name, outcome);
      } else {
        this.#unsettled.set(name, outcome);
      }
    }
    return outcome;
  }

  #membership({ key, list, negated }: Condition & { kind: "remote" }): Outcome {
    const value = this.#values.given(key);
    // Nobody has the empty address: the null reverse-path, or a key that the gateway does not know yet.
    if (value === "") {
      return negated;
    }
    const question: Question = { list, value };
    const answer = this.#answers.get(answerKey(question)) ?? question;
    return negated ? not(answer) : answer;
  }

  async #ask({ list, value }: Question): Promise<boolean | NoAnswer> {
    const { signal, timeoutMs, client, tenant, priority } = this.#options;
    try {
      const options: RequestOptions = {
        ...(signal && { signal }),
        ...(client && { client }),
        ...(tenant && { tenant }),
        ...(priority && { priority }),
      };
      if (timeoutMs !== undefined) {
        options.timeoutMs = timeoutMs - (performance.now() - this.#startedMs);
        if (options.timeoutMs <= 0) {
          throw new RelaypostError("DEADLINE_EXCEEDED", "the rule's time was up");
        }
      }
      const answer: unknown = await this.#remotes.inList(list, value, options);
      if (typeof answer !== "boolean") {
        throw new TypeError("inList() answers true or false");
      }
      return answer;
    } catch (error) {
      return new NoAnswer(list, error);
    }
  }
}

function not(outcome: Outcome): Outcome {
  return typeof outcome === "boolean" ? !outcome : outcome;
}

function answerKey({ list, value }: Question): string {
  return `${list}\n${value}`;
}

function ruleFailed(where: string, { list, cause }: NoAnswer): RelaypostError {
  const hostId = list.slice("remote/".length);
  const why = cause instanceof Error ? cause.message : String(cause);
  return new RelaypostError(
    "RULE_FAILED",
    `${where} depends on ${list}, which gave no answer; try again later: ${why}`,
    {
      hostId,
      cause,
    },
  );
}
