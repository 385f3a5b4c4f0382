/** Where `relaypost relay` takes its messages from: .eml files, folders of them, a Maildir, an mbox, standard input. Never a whole mailbox in memory. */
import { createReadStream } from "node:fs";
import { open, readdir, readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import type { Readable } from "node:stream";
import type { Content } from "../api.js";
import { UsageError } from "./exit-codes.js";
import { readMbox } from "./mbox.js";

/** Files up to this size are read whole: they travel to the worker in one piece. */
const WHOLE_OCTETS = 256 * 1024;

/** One message to relay. */
export interface SourceMessage {
  /** A path, with the number of the message behind it for an mbox. */
  readonly name: string;
  /** Opens the content; called once. */
  open(): Promise<Content>;
  /** The next message comes from the same stream: it may be asked for only when this one is done with. */
  readonly isStreamed: boolean;
}

/** The messages of all paths, and how many there are where that can be told without reading them. */
export interface MailSource {
  readonly total: number | undefined;
  messages(): AsyncGenerator<SourceMessage>;
}

/** A path, looked at but not read. */
interface Place {
  readonly path: string;
  readonly kind: "message" | "mbox" | "stdin";
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
  return {
    total: places.every(({ kind }) => kind === "message") ? places.length : undefined,
    async *messages() {
      for (const place of places) {
        if (place.kind === "message") {
          yield fileMessage(place.path);
        } else if (place.kind === "mbox") {
          yield* mboxMessages(place.path, createReadStream(place.path));
        } else {
          yield* inputMessages(input);
        }
      }
    },
  };
}

async function placesAt(path: string): Promise<Place[]> {
  if (path === "-") {
    return [{ path, kind: "stdin" }];
  }
  try {
    if (!(await stat(path)).isDirectory()) {
      return [{ path, kind: (await startsLikeMbox(path)) ? "mbox" : "message" }];
    }
    return await placesInFolder(path);
  } catch (error) {
    if (error instanceof UsageError) {
      throw error;
    }
    throw new UsageError(`cannot read ${path}: ${(error as Error).message}`);
  }
}

/** A Maildir's new/ and cur/, oldest name first; otherwise the .eml files of a folder. */
async function placesInFolder(path: string): Promise<Place[]> {
  const names = await readdir(path);
  if (!names.includes("new") && !names.includes("cur")) {
    const found = names.filter((name) => name.endsWith(".eml")).sort();
    if (found.length === 0) {
      throw new UsageError(`${path} is neither a Maildir nor a folder with .eml files`);
    }
    return found.map((name) => ({ path: join(path, name), kind: "message" }));
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

async function startsLikeMbox(path: string): Promise<boolean> {
  const file = await open(path);
  try {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(5), 0, 5, 0);
    return buffer.subarray(0, bytesRead).toString("latin1") === "From ";
  } finally {
    await file.close();
  }
}

function fileMessage(path: string): SourceMessage {
  return {
    name: path,
    isStreamed: false,
    open: async () => ((await stat(path)).size <= WHOLE_OCTETS ? await readFile(path) : createReadStream(path)),
  };
}

async function* mboxMessages(name: string, input: AsyncIterable<Uint8Array>): AsyncGenerator<SourceMessage> {
  let number = 0;
  for await (const { content, isStreamed } of readMbox(input)) {
    yield { name: `${name}#${++number}`, isStreamed, open: async () => content };
  }
}

/** Standard input holds one message, or an mbox: its first octets tell. */
async function* inputMessages(input: Readable): AsyncGenerator<SourceMessage> {
  const chunks = (input as AsyncIterable<Uint8Array>)[Symbol.asyncIterator]();
  const start: Uint8Array[] = [];
  let octets = 0;
  while (octets < 5) {
    const { done, value } = await chunks.next();
    if (done === true) {
      break;
    }
    start.push(value);
    octets += value.length;
  }
  const whole = (async function* () {
    yield* start;
    for (let next = await chunks.next(); next.done !== true; next = await chunks.next()) {
      yield next.value;
    }
  })();
  const head = Buffer.concat(start);
  if (head.length === 0) {
    throw new UsageError("standard input is empty: no message to relay");
  }
  if (head.subarray(0, 5).toString("latin1") === "From ") {
    yield* mboxMessages("-", whole);
  } else {
    yield { name: "-", isStreamed: true, open: async () => whole };
  }
}
