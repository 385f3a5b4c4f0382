/**
 * Compiles the settings of a rule file: plain values stay as they are, arrays of `{ if…, then }` and `{ else }`
 * become branches. Looks settings up by path for rule-set.ts.
 */
import type { KeyPath } from "../config/toml.js";
import { RelaypostError } from "../errors.js";
import { type Condition, compileCondition, isTable, type Surroundings } from "./condition.js";

/** A value of a TOML file. */
export type RuleValue =
  | string
  | number
  | bigint
  | boolean
  | Date
  | readonly RuleValue[]
  | { readonly [key: string]: RuleValue };

/** A setting that depends on conditions: the first branch whose condition holds decides, else `otherwise`. */
export interface Branches {
  readonly kind: "branches";
  readonly branches: readonly { readonly condition: Condition; readonly value: RuleValue }[];
  readonly otherwise: RuleValue;
}

/** Tables of an object that somebody built may hold themselves. */
const MAX_TABLE_DEPTH = 100;

const BRANCH_KEYS = ["if", "any-of", "all-of", "none-of", "then", "else"];

/** Every setting of a file. */
export class RuleSettings {
  readonly #plain: RuleValue;
  /** By {@link nameOf} of their path. */
  readonly #branches: ReadonlyMap<string, Branches>;

  private constructor(plain: RuleValue, branches: ReadonlyMap<string, Branches>) {
    this.#plain = plain;
    this.#branches = branches;
  }

  /** Mistakes go to the problems, and all of them are found. */
  static compile(tables: Readonly<Record<string, unknown>>, around: Surroundings): RuleSettings {
    const compiler = new Compiler(around);
    return new RuleSettings(compiler.plain(tables, []), compiler.branches);
  }

  /** `undefined`: there is no such setting. */
  find(path: KeyPath): Branches | { readonly kind: "plain"; readonly value: RuleValue } | undefined {
    const branches = this.#branches.get(nameOf(path));
    if (branches !== undefined) {
      return branches;
    }
    let value: RuleValue = this.#plain;
    for (const part of path) {
      const isIndex = typeof part === "number";
      if (typeof value !== "object" || Array.isArray(value) !== isIndex || !Object.hasOwn(value, part)) {
        return undefined;
      }
      value = (value as Readonly<Record<string | number, RuleValue>>)[part]!;
    }
    return { kind: "plain", value };
  }

  /** Whether conditional settings stand in the table or array of that path. */
  hasBranchesWithin(path: KeyPath): boolean {
    const name = nameOf(path);
    return [...this.#branches.keys()].some((other) => other.length > name.length && other.startsWith(name));
  }
}

/** Each part ends with NUL, so that the name of a table begins the names of what is in it and no other. */
function nameOf(path: KeyPath): string {
  return path.map((part) => `${part}\0`).join("");
}

class Compiler {
  readonly branches = new Map<string, Branches>();
  readonly #around: Surroundings;

  constructor(around: Surroundings) {
    this.#around = around;
  }

  /** A frozen copy. Conditional arrays are compiled on the way; what stands in their place is never handed out. */
  plain(value: unknown, path: KeyPath): RuleValue {
    if (path.length > MAX_TABLE_DEPTH) {
      return this.#reject(path, "tables stand too deep in each other");
    }
    if (Array.isArray(value)) {
      if (isConditional(value)) {
        this.branches.set(nameOf(path), this.#compileBranches(value, path));
        return [];
      }
      return Object.freeze(value.map((each, index) => this.plain(each, [...path, index])));
    }
    if (isTable(value)) {
      const entries = Object.entries(value).map(([key, each]) => [key, this.plain(each, [...path, key])] as const);
      // Object.fromEntries defines its properties: a key called __proto__ is a key like any other.
      return Object.freeze(Object.fromEntries(entries));
    }
    if (isScalar(value)) {
      return value;
    }
    return this.#reject(path, "must be a string, a number, a boolean, a date, an array or a table");
  }

  #compileBranches(elements: readonly unknown[], path: KeyPath): Branches {
    const branches: { condition: Condition; value: RuleValue }[] = [];
    let otherwise: RuleValue | undefined;
    elements.forEach((element, index) => {
      const at = [...path, index];
      if (!isTable(element)) {
        this.#reject(at, "must be a table of a condition and then, or of else");
      } else if (!Object.hasOwn(element, "else")) {
        const { then: value, ...condition } = element;
        if (value === undefined) {
          this.#reject(at, "has no then");
        } else {
          branches.push({
            condition: compileCondition(condition, at, this.#around),
            value: this.#outcome(value, [...at, "then"]),
          });
        }
      } else {
        for (const key of Object.keys(element)) {
          if (key !== "else") {
            this.#reject([...at, key], "cannot stand beside else");
          }
        }
        if (otherwise !== undefined) {
          this.#reject([...at, "else"], "is a second else; an array has exactly one");
        } else if (index < elements.length - 1) {
          this.#reject([...at, "else"], "must come last: nothing after it is ever reached");
        }
        otherwise = this.#outcome(element.else, [...at, "else"]);
      }
    });
    if (otherwise === undefined) {
      this.#reject(path, "has no { else = … }; it must end with one");
    }
    return { kind: "branches", branches, otherwise: otherwise ?? "" };
  }

  /** What a branch comes to. A choice within a choice would be handed out undecided. */
  #outcome(value: unknown, path: KeyPath): RuleValue {
    const before = this.branches.size;
    const outcome = this.plain(value, path);
    if (this.branches.size > before) {
      this.#reject(path, "cannot hold conditions; combine them with all-of");
    }
    return outcome;
  }

  #reject(path: KeyPath, message: string): RuleValue {
    this.#around.problems.add(path, message);
    return "";
  }
}

/** An array with anything in it that looks like a branch is meant to be branches, and is checked as such. */
function isConditional(value: readonly unknown[]): boolean {
  return value.some((element) => isTable(element) && BRANCH_KEYS.some((key) => Object.hasOwn(element, key)));
}

function isScalar(value: unknown): value is string | number | bigint | boolean | Date {
  return ["string", "number", "bigint", "boolean"].includes(typeof value) || value instanceof Date;
}

/**
 * The path that a text such as `session.rcpt."my key".hosts[0]` names. INVALID_ARGUMENT: it names none.
 */
export function parsePath(text: string): KeyPath {
  const path: (string | number)[] = [];
  const part = /(?:^|(?<=[^.])\.)(?:([A-Za-z0-9_-]+)|("(?:[^"\\]|\\.)*"))|(?<=.)\[(\d+)\]/y;
  while (part.lastIndex < text.length) {
    const match = part.exec(text);
    if (match === null) {
      throw new RelaypostError("INVALID_ARGUMENT", `${JSON.stringify(text)} is not the path of a setting`);
    }
    const [, bare, quoted, index] = match;
    path.push(bare ?? (quoted !== undefined ? unquote(quoted, text) : Number(index)));
  }
  if (path.length === 0) {
    throw new RelaypostError("INVALID_ARGUMENT", "the path of a setting is empty");
  }
  return path;
}

function unquote(quoted: string, text: string): string {
  try {
    return JSON.parse(quoted) as string;
  } catch {
    throw new RelaypostError("INVALID_ARGUMENT", `${JSON.stringify(text)} is not the path of a setting`);
  }
}
