/** What a test has opened is closed after it, the last thing first. Serves the tests of the whole house. */
import { afterEach } from "node:test";

/** The list of what is to be closed; called once for each file of tests. */
export function closeAfterEach(): { push(close: () => Promise<unknown>): void } {
  const closing: (() => Promise<unknown>)[] = [];
  afterEach(async () => {
    for (const close of closing.splice(0).toReversed()) {
      await close();
    }
  });
  return closing;
}
