/** Reads TOML: the values from the library, the lines from locator.ts. Serves load.ts and the owners of other tables of the same file. */
import { parse, TomlError } from "smol-toml";
import { ConfigError } from "../errors.js";
import { type Located, locateKeys } from "./locator.js";

/** A key's way from the root; items of arrays are counted from 0. */
export type KeyPath = readonly (string | number)[];

/** A TOML document that was read. */
export interface TomlDocument {
  /** Tables have a null prototype. */
  readonly root: Readonly<Record<string, unknown>>;
  /** The line of a key, or of the table that it is missing from; counted from 1. */
  lineOf(path: KeyPath): number;
}

/** What the library says before its reason. */
const PREFIX = "Invalid TOML document: ";

/**
 * Reads a TOML document.
 *
 * @param file names the document in errors
 * @throws ConfigError with CONFIG_SYNTAX and the line
 */
export function parseToml(text: string, file?: string): TomlDocument {
  let root: Record<string, unknown>;
  try {
    root = parse(text);
  } catch (error) {
    const line = error instanceof TomlError ? error.line : 1;
    throw new ConfigError([{ code: "CONFIG_SYNTAX", file, line, key: "", message: reasonOf(error, text) }]);
  }
  const located = locateKeys(text);
  return { root, lineOf: (path) => lineIn(located, path) };
}

/** The first line of the library's message: what follows quotes the source, secrets included. So does every cause. */
function reasonOf(error: unknown, text: string): string {
  if (!(error instanceof TomlError) || !error.message.startsWith(PREFIX)) {
    return "is not TOML";
  }
  if (isUnclosedQuote(error, text)) {
    return "is not TOML: a quote is not closed";
  }
  const reason = error.message.slice(PREFIX.length).split("\n", 1)[0];
  return `is not TOML: ${reason}`;
}

/** The library calls it so at the end of the text, and speaks of control characters where the line's end stands in the string. */
function isUnclosedQuote({ message, line, column }: TomlError, text: string): boolean {
  const rest = text.split("\n")[line - 1]?.slice(column - 1);
  return message.includes("unfinished string") || (message.includes("control characters") && /^\r?$/.test(rest ?? "x"));
}

function lineIn(root: Located, path: KeyPath): number {
  let node = root;
  for (const name of path) {
    const child = node.children.get(String(name));
    if (child === undefined) {
      break;
    }
    node = child;
  }
  return node.line;
}
