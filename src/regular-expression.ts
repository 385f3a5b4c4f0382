/**
 * Regular expressions in linear time, for patterns of a configuration and texts of strangers. Serves config/, rules/ and
 * workers/wire/reply-rules.ts. Their library is loaded with the first of them: a start without any is 15 ms shorter.
 */
import { createRequire } from "node:module";
import type { RE2JS } from "re2js";

/** As in RE2: no back references, no looking around. */
export type RegularExpression = Pick<RE2JS, "matcher" | "test">;

let library: typeof import("re2js") | undefined;

/** @throws an Error that says what is wrong with the pattern */
export function compileExpression(pattern: string, options: { ignoreCase?: boolean } = {}): RegularExpression {
  // In a gateway's bundle that is CommonJS, import.meta.url is empty.
  library ??= createRequire(import.meta.url || __filename)("re2js") as typeof import("re2js");
  const { RE2JS } = library;
  return RE2JS.compile(pattern, options.ignoreCase === true ? RE2JS.CASE_INSENSITIVE : 0);
}
