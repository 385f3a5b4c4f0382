/** What is said of one key of a configuration, and the usual kinds of keys. Serves the schemas and read-table.ts. */
import type { EndpointEntry } from "./endpoints.js";
import type { ReplyRule } from "./settings.js";

/**
 * The type of a key's value. `texts`: an array of them. `text-or-texts`: either. `pem`: the name of a file; the settings hold its content. `ruled-text` and `ruled-boolean`: a value, or
 * an array of branches that rules choose from (docs/rules.md).
 */
export type KeyKind =
  | "boolean"
  | "integer"
  | "duration"
  | "size"
  | "fraction"
  | "rate"
  | "text"
  | "text-or-texts"
  | "choice"
  | "pem"
  | "texts"
  | "reply-rules"
  | "address"
  | "ruled-text"
  | "ruled-boolean";

/** One key. */
export interface KeySpec {
  readonly kind: KeyKind;
  /** As one would write it in TOML; without one the key is left out or, where `isRequired`, must be there. */
  readonly fallback?: string | number | boolean;
  /** How the docs name a default that is not a value. */
  readonly fallbackName?: string;
  readonly isRequired?: true;
  /** For integers, and in the smallest unit for durations (ms) and sizes (octets). */
  readonly least?: number;
  readonly most?: number;
  readonly choices?: readonly string[];
  /** For texts: whether it is right, and what would be. */
  readonly check?: { readonly isRight: (text: string) => boolean; readonly form: string };
  /** For the docs, in Markdown. */
  readonly meaning: string;
}

/** Keys by their path below the table. */
export type Schema = Readonly<Record<string, KeySpec>>;

const DAY_MS = 86_400_000;
/** Node's timers end at 2^31 - 1 ms. */
export const MOST_TIMER_MS = 24 * DAY_MS;
export const MOST_TTL_MS = 3650 * DAY_MS;

type WithFallback<Kind extends KeyKind, Value> = KeySpec & { readonly kind: Kind; readonly fallback: Value };

export function timeout(fallback: string, meaning: string): WithFallback<"duration", string> {
  return { kind: "duration", fallback, most: MOST_TIMER_MS, meaning };
}

export function ttl(fallback: string, meaning: string): WithFallback<"duration", string> {
  return { kind: "duration", fallback, most: MOST_TTL_MS, meaning };
}

export function count(fallback: number, least: number, most: number, meaning: string): WithFallback<"integer", number> {
  return { kind: "integer", fallback, least, most, meaning };
}

export function flag(fallback: boolean, meaning: string): WithFallback<"boolean", boolean> {
  return { kind: "boolean", fallback, meaning };
}

/** What may stand behind the name of a key that holds a secret, and where the secret is then. */
export const SECRET_PLACES = ["", "-file", "-env", "-credential"] as const;

const VARIABLE = /^[A-Za-z_][A-Za-z0-9_]*$/;
/** As systemd takes it: no path. */
const CREDENTIAL = /^(?!\.\.?$)[^/]{1,255}$/;

type TextKeys<Keys extends string> = Readonly<Record<Keys, KeySpec & { readonly kind: "text" }>>;

/** A secret, which stands in the configuration or, better, somewhere else: at most one of the keys is given. */
export function secretKeys<const Key extends string>(
  key: Key,
  meaning: string,
): TextKeys<`${Key}${(typeof SECRET_PLACES)[number]}`> {
  const keys: TextKeys<string> = {
    [key]: { kind: "text", meaning },
    [`${key}-file`]: { kind: "text", meaning: `File that holds \`${key}\`, as one line.` },
    [`${key}-env`]: {
      kind: "text",
      check: { isRight: (text) => VARIABLE.test(text), form: 'the name of an environment variable, such as "SECRET"' },
      meaning: `Environment variable that holds \`${key}\`.`,
    },
    [`${key}-credential`]: {
      kind: "text",
      check: { isRight: (text) => CREDENTIAL.test(text), form: "the name of a systemd credential, without a path" },
      meaning: `systemd credential (\`LoadCredential=\`) that holds \`${key}\`.`,
    },
  };
  return keys;
}

/** What the values of each kind become. */
interface KindValues {
  boolean: boolean;
  integer: number;
  duration: number;
  size: number;
  fraction: number;
  /** Milliseconds from one to the next. */
  rate: number;
  text: string;
  "text-or-texts": string | readonly string[];
  choice: string;
  pem: string;
  texts: readonly string[];
  "reply-rules": readonly ReplyRule[];
  address: string | readonly EndpointEntry[];
  "ruled-text": string | readonly unknown[];
  "ruled-boolean": boolean | readonly unknown[];
}

type ValueOf<Spec> = Spec extends { readonly choices: readonly (infer Choice)[] }
  ? Choice
  : Spec extends { readonly kind: infer Kind extends KeyKind }
    ? KindValues[Kind]
    : never;

/** The value of each key of a schema; `undefined` where it was left out and has no default. */
export type ValuesOf<S extends Schema> = {
  readonly [Key in keyof S]: S[Key] extends
    | { readonly fallback: string | number | boolean }
    | { readonly isRequired: true }
    ? ValueOf<S[Key]>
    : ValueOf<S[Key]> | undefined;
};
