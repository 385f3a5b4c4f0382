/** Gathers the mistakes of a configuration, so that all of them are reported together. Serves every reader of a table of it. */
import { ConfigError, type ConfigProblem } from "../errors.js";
import type { ConfigWarning } from "./settings.js";
import type { KeyPath } from "./toml.js";

/** `remote."a b".cache.ttl`, `rule.x.any-of[2]`: a key path as TOML would write it, fit for one line of a log. */
export function describeKey(path: KeyPath): string {
  let text = "";
  for (const part of path) {
    if (typeof part === "number") {
      text += `[${part}]`;
    } else {
      text += `${text === "" ? "" : "."}${describePart(part)}`;
    }
  }
  return text;
}

function describePart(part: string): string {
  if (/^[A-Za-z0-9_-]{1,64}$/.test(part)) {
    return part;
  }
  const shown = part.length > 64 ? `${part.slice(0, 61)}...` : part;
  return JSON.stringify(shown).replace(/[^ -~]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`);
}

/** The mistakes found so far, and what is worth a word. */
export class Problems {
  private readonly found: ConfigProblem[] = [];
  readonly warnings: ConfigWarning[] = [];

  constructor(
    /** `undefined` when the configuration was given as an object or has no name. */
    private readonly file: string | undefined,
    /** `undefined` when there are no lines. */
    private readonly lineOf: ((path: KeyPath) => number) | undefined,
  ) {}

  /** @param message what is wrong and what would be right; never any part of a value, which may be a secret */
  add(path: KeyPath, message: string): void {
    const line = this.lineOf?.(path);
    this.found.push({ code: "CONFIG_VALUE", file: this.file, line, key: describeKey(path), message });
  }

  /** @param message as for {@link add} */
  warn(path: KeyPath, message: string): void {
    this.warnings.push({ key: describeKey(path), message });
  }

  /** @throws ConfigError with all of them, in the order of their lines */
  throwIfAny(): void {
    if (this.found.length === 0) {
      return;
    }
    throw new ConfigError(this.found.toSorted((a, b) => (a.line ?? 0) - (b.line ?? 0)));
  }
}

/** The known name that an unknown one was probably meant to be. */
export function findSimilar(name: string, known: Iterable<string>): string | undefined {
  const wanted = plainName(name);
  let best: string | undefined;
  let bestDistance = Math.min(3, Math.ceil(wanted.length / 3) + 1);
  if (wanted.length > 64) {
    return undefined;
  }
  for (const candidate of known) {
    const distance = editDistance(wanted, plainName(candidate));
    if (distance < bestDistance) {
      best = candidate;
      bestDistance = distance;
    }
  }
  return best;
}

/** Case, hyphens and underscores are what people mix up most: `allow_invalid_certs`, `serverName`. */
function plainName(name: string): string {
  return name.toLowerCase().replace(/[-_\s]/g, "");
}

/** Damerau and Levenshtein's distance, without transpositions across edits. */
function editDistance(a: string, b: string): number {
  let beforeLast: number[] = [];
  let last = Array.from({ length: b.length + 1 }, (_, column) => column);
  for (let row = 1; row <= a.length; row++) {
    const current = [row];
    for (let column = 1; column <= b.length; column++) {
      const isSame = a[row - 1] === b[column - 1];
      let cost = Math.min(last[column]! + 1, current[column - 1]! + 1, last[column - 1]! + (isSame ? 0 : 1));
      if (row > 1 && column > 1 && a[row - 1] === b[column - 2] && a[row - 2] === b[column - 1]) {
        cost = Math.min(cost, beforeLast[column - 2]! + 1);
      }
      current.push(cost);
    }
    beforeLast = last;
    last = current;
  }
  return last[b.length]!;
}
