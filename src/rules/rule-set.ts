/**
 * The rules of a gateway: named conditions and settings that depend on conditions, from a TOML file. Gateways call it;
 * it loads through condition.ts, local-list.ts and setting.ts, and decides through evaluation.ts.
 */
import { dirname } from "node:path";
import type { RequestOptions } from "../api.js";
import { pathOf, readText } from "../config/load.js";
import { describeKey, Problems } from "../config/problems.js";
import { type KeyPath, parseToml } from "../config/toml.js";
import { RelaypostError } from "../errors.js";
import { type Condition, compileCondition, isTable, MAX_DEPTH, type Surroundings } from "./condition.js";
import { type RuleEnvelope, readEnvelope } from "./envelope.js";
import { Evaluation, type RecipientDirectory } from "./evaluation.js";
import { LocalList } from "./local-list.js";
import { parsePath, RuleSettings, type RuleValue } from "./setting.js";

/** Where a rule text comes from. */
export interface RuleSetOptions {
  /** The file that problems name, and whose directory relative `file://` entries start from. Default: the working directory, unnamed. */
  readonly file?: string;
}

/** Tables that belong to {@link RemoteHosts}; they may hold secrets and are not kept here. */
const HOST_TABLES = ["remote", "runtime"];

/** For rules without remote lists. */
const NO_REMOTES: RecipientDirectory = {
  ids: [],
  inList: async (list) => {
    throw new RelaypostError("UNKNOWN_HOST", `${list} is not known`);
  },
};

/**
 * Rules, loaded and checked. Immutable: to change rules, load a new set and use that from then on.
 * The language is described in docs/rules.md.
 */
export class RuleSet {
  readonly #named: ReadonlyMap<string, Condition>;
  readonly #settings: RuleSettings;
  readonly #remotes: RecipientDirectory;

  private constructor(named: ReadonlyMap<string, Condition>, settings: RuleSettings, remotes: RecipientDirectory) {
    this.#named = named;
    this.#settings = settings;
    this.#remotes = remotes;
  }

  /**
   * Loads rules from the text of a TOML file, or from the same tables as an object. `file://` entries of lists are read now,
   * synchronously: load at start, not for each message.
   * @throws ConfigError with every mistake there is.
   */
  static parse(
    source: string | Readonly<Record<string, unknown>>,
    remotes: RecipientDirectory = NO_REMOTES,
    { file }: RuleSetOptions = {},
  ): RuleSet {
    const { root, lineOf } = typeof source === "string" ? parseToml(source, file) : { root: source, lineOf: undefined };
    const problems = new Problems(file, lineOf);
    const { list: lists, rule: rules, ...others } = root;
    const settings = Object.fromEntries(Object.entries(others).filter(([key]) => !HOST_TABLES.includes(key)));
    const named = tableAt(["rule"], rules, problems);
    const around: Surroundings = {
      problems,
      lists: readLists(tableAt(["list"], lists, problems), file === undefined ? "." : dirname(file), problems),
      remoteIds: new Set(remotes.ids),
      ruleNames: new Set(Object.keys(named)),
    };
    const conditions = new Map(
      Object.entries(named).map(([name, value]) => [name, compileCondition(value, ["rule", name], around)]),
    );
    checkNames(conditions, problems);
    const compiled = RuleSettings.compile(settings, around);
    problems.throwIfAny();
    return new RuleSet(conditions, compiled, remotes);
  }

  /**
   * Loads rules from a TOML file. Relative `file://` entries start from its directory.
   * @throws ConfigError with every mistake there is.
   */
  static async open(path: string | URL, remotes: RecipientDirectory = NO_REMOTES): Promise<RuleSet> {
    const file = pathOf(path);
    return RuleSet.parse(await readText(file), remotes, { file });
  }

  /** The names of the conditions under `[rule]`. */
  get names(): readonly string[] {
    return [...this.#named.keys()];
  }

  /** Whether there is a setting of that path: `session.rcpt.relay`, or its parts in an array. */
  has(path: string | KeyPath): boolean {
    return this.#settings.find(typeof path === "string" ? parsePath(path) : path) !== undefined;
  }

  /**
   * Whether the condition `[rule."name"]` holds.
   * @throws RelaypostError RULE_FAILED (retryable: answer the client 4yz) when that depends on a remote list without an answer;
   * INVALID_ARGUMENT for an unknown name or an ill-typed envelope; ABORTED.
   */
  async test(name: string, envelope: RuleEnvelope, options: RequestOptions = {}): Promise<boolean> {
    const condition = this.#named.get(name);
    if (condition === undefined) {
      throw new RelaypostError("INVALID_ARGUMENT", `there is no [rule.${JSON.stringify(name)}]`);
    }
    return this.#evaluate(envelope, options).decide(condition, describeKey(["rule", name]));
  }

  /**
   * The value of a setting for this envelope: of an array of branches, that of the first whose condition holds, or of `else`.
   * @throws RelaypostError as {@link test} does. A path that the file does not hold is INVALID_ARGUMENT (see {@link has}),
   * and so is that of a table with settings in it that depend on conditions.
   */
  async value(path: string | KeyPath, envelope: RuleEnvelope, options: RequestOptions = {}): Promise<RuleValue> {
    const keys = typeof path === "string" ? parsePath(path) : path;
    const setting = this.#settings.find(keys);
    const name = describeKey(keys);
    if (setting === undefined) {
      throw new RelaypostError("INVALID_ARGUMENT", `there is no setting ${name}`);
    }
    if (this.#settings.hasBranchesWithin(keys)) {
      throw new RelaypostError(
        "INVALID_ARGUMENT",
        `${name} holds settings that depend on conditions; ask for each of them`,
      );
    }
    const evaluation = this.#evaluate(envelope, options);
    if (setting.kind === "plain") {
      return setting.value;
    }
    for (const [index, { condition, value }] of setting.branches.entries()) {
      if (await evaluation.decide(condition, describeKey([...keys, index]))) {
        return value;
      }
    }
    return setting.otherwise;
  }

  #evaluate(envelope: RuleEnvelope, options: RequestOptions): Evaluation {
    return new Evaluation(readEnvelope(envelope), this.#named, this.#remotes, options);
  }
}

function tableAt(path: KeyPath, value: unknown, problems: Problems): Record<string, unknown> {
  if (value === undefined) {
    return {};
  }
  if (isTable(value)) {
    return value;
  }
  problems.add(path, "must be a table");
  return {};
}

function readLists(lists: Record<string, unknown>, directory: string, problems: Problems): Map<string, LocalList> {
  return new Map(
    Object.entries(lists).map(([name, value]) => [name, LocalList.read(["list", name], value, directory, problems)]),
  );
}

/** Finds named conditions that refer to themselves, and chains of them that are too long to be evaluated. */
function checkNames(named: ReadonlyMap<string, Condition>, problems: Problems): void {
  const heights = new Map<string, number>();
  const trail: string[] = [];
  const visit = (name: string): number => {
    const known = heights.get(name);
    if (known !== undefined) {
      return known;
    }
    trail.push(name);
    let height = 1;
    for (const reference of references(named.get(name)!)) {
      if (trail.includes(reference.name)) {
        const circle = [...trail.slice(trail.indexOf(reference.name)), reference.name];
        problems.add(reference.path, `goes round in a circle: ${circle.join(" → ")}`);
      } else if (trail.length > MAX_DEPTH) {
        problems.add(reference.path, `named conditions refer to each other more than ${MAX_DEPTH} deep`);
      } else {
        height = Math.max(height, 1 + visit(reference.name));
      }
    }
    trail.pop();
    heights.set(name, height);
    return height;
  };
  for (const name of named.keys()) {
    const height = visit(name);
    if (height > MAX_DEPTH) {
      problems.add(["rule", name], `named conditions refer to each other more than ${MAX_DEPTH} deep`);
    }
  }
}

/** Every named condition that a condition refers to. */
function references(condition: Condition): (Condition & { kind: "named" })[] {
  if (condition.kind === "named") {
    return [condition];
  }
  return "parts" in condition ? condition.parts.flatMap(references) : [];
}
