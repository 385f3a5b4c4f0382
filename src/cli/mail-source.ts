/** Where `relaypost relay` takes its messages from: .eml files, folders of them, a Maildir, an mbox, standard input. Never a whole mailbox in memory. */
import { createReadStream } from "node:fs";
import { readdir, readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import type { Readable } from "node:stream";
import { ByteWindow } from "./byte-window.js";
import { UsageError } from "./exit-codes.js";
import { beginsWithFrom, FROM_LINE_OCTETS, firstLine, isFromLine } from "./from-line.js";
import { readMbox } from "./mbox.js";
import {
  dropMark,
  EMPTY,
  isBlank,
  type Letter,
  MARK_REMOVED,
  openStreamed,
  openWhole,
  type Skipped,
} from "./message-start.js";

/** Files up to this size are read whole: they travel to the worker in one piece. */
const WHOLE_OCTETS = 256 * 1024;
/** So many names of skipped files are shown. */
const MOST_NAMES = 3;

/** One message to relay, or what was found where one was looked for. */
export interface SourceMessage {
  /** A path, with the number of the message behind it for an mbox. */
  readonly name: string;
  /** Opens the content; called once. */
  open(): Promise<Letter | Skipped>;
  /** The next message comes from the same stream: it may be asked for only when this one is done with. */
  readonly isStreamed: boolean;
  /** How many files it stands for; 1 unless a folder holds files that are no messages. */
  readonly count: number;
}

/** The messages of all paths, and how many there are where that can be told without reading them. */
export interface MailSource {
  readonly total: number | undefined;
  messages(): AsyncGenerator<SourceMessage>;
}

/** A path, looked at but not read. */
interface Place {
  readonly path: string;
  /** `stream`: what can be read once, such as a pipe; its first octets tell what it is. `others`: files of a folder that are no messages. */
  readonly kind: "message" | "mbox" | "stream" | "stdin" | "others";
  /** Of `others`. */
  readonly names?: readonly string[];
}

/** Looks at every path, so that a wrong one is found before anything is sent. No path at all means standard input. */
export async function openMailSource(paths: readonly string[], input: Readable): Promise<MailSource> {
  const places: Place[] = [];
  for (const path of paths.length === 0 ? ["-"] : paths) {
    places.push(...(await placesAt(path)));
  }
  if (places.filter(({ kind }) => kind === "stdin").length > 1) {
    throw new UsageError("standard input can be read once");
  }
  const known = places.filter(({ kind }) => kind !== "others");
  return {
    total: known.every(({ kind }) => kind === "message") ? known.length : undefined,
    async *messages() {
      for (const place of places) {
        yield* messagesOf(place, input);
      }
    },
  };
}

async function* messagesOf({ path, kind, names = [] }: Place, input: Readable): AsyncGenerator<SourceMessage> {
  switch (kind) {
    case "message":
      return yield fileMessage(path);
    case "others":
      return yield skippedFiles(path, names);
    case "mbox":
      return yield* mboxMessages(path, new ByteWindow(createReadStream(path)));
    case "stream":
      return yield* streamMessages(path, new ByteWindow(createReadStream(path)));
    case "stdin":
      return yield* streamMessages("-", new ByteWindow(input as AsyncIterable<Uint8Array>));
  }
}

async function placesAt(path: string): Promise<Place[]> {
  if (path === "-") {
    return [{ path, kind: "stdin" }];
  }
  try {
    const stats = await stat(path);
    if (stats.isDirectory()) {
      return await placesInFolder(path);
    }
    return [{ path, kind: stats.isFile() ? await kindOfFile(path) : "stream" }];
  } catch (error) {
    if (error instanceof UsageError) {
      throw error;
    }
    throw new UsageError(`cannot read ${path}: ${(error as Error).message}`);
  }
}

/** A Maildir's new/ and cur/, oldest name first; otherwise the .eml files of a folder. */
async function placesInFolder(path: string): Promise<Place[]> {
  const names = (await readdir(path)).sort();
  if (!names.includes("new") && !names.includes("cur")) {
    const isMessage = (name: string) => name.toLowerCase().endsWith(".eml");
    const found = names.filter(isMessage).map((name): Place => ({ path: join(path, name), kind: "message" }));
    if (found.length === 0) {
      throw new UsageError(`${path} is neither a Maildir nor a folder with .eml files`);
    }
    const others = names.filter((name) => !isMessage(name));
    return others.length === 0 ? found : [{ path, kind: "others", names: others }, ...found];
  }
  const places: Place[] = [];
  for (const folder of ["new", "cur"].filter((name) => names.includes(name))) {
    for (const name of (await readdir(join(path, folder))).sort()) {
      if (!name.startsWith(".")) {
        places.push({ path: join(path, folder, name), kind: "message" });
      }
    }
  }
  return places;
}

/** One message or an mbox; a file that somebody named is never skipped. */
async function kindOfFile(path: string): Promise<"message" | "mbox"> {
  const window = new ByteWindow(createReadStream(path));
  try {
    await dropMark(window);
    if (await isBlank(window)) {
      throw new UsageError(`${path} is no message: ${EMPTY}`);
    }
    return await kindOf(path, window);
  } finally {
    await window.close();
  }
}

/** No header begins with `From `: what does is an mbox, or nothing that could be relayed. */
async function kindOf(name: string, window: ByteWindow): Promise<"message" | "mbox"> {
  await window.readUntil(FROM_LINE_OCTETS);
  const line = firstLine(window.join());
  if (!beginsWithFrom(line)) {
    return "message";
  }
  if (isFromLine(line)) {
    return "mbox";
  }
  throw new UsageError(
    `${name} is neither a message nor an mbox: it begins with "From ", but not with an address and a date behind that`,
  );
}

function fileMessage(path: string): SourceMessage {
  return {
    name: path,
    isStreamed: false,
    count: 1,
    open: async () =>
      (await stat(path)).size <= WHOLE_OCTETS
        ? await openWhole(await readFile(path))
        : await openStreamed(new ByteWindow(createReadStream(path))),
  };
}

function skippedFiles(folder: string, names: readonly string[]): SourceMessage {
  const shown = names.slice(0, MOST_NAMES).join(", ") + (names.length > MOST_NAMES ? ", …" : "");
  const what = names.length === 1 ? "1 name in it is no .eml file" : `${names.length} names in it are no .eml files`;
  return { name: folder, isStreamed: false, count: names.length, open: async () => ({ skipped: `${what}: ${shown}` }) };
}

async function* mboxMessages(
  name: string,
  window: ByteWindow,
  notesOfFirst: string[] = [],
): AsyncGenerator<SourceMessage> {
  let number = 0;
  try {
    if (await dropMark(window)) {
      notesOfFirst.push(MARK_REMOVED);
    }
    for await (const { content, isStreamed, notes } of readMbox(window)) {
      notes.push(...notesOfFirst.splice(0));
      const open = () => (isStreamed ? openStreamed(new ByteWindow(content), notes) : openWhole(content, notes));
      yield { name: `${name}#${++number}`, isStreamed, count: 1, open };
    }
  } catch (error) {
    throw error instanceof UsageError ? new UsageError(`${name}: ${error.message}`) : error;
  } finally {
    await window.close();
  }
}

/** One message, or an mbox: the first octets tell. */
async function* streamMessages(name: string, window: ByteWindow): AsyncGenerator<SourceMessage> {
  const notes: string[] = [];
  if (await dropMark(window)) {
    notes.push(MARK_REMOVED);
  }
  if (await isBlank(window)) {
    const what = name === "-" ? "standard input" : name;
    throw new UsageError(`${what} is no message: ${EMPTY}`);
  }
  if ((await kindOf(name, window)) === "mbox") {
    yield* mboxMessages(name, window, notes);
  } else {
    yield { name, isStreamed: true, count: 1, open: () => openStreamed(window, notes) };
  }
}
