/**
 * Answers that other gateways were given, on their way into the worker's cache. Nobody waits for that, least of all the caller, who has
 * the answer: they gather, and are told before the worker is asked next. Works for shared-lookups.ts.
 */
import type { SharedQuestion } from "../cluster/answer-vault.js";
import type { Answer } from "../messages/contract.js";
import type { Clock } from "../timer-wheel.js";

/** So long they gather at most. */
const GATHER_MS = 20;

interface Adoption {
  readonly question: SharedQuestion;
  readonly answer: Answer;
  readonly givenMs: number;
}

export class Adoptions {
  private gathered: Adoption[] = [];
  private isArmed = false;

  /** @param adopt tells the worker */
  constructor(
    private readonly clock: Clock,
    private readonly adopt: (question: SharedQuestion, answer: Answer, ageMs: number) => void,
  ) {}

  add(question: SharedQuestion, answer: Answer, ageMs: number): void {
    this.gathered.push({ question, answer, givenMs: this.clock.now() - ageMs });
    if (!this.isArmed) {
      this.isArmed = true;
      this.clock.after(GATHER_MS, () => {
        this.isArmed = false;
        this.tell();
      });
    }
  }

  /** What has gathered goes to the worker. */
  tell(): void {
    if (this.gathered.length === 0) {
      return;
    }
    const told = this.gathered;
    this.gathered = [];
    const nowMs = this.clock.now();
    for (const { question, answer, givenMs } of told) {
      this.adopt(question, answer, nowMs - givenMs);
    }
  }

  /** What has gathered may have been forgotten since. */
  drop(): void {
    this.gathered = [];
  }
}
