/**
 * The questions of one host that are not settled, by cache key: equal ones are one. Kept by actor.ts.
 *
 * The Map holds numbers and not the questions themselves, since what a Map has let go of may live on in one of its earlier tables: see wire/smtp/active-work.ts.
 */
import type { Question } from "./questions.js";

export class PendingLookups {
  private readonly numbers = new Map<string, number>();
  private readonly byNumber: (Question | undefined)[] = [];
  /** Numbers that are free again. */
  private readonly free: number[] = [];

  get size(): number {
    return this.numbers.size;
  }

  get(key: string): Question | undefined {
    const number = this.numbers.get(key);
    return number === undefined ? undefined : this.byNumber[number];
  }

  has(key: string): boolean {
    return this.numbers.has(key);
  }

  /** Under its key, where no other question stands. */
  add(question: Question): void {
    const number = this.free.pop() ?? this.byNumber.length;
    this.byNumber[number] = question;
    this.numbers.set(question.key, number);
  }

  /** False: another one, or none, stands under its key. */
  delete(question: Question): boolean {
    const number = this.numbers.get(question.key);
    if (number === undefined || this.byNumber[number] !== question) {
      return false;
    }
    this.numbers.delete(question.key);
    this.byNumber[number] = undefined;
    this.free.push(number);
    return true;
  }

  all(): Question[] {
    return this.byNumber.filter((question) => question !== undefined);
  }
}
