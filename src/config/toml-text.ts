/** Reads TOML for the rules: tables, and the line on which a key stands. */
import { parse, TomlError } from "smol-toml";
import { ConfigError } from "../errors.js";

/** A text's tables. */
export interface TomlText {
  readonly tables: Record<string, unknown>;
  /** Counted from 1. */
  readonly lineOf: (path: readonly (string | number)[]) => number | undefined;
}

/** @throws ConfigError for a mistake of syntax. */
export function parseTomlText(text: string, file: string | undefined): TomlText {
  try {
    return { tables: parse(text), lineOf: () => undefined };
  } catch (error) {
    if (!(error instanceof TomlError)) throw error;
    // The error's own text quotes source lines, which may hold secrets: only its first line is of use.
    const message = error.message.split("\n", 1)[0] ?? "is not TOML";
    throw new ConfigError([{ code: "CONFIG_SYNTAX", file, line: error.line, key: "", message }]);
  }
}
