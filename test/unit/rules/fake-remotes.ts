/** Remote lists that answer as a test says, and remember what they were asked. */
import type { RequestOptions } from "../../../src/api.js";
import type { RecipientDirectory } from "../../../src/rules/evaluation.js";

/** What a remote list answers; an Error means that it gives no answer. */
export type FakeAnswer = boolean | Error;

export class FakeRemotes implements RecipientDirectory {
  readonly ids = ["a", "b", "c"];
  /** Every question in its order, as `remote/<id> <value>`. */
  readonly asked: string[] = [];
  readonly options: (RequestOptions | undefined)[] = [];

  constructor(private readonly answer: (list: string, value: string) => FakeAnswer) {}

  async inList(list: string, value: string, options?: RequestOptions): Promise<boolean> {
    this.asked.push(`${list} ${value}`);
    this.options.push(options);
    const answer = this.answer(list, value);
    if (answer instanceof Error) {
      throw answer;
    }
    return answer;
  }
}
