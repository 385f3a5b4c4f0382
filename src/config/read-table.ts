/** Reads one table by its schema: every key that is known, right and complete comes out, everything else is a problem. Serves load.ts. */

import { ENDPOINTS_FORM, readEndpoints } from "./endpoints.js";
import type { KeySpec, Schema, ValuesOf } from "./key-spec.js";
import { findSimilar, type Problems } from "./problems.js";
import {
  DURATION_FORM,
  formatDuration,
  parseDuration,
  parseRate,
  parseSize,
  RATE_FORM,
  SIZE_FORM,
} from "./quantities.js";
import { REPLY_RULES_FORM, readReplyRules } from "./reply-rules.js";
import type { KeyPath } from "./toml.js";

/** What a table holds. Only meaningful while no problem was found. */
export interface TableReading<S extends Schema> {
  readonly values: ValuesOf<S>;
  /** The keys that stand there, as opposed to defaults. */
  readonly given: ReadonlySet<keyof S>;
}

/** Reads a table and the tables in it. `path` is where it stands, such as `remote.<id>`. */
export function readTable<S extends Schema>(
  input: unknown,
  path: KeyPath,
  schema: S,
  problems: Problems,
): TableReading<S> {
  const values: Record<string, unknown> = {};
  const given = new Set<keyof S>();
  const walk = (table: Readonly<Record<string, unknown>>, prefix: string, at: KeyPath): void => {
    for (const [name, value] of Object.entries(table)) {
      if (value === undefined) {
        continue;
      }
      const key = `${prefix}${name}`;
      const here = [...at, name];
      // A quoted "tls.implicit" is one key for TOML, not a key in a table.
      const spec = !name.includes(".") && Object.hasOwn(schema, key) ? schema[key] : undefined;
      if (spec !== undefined) {
        given.add(key);
        values[key] = readValue(value, spec, here, problems);
      } else if (!name.includes(".") && Object.keys(schema).some((known) => known.startsWith(`${key}.`))) {
        const inner = asTable(value, here, problems);
        if (inner !== undefined) {
          walk(inner, `${key}.`, here);
        }
      } else {
        problems.add(here, describeUnknown(name, prefix, schema));
      }
    }
  };
  walk(asTable(input, path, problems) ?? {}, "", path);
  for (const [key, spec] of Object.entries<KeySpec>(schema)) {
    if (given.has(key)) {
      continue;
    }
    if (spec.isRequired) {
      problems.add([...path, ...key.split(".")], `is missing; it must be ${describeForm(spec)}`);
    } else if (spec.fallback !== undefined) {
      values[key] = readValue(spec.fallback, spec, path, problems);
    }
  }
  return { values: values as ValuesOf<S>, given };
}

/** The value as a table, or a problem. */
export function asTable(
  value: unknown,
  path: KeyPath,
  problems: Problems,
): Readonly<Record<string, unknown>> | undefined {
  const kind = describeType(value);
  if (kind === "a table") {
    return value as Record<string, unknown>;
  }
  problems.add(path, `must be a table, not ${kind}`);
  return undefined;
}

function readValue(value: unknown, spec: KeySpec, path: KeyPath, problems: Problems): unknown {
  const wrong = (): undefined => {
    problems.add(path, `must be ${describeForm(spec)}${describeWrongType(value, spec)}`);
  };
  if (typeof value === "string") {
    const mistake = findTextMistake(value, spec);
    if (mistake !== undefined) {
      problems.add(path, mistake);
      return undefined;
    }
  }
  switch (spec.kind) {
    case "boolean":
      return typeof value === "boolean" ? value : wrong();
    case "choice":
      return typeof value === "string" && spec.choices?.includes(value) ? value : wrong();
    case "pem":
      return typeof value === "string" && value !== "" ? value : wrong();
    case "text-or-texts":
      return readTextOrTexts(value, spec, path, problems) ?? wrong();
    case "text":
      return typeof value === "string" && value !== "" && (spec.check?.isRight(value) ?? true) ? value : wrong();
    case "texts":
      return readTexts(value, spec, path, problems) ?? wrong();
    case "rate":
      return parseRate(value) ?? wrong();
    case "fraction":
      return typeof value === "number" && value >= 0 && (value < 1 || value === spec.most) ? value : wrong();
    case "integer":
      return Number.isSafeInteger(value) && isWithin(value as number, spec) ? value : wrong();
    case "size":
    case "duration": {
      const amount = spec.kind === "size" ? parseSize(value) : parseDuration(value);
      return amount !== undefined && isWithin(amount, spec) ? amount : wrong();
    }
    case "address":
      return Array.isArray(value)
        ? readEndpoints(value, path, problems)
        : readValue(value, { ...spec, kind: "text" }, path, problems);
    case "reply-rules":
      return readReplyRules(value, path, problems);
    case "ruled-text":
    case "ruled-boolean":
      return readRuled(value, spec, path, problems);
  }
}

/** One text, or a few. `undefined`: neither; what is wrong with one of a few is a problem of its own. */
function readTextOrTexts(value: unknown, spec: KeySpec, path: KeyPath, problems: Problems): unknown {
  if (!Array.isArray(value)) {
    return typeof value === "string" && value !== "" && (spec.check?.isRight(value) ?? true) ? value : undefined;
  }
  const plain: KeySpec = { ...spec, kind: "text" };
  const read = value.map((item: unknown, index) => readValue(item, plain, [...path, index], problems));
  return read.length === 0 ? undefined : read.filter((item) => item !== undefined);
}

/** What a plain value is, or each of the branches comes to. That the branches are right is the rules' own affair. */
function readRuled(value: unknown, spec: KeySpec, path: KeyPath, problems: Problems): unknown {
  const plain: KeySpec = { ...spec, kind: spec.kind === "ruled-text" ? "text" : "boolean" };
  if (!Array.isArray(value)) {
    return readValue(value, plain, path, problems);
  }
  value.forEach((branch: unknown, index) => {
    if (typeof branch !== "object" || branch === null) {
      problems.add([...path, index], "must be a table of a condition and then, or of else");
      return;
    }
    for (const key of ["then", "else"] as const) {
      if (Object.hasOwn(branch, key)) {
        readValue((branch as Record<string, unknown>)[key], plain, [...path, index, key], problems);
      }
    }
  });
  return value;
}

/** An array of texts, of which each wrong one is a problem of its own; `undefined`: it is none. */
function readTexts(value: unknown, spec: KeySpec, path: KeyPath, problems: Problems): readonly string[] | undefined {
  if (!Array.isArray(value) || value.length === 0) {
    return undefined;
  }
  value.forEach((text: unknown, index) => {
    if (typeof text !== "string" || !(spec.check?.isRight(text) ?? true)) {
      problems.add([...path, index], `must be ${spec.check?.form ?? "a text"}`);
    }
  });
  return value as readonly string[];
}

function isWithin(amount: number, { least, most }: KeySpec): boolean {
  return amount >= (least ?? 0) && amount <= (most ?? Number.MAX_SAFE_INTEGER);
}

function findTextMistake(text: string, spec: KeySpec): string | undefined {
  if (spec.kind === "pem" && text.includes("-----BEGIN")) {
    return "must name a PEM file, not hold its content";
  }
  if (/[\r\n\0]/.test(text)) {
    return "holds a CR, LF or NUL, which no string may";
  }
  return /\p{Surrogate}/u.test(text) ? "holds half a surrogate pair, which UTF-8 cannot say" : undefined;
}

function describeForm(spec: KeySpec): string {
  const { least, most } = spec;
  switch (spec.kind) {
    case "boolean":
      return "true or false";
    case "integer":
      return `an integer from ${least} to ${most}`;
    case "duration": {
      const bound = `${least === undefined ? "" : `at least ${formatDuration(least)} and `}at most ${formatDuration(most ?? 0)}`;
      return `${DURATION_FORM}; ${bound}`;
    }
    case "size":
      return least === undefined ? SIZE_FORM : `${SIZE_FORM}; at least ${least / 1024 ** 2}MiB`;
    case "texts":
      return `an array of texts, each ${spec.check?.form ?? "not empty"}`;
    case "rate":
      return RATE_FORM;
    case "fraction":
      return most === 1 ? "a number from 0 to 1, such as 0.1" : "a number from 0 to less than 1, such as 0.1";
    case "choice":
      return (spec.choices ?? []).map((choice) => `"${choice}"`).join(" or ");
    case "pem":
      return "the name of a PEM file";
    case "text-or-texts":
      return `${spec.check?.form ?? "a string that is not empty"}, or an array of at least one`;
    case "text":
      return spec.check?.form ?? "a string that is not empty";
    case "address":
      return `${spec.check?.form}, or ${ENDPOINTS_FORM}`;
    case "reply-rules":
      return REPLY_RULES_FORM;
    case "ruled-boolean":
      return "true or false, or an array of branches";
    case "ruled-text":
      return `${spec.check?.form ?? "a string that is not empty"}, or an array of branches`;
  }
}

/** Only where the type is what is wrong; the value itself is never shown. */
function describeWrongType(value: unknown, spec: KeySpec): string {
  const type = typeof value;
  const isFitting =
    spec.kind === "boolean" || spec.kind === "ruled-boolean"
      ? type === "boolean"
      : spec.kind === "texts" || (spec.kind === "text-or-texts" && type !== "string")
        ? Array.isArray(value)
        : spec.kind === "integer" || spec.kind === "fraction"
          ? type === "number"
          : spec.kind === "rate"
            ? type === "string"
            : type === "string" || (type === "number" && (spec.kind === "duration" || spec.kind === "size"));
  return isFitting ? "" : `, not ${describeType(value)}`;
}

function describeType(value: unknown): string {
  if (value === null) {
    return "null";
  }
  if (Array.isArray(value)) {
    return "an array";
  }
  if (value instanceof Date) {
    return "a date";
  }
  switch (typeof value) {
    case "string":
      return "a string";
    case "number":
      return "a number";
    case "boolean":
      return "a boolean";
    case "object":
      return "a table";
    default:
      return `a ${typeof value}`;
  }
}

function describeUnknown(name: string, prefix: string, schema: Schema): string {
  const known = Object.keys(schema);
  const siblings = new Set(
    known.filter((key) => key.startsWith(prefix)).map((key) => key.slice(prefix.length).split(".", 1)[0]!),
  );
  if (name.includes(".") && known.includes(`${prefix}${name}`)) {
    return `is unknown as one quoted key; write it without the quotes`;
  }
  const similar = findSimilar(name, siblings);
  if (similar !== undefined) {
    return `is unknown; did you mean ${similar}?`;
  }
  const elsewhere = known.find((key) => key.split(".").at(-1) === name);
  if (elsewhere !== undefined) {
    return `is unknown here; did you mean ${elsewhere}?`;
  }
  return `is unknown; known here are ${[...siblings].join(", ")}`;
}
