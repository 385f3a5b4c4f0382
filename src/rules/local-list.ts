/**
 * Lists that stand in the configuration: `[list]` holds strings, arrays of strings, and `file://PATH` entries.
 * They are read once, at load; conditions ask them through a matcher for the kind of key at hand.
 */
import { isUtf8 } from "node:buffer";
import { closeSync, constants, fstatSync, openSync, readSync } from "node:fs";
import { resolve } from "node:path";
import type { Problems } from "../config/problems.js";
import type { KeyPath } from "../config/toml.js";
import { comparable, type KeyKind } from "./envelope.js";
import { IpSet, parseIpRange } from "./ip-range.js";

/** Most octets of one file. */
const MAX_FILE_OCTETS = 16 * 1024 * 1024;

/** Most items of one list that are complained about: a file of the wrong kind is one mistake, not a million. */
const MAX_COMPLAINTS = 5;

/** Tells whether a value, in its compared form, is on a list. */
export type Membership = (compared: string) => boolean;

interface Item {
  readonly text: string;
  /** Where a complaint about it points to. */
  readonly path: KeyPath;
  /** Of the file that it was read from. */
  readonly place?: string;
}

/** One entry of `[list]`. */
export class LocalList {
  readonly #items: readonly Item[];
  readonly #problems: Problems;
  readonly #matchers = new Map<KeyKind, Membership>();
  #complaints = 0;

  private constructor(items: readonly Item[], problems: Problems) {
    this.#items = items;
    this.#problems = problems;
  }

  /** Reads an entry, its files included. Relative paths are relative to `directory`. */
  static read(path: KeyPath, value: unknown, directory: string, problems: Problems): LocalList {
    const items: Item[] = [];
    const entries: readonly unknown[] = Array.isArray(value) ? value : [value];
    entries.forEach((entry, index) => {
      const at = Array.isArray(value) ? [...path, index] : path;
      if (typeof entry === "number" && Number.isSafeInteger(entry)) {
        items.push({ text: String(entry), path: at });
      } else if (typeof entry !== "string") {
        problems.add(at, "must be a string, or an array of strings");
      } else if (entry.startsWith("file://")) {
        readItems(at, resolve(directory, entry.slice(7)), items, problems);
      } else {
        items.push({ text: entry, path: at });
      }
    });
    return new LocalList(items, problems);
  }

  /** How keys of a kind ask this list. An item that such a key can never equal is a mistake, reported once. */
  matcher(kind: KeyKind): Membership {
    let matcher = this.#matchers.get(kind);
    if (matcher === undefined) {
      matcher = kind === "ip" ? this.#ranges() : this.#texts(kind);
      this.#matchers.set(kind, matcher);
    }
    return matcher;
  }

  #ranges(): Membership {
    const set = new IpSet();
    for (const item of this.#items) {
      const range = parseIpRange(item.text);
      if (range !== undefined) {
        set.add(range);
      } else {
        this.#reject(item, "is asked about an IP address, so it must be an address or a range such as 192.0.2.0/24");
      }
    }
    return (compared) => set.has(compared);
  }

  #texts(kind: KeyKind): Membership {
    const set = new Set<string>();
    for (const item of this.#items) {
      if (kind === "integer" && !/^-?\d+$/.test(item.text)) {
        this.#reject(item, "is asked about priority, so it must be an integer");
      }
      set.add(kind === "integer" ? String(Number(item.text)) : comparable(kind, item.text));
    }
    return (compared) => set.has(compared);
  }

  #reject(item: Item, message: string): void {
    if (++this.#complaints > MAX_COMPLAINTS) {
      return;
    }
    this.#problems.add(item.path, item.place === undefined ? message : `${item.place}: ${message}`);
  }
}

/** One item a line; LF or CRLF; blanks at either end, empty lines and lines that begin with # do not count. */
function readItems(path: KeyPath, file: string, items: Item[], problems: Problems): void {
  let octets: Buffer;
  try {
    octets = readBounded(file);
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    problems.add(path, `${file}: cannot be read: ${code ?? message}`);
    return;
  }
  if (!isUtf8(octets)) {
    problems.add(path, `${file}: is not UTF-8`);
    return;
  }
  // TextDecoder drops a byte order mark.
  const lines = new TextDecoder().decode(octets).split("\n");
  for (const [index, line] of lines.entries()) {
    const text = line.trim();
    if (text === "" || text.startsWith("#")) {
      continue;
    }
    if (/[\0-\x1f\x7f]/.test(text)) {
      problems.add(path, `${file}:${index + 1}: holds a control character`);
      return;
    }
    items.push({ text, path, place: `${file}:${index + 1}` });
  }
}

/** A regular file's octets. A pipe or a device is not waited for, and the bound is kept even if the file grows meanwhile. */
function readBounded(file: string): Buffer {
  const descriptor = openSync(file, constants.O_RDONLY | constants.O_NONBLOCK);
  try {
    const status = fstatSync(descriptor);
    if (!status.isFile()) {
      throw new Error("it is not a regular file");
    }
    if (status.size > MAX_FILE_OCTETS) {
      throw new Error(`it holds more than ${MAX_FILE_OCTETS} octets`);
    }
    const octets = Buffer.allocUnsafe(status.size + 1);
    let length = 0;
    for (let read = -1; read !== 0 && length < octets.length; length += read) {
      read = readSync(descriptor, octets, length, octets.length - length, null);
    }
    if (length > status.size) {
      throw new Error("it grew while it was read");
    }
    return octets.subarray(0, length);
  } finally {
    closeSync(descriptor);
  }
}
