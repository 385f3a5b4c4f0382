/** Gathers the mistakes of a rule file, so that all of them are reported together, each with its key path and line. */
import type { KeyPath } from "../config/toml.js";
import { ConfigError, type ConfigProblem } from "../errors.js";

/** `rule."no reply".any-of[2].eq`: a key path as TOML would write it, with indices in brackets. */
export function describeKey(path: KeyPath): string {
  let text = "";
  for (const part of path) {
    if (typeof part === "number") text += `[${part}]`;
    else text += `${text === "" ? "" : "."}${/^[A-Za-z0-9_-]+$/.test(part) ? part : JSON.stringify(part)}`;
  }
  return text;
}

/** The mistakes found so far. */
export class Problems {
  readonly #found: ConfigProblem[] = [];
  readonly #file: string | undefined;
  readonly #lineOf: (path: KeyPath) => number | undefined;

  constructor(file: string | undefined, lineOf: (path: KeyPath) => number | undefined) {
    this.#file = file;
    this.#lineOf = lineOf;
  }

  add(path: KeyPath, message: string): void {
    this.#found.push({
      code: "CONFIG_VALUE",
      file: this.#file,
      line: this.#lineOf(path),
      key: describeKey(path),
      message,
    });
  }

  throwIfAny(): void {
    if (this.#found.length > 0) throw new ConfigError(this.#found);
  }
}
