/** The first octets of a message: whether there is one at all, and what does not belong to it. Serves mail-source.ts. */
import type { Content } from "../api.js";
import { ByteWindow } from "./byte-window.js";

const NEWLINE = 0x0a;
const RETURN = 0x0d;
/** U+FEFF in UTF-8, which editors of Windows put in front of a text. A header cannot begin with it. */
const MARK = Buffer.from([0xef, 0xbb, 0xbf]);
/** Nothing but newlines up to here: no message begins like that. */
const MOST_NEWLINES = 1024 * 1024;

/** A message that was opened. */
export interface Letter {
  readonly content: Content;
  /** What somebody should know of it; complete when the content was read. */
  readonly notes: readonly string[];
  /** Closes what is read while it is sent. */
  close(): Promise<void>;
}

/** Why a message is not relayed, where it is none. */
export interface Skipped {
  readonly skipped: string;
}

/** What an empty file is called. */
export const EMPTY = "it is empty: it holds nothing but newlines, or nothing at all";

/** What is said of a byte-order mark. */
export const MARK_REMOVED = "a UTF-8 byte-order mark in front of the first header was removed";

/** Takes a byte-order mark from the front of a window; says whether one was there. */
export async function dropMark(window: ByteWindow): Promise<boolean> {
  await window.readUntil(MARK.length);
  if (!MARK.equals(window.join().subarray(0, MARK.length))) {
    return false;
  }
  window.drop(MARK.length);
  return true;
}

/** Whether nothing but newlines comes. What was looked at stays in the window. */
export async function isBlank(window: ByteWindow): Promise<boolean> {
  for (let at = 0; ; at++) {
    while (at >= window.length) {
      if ((await window.readMore()) === undefined) {
        return true;
      }
    }
    const octet = window.join()[at];
    if (octet !== NEWLINE && octet !== RETURN) {
      return false;
    }
    if (at >= MOST_NEWLINES) {
      return true;
    }
  }
}

/** A message that is held whole. `notes` are what is known of it already. */
export async function openWhole(bytes: Buffer, notes: string[] = []): Promise<Letter | Skipped> {
  const window = new ByteWindow([bytes]);
  const opened = await openStreamed(window, notes);
  if ("skipped" in opened) {
    return opened;
  }
  return { ...opened, content: window.join() };
}

/** The message that a window opens on, read while it is sent. */
export async function openStreamed(window: ByteWindow, notes: string[] = []): Promise<Letter | Skipped> {
  if (await dropMark(window)) {
    notes.push(MARK_REMOVED);
  }
  if (await isBlank(window)) {
    await window.close();
    return { skipped: EMPTY };
  }
  return { content: window.rest(), notes, close: () => window.close() };
}
