/**
 * Compiles conditions: tables of `if`, an operator and a value, or of `any-of`, `all-of`, `none-of`, into trees
 * that evaluation.ts walks. Everything unknown or ill-typed is a problem here, never a surprise there.
 */
import { findSimilar, type Problems } from "../config/problems.js";
import type { KeyPath } from "../config/toml.js";
import { compileExpression } from "../regular-expression.js";
import { comparable, type EnvelopeValues, KEY_KINDS, type KeyKind, type RuleKey } from "./envelope.js";
import { IpSet, parseIpRange } from "./ip-range.js";
import type { LocalList, Membership } from "./local-list.js";

/** A condition, ready to be evaluated. */
export type Condition =
  | { readonly kind: "any-of" | "all-of" | "none-of"; readonly parts: readonly Condition[] }
  | { readonly kind: "named"; readonly name: string; readonly path: KeyPath }
  | { readonly kind: "local"; readonly holds: (values: EnvelopeValues) => boolean }
  | { readonly kind: "remote"; readonly key: RuleKey; readonly list: string; readonly negated: boolean };

/** What conditions may refer to. */
export interface Surroundings {
  readonly problems: Problems;
  readonly lists: ReadonlyMap<string, LocalList>;
  readonly remoteIds: ReadonlySet<string>;
  readonly ruleNames: ReadonlySet<string>;
}

/** How deep conditions may stand within each other; the evaluation recurses. */
export const MAX_DEPTH = 32;

/** A pattern past this is a list in disguise. RE2 itself bounds repeat counts. */
const MAX_PATTERN_CHARACTERS = 4096;

const COMPOSITES = ["any-of", "all-of", "none-of"] as const;
const OPERATORS = ["eq", "starts-with", "ends-with", "matches", "in-list"] as const;
type Operator = (typeof OPERATORS)[number];

/** Every operator with its negation, as they are spelt. */
const SPELLINGS = new Map<string, { operator: Operator; negated: boolean }>(
  OPERATORS.flatMap((operator) => [
    [operator, { operator, negated: false }],
    [operator === "eq" ? "ne" : `not-${operator}`, { operator, negated: true }],
  ]),
);

/** Stands where a condition could not be compiled; the load fails, so it is never evaluated. */
const BROKEN: Condition = { kind: "local", holds: () => false };

/** True for what TOML calls a table. */
export function isTable(value: unknown): value is Record<string, unknown> {
  if (typeof value !== "object" || value === null) {
    return false;
  }
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === null || prototype === Object.prototype;
}

/** Compiles one condition. Mistakes go to the problems, and all of them are found. */
export function compileCondition(value: unknown, path: KeyPath, around: Surroundings, depth = 1): Condition {
  if (!isTable(value)) {
    return broken(around, path, 'must be a table, such as { if = "rcpt-domain", eq = "example.org" }');
  }
  if (depth > MAX_DEPTH) {
    return broken(around, path, `conditions stand more than ${MAX_DEPTH} deep in each other`);
  }
  const keys = Object.keys(value);
  const composites = COMPOSITES.filter((kind) => keys.includes(kind));
  const heads = [...composites, ...keys.filter((key) => key === "if")];
  if (heads.length !== 1) {
    return broken(around, path, "must have exactly one of if, any-of, all-of and none-of");
  }
  const [composite] = composites;
  if (composite === undefined) {
    return compileIf(value, path, around);
  }
  for (const key of keys) {
    if (key !== composite) {
      around.problems.add([...path, key], `is not known beside ${composite}`);
    }
  }
  const parts = value[composite];
  if (!Array.isArray(parts) || parts.length === 0) {
    return broken(around, [...path, composite], "must be an array of at least one condition");
  }
  return {
    kind: composite,
    parts: parts.map((part, index) => compileCondition(part, [...path, composite, index], around, depth + 1)),
  };
}

function compileIf(table: Record<string, unknown>, path: KeyPath, around: Surroundings): Condition {
  const operators = Object.keys(table).filter((key) => key !== "if");
  const subject = table.if;
  if (typeof subject !== "string") {
    return broken(around, [...path, "if"], "must be a string");
  }
  const [spelling] = operators;
  if (spelling === undefined) {
    if (around.ruleNames.has(subject)) {
      return { kind: "named", name: subject, path: [...path, "if"] };
    }
    const hint = Object.hasOwn(KEY_KINDS, subject) ? "; a key needs an operator, such as eq" : "";
    return broken(around, [...path, "if"], `there is no [rule.${JSON.stringify(subject)}]${hint}`);
  }
  let isBroken = false;
  const complain = (at: string, message: string) => {
    around.problems.add([...path, at], message);
    isBroken = true;
  };
  if (!Object.hasOwn(KEY_KINDS, subject)) {
    complain("if", `"${subject}" is not a key of an envelope; ${suggest(subject, Object.keys(KEY_KINDS))}`);
  }
  for (const each of operators) {
    if (!SPELLINGS.has(each)) {
      complain(each, `is not an operator; ${suggest(each, [...SPELLINGS.keys()])}`);
    }
  }
  const second = operators.filter((each) => SPELLINGS.has(each))[1];
  if (second !== undefined) {
    complain(second, "a condition has one operator; put two conditions into all-of");
  }
  const found = SPELLINGS.get(spelling);
  if (isBroken || found === undefined) {
    return BROKEN;
  }
  return compileComparison(subject as RuleKey, found, table[spelling], [...path, spelling], around);
}

function compileComparison(
  key: RuleKey,
  { operator, negated }: { operator: Operator; negated: boolean },
  value: unknown,
  path: KeyPath,
  around: Surroundings,
): Condition {
  if (operator === "in-list" && typeof value === "string" && value.startsWith("remote/")) {
    return compileRemote(key, value, negated, path, around);
  }
  const complain = (message: string) => around.problems.add(path, message);
  const test = operator === "in-list" ? listTest(key, value, complain, around) : TESTS[operator](key, value, complain);
  if (test === undefined) {
    return BROKEN;
  }
  return { kind: "local", holds: (values) => test(values.compared(key)) !== negated };
}

function compileRemote(key: RuleKey, list: string, negated: boolean, path: KeyPath, around: Surroundings): Condition {
  const kind = KEY_KINDS[key];
  if (kind === "ip" || kind === "integer") {
    return broken(around, path, `a remote host cannot be asked about ${key}: it is no recipient`);
  }
  if (!around.remoteIds.has(list.slice("remote/".length))) {
    return broken(around, path, `there is no remote host "${list.slice("remote/".length)}"`);
  }
  return { kind: "remote", key, list, negated };
}

function listTest(
  key: RuleKey,
  value: unknown,
  complain: (message: string) => void,
  around: Surroundings,
): Membership | undefined {
  if (typeof value !== "string" || !value.startsWith("list/")) {
    complain('must be "list/<name>" or "remote/<id>"');
    return undefined;
  }
  const list = around.lists.get(value.slice("list/".length));
  if (list === undefined) {
    complain(`there is no list "${value.slice("list/".length)}" in [list]`);
  }
  return list?.matcher(KEY_KINDS[key]);
}

type CompileTest = (key: RuleKey, value: unknown, complain: (message: string) => void) => Membership | undefined;

/** Each operator's test of a value in its compared form. `undefined`: the mistake was reported. */
const TESTS: Record<Exclude<Operator, "in-list">, CompileTest> = {
  eq(key, value, complain) {
    const kind = KEY_KINDS[key];
    if (kind === "integer") {
      const integer = typeof value === "string" && /^-?\d+$/.test(value) ? Number(value) : value;
      if (Number.isSafeInteger(integer)) {
        return (compared) => compared === String(integer);
      }
      complain("must be an integer");
    } else if (kind === "ip") {
      const range = typeof value === "string" ? parseIpRange(value) : undefined;
      if (range !== undefined) {
        const set = new IpSet();
        set.add(range);
        return (compared) => set.has(compared);
      }
      complain("must be an IPv4 or IPv6 address, or a range such as 192.0.2.0/24 or 2001:db8::/32");
    } else if (typeof value === "string") {
      const wanted = comparable(kind, value);
      return (compared) => compared === wanted;
    } else {
      complain("must be a string");
    }
    return undefined;
  },
  "starts-with"(key, value, complain) {
    if (!isTextFor(key, value, complain)) {
      return undefined;
    }
    const prefix = KEY_KINDS[key] === "mailbox" ? foldMailboxPrefix(value) : comparable(KEY_KINDS[key], value);
    return (compared) => compared.startsWith(prefix);
  },
  "ends-with"(key, value, complain) {
    if (!isTextFor(key, value, complain)) {
      return undefined;
    }
    const kind: KeyKind = KEY_KINDS[key];
    const suffix = comparable(kind, value);
    if (kind !== "mailbox" || value.includes("@")) {
      return (compared) => compared.endsWith(suffix);
    }
    // A suffix without @ can only lie within the domain, unless the mailbox has none.
    const inDomain = value.toLowerCase();
    return (compared) => compared.endsWith(compared.includes("@") ? inDomain : suffix);
  },
  matches(key, value, complain) {
    if (!isTextFor(key, value, complain)) {
      return undefined;
    }
    if (value.length > MAX_PATTERN_CHARACTERS) {
      complain(`a regular expression has at most ${MAX_PATTERN_CHARACTERS} characters; use a list`);
      return undefined;
    }
    try {
      const pattern = compileExpression(value, { ignoreCase: KEY_KINDS[key] === "domain" });
      return (compared) => pattern.test(compared);
    } catch (error) {
      complain(`is not a regular expression of RE2: ${(error as Error).message}`);
      return undefined;
    }
  },
};

function isTextFor(key: RuleKey, value: unknown, complain: (message: string) => void): value is string {
  const kind = KEY_KINDS[key];
  if (kind === "ip" || kind === "integer") {
    complain(`${key} takes eq, ne, in-list and not-in-list only`);
  } else if (typeof value === "string") {
    return true;
  } else {
    complain("must be a string");
  }
  return false;
}

/** The beginning of a mailbox in its compared form: an `@` within a quoted local part does not begin the domain. */
function foldMailboxPrefix(prefix: string): string {
  const local = /^(?:"(?:[^"\\]|\\.)*"|[^"@][^@]*)@/.exec(prefix)?.[0] ?? prefix;
  return local + prefix.slice(local.length).toLowerCase();
}

function suggest(name: string, known: readonly string[]): string {
  const similar = findSimilar(name, known);
  return similar === undefined ? `they are ${known.join(", ")}` : `did you mean ${similar}?`;
}

function broken(around: Surroundings, path: KeyPath, message: string): Condition {
  around.problems.add(path, message);
  return BROKEN;
}
