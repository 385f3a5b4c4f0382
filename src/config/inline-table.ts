/** Reads the tables in an array, such as `replies = [{ … }]`, of which the schema knows no more than that they are tables. */
import type { Problems } from "./problems.js";
import type { KeyPath } from "./toml.js";

/** What stands in one of them; every key that is not known is a problem. */
export function readInlineTable(
  value: unknown,
  known: readonly string[],
  path: KeyPath,
  problems: Problems,
): Readonly<Record<string, unknown>> {
  const table = typeof value === "object" && value !== null && !Array.isArray(value) ? value : {};
  for (const key of Object.keys(table)) {
    if (!known.includes(key)) {
      problems.add([...path, key], `is unknown; known here are ${known.join(", ")}`);
    }
  }
  return table as Readonly<Record<string, unknown>>;
}
