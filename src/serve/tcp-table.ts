/** Postfix's tcp_table(5): lines with percent-encoded words, answered 200, 400 or 500. Asks maps.ts. */
import { textOf } from "../adapters/replies.js";
import { InputBuffer, ProtocolError } from "./input-buffer.js";
import type { MapAnswer, Maps } from "./maps.js";
import type { Answer, Session } from "./session.js";
import type { TcpTableSettings } from "./settings.js";

/** A reply has at most 4096 characters (tcp_table(5)), its end included. */
const MOST_REPLY_CHARACTERS = 4095;

/** One client. */
export class TcpTableSession implements Session {
  readonly greeting = "";
  readonly #input = new InputBuffer();
  readonly #maps: Maps;
  readonly #settings: TcpTableSettings;

  constructor(settings: TcpTableSettings, maps: Maps) {
    this.#settings = settings;
    this.#maps = maps;
  }

  receive(chunk: Buffer): void {
    this.#input.receive(chunk);
  }

  next(): Answer | undefined {
    let line: string | undefined;
    try {
      line = this.#input.takeLine(this.#settings.requestOctets);
    } catch (error) {
      throw new ProtocolError((error as Error).message, "400 the%20request%20is%20too%20long\n");
    }
    if (line === undefined) {
      return undefined;
    }
    const words = /^(\S+) (\S+)(?: \S+)?$/.exec(line);
    if (words === null) {
      return "400 get%20and%20a%20key%20are%20expected\n";
    }
    if (words[1] !== "get") {
      return "500 this%20map%20can%20only%20be%20read\n";
    }
    const key = decodeWord(words[2]!);
    return key === undefined ? "500 that%20key%20is%20not%20UTF-8\n" : this.#ask(key);
  }

  async #ask(key: string): Promise<string> {
    const { map, value, timeoutMs } = this.#settings;
    return wordAnswer(await this.#maps.ask(map, key, value, { timeoutMs }));
  }
}

const NOT_FOUND = "500 not%20found\n";

function wordAnswer(answer: MapAnswer): string {
  switch (answer.kind) {
    case "found": {
      const value = encodeWord(answer.value);
      if (value.length > MOST_REPLY_CHARACTERS - 4) {
        return "400 the%20result%20is%20too%20long\n";
      }
      return `200 ${value}\n`;
    }
    case "no-mail":
      return answer.isLasting ? NOT_FOUND : wordTrouble(textOf(answer.reply));
    case "not-found":
      return NOT_FOUND;
    default:
      return wordTrouble(answer.text);
  }
}

function wordTrouble(text: string): string {
  const words = encodeWord(text).slice(0, MOST_REPLY_CHARACTERS - 4);
  return `400 ${words.replace(/%.?$/, "")}\n`;
}

/** Percent-encodes everything but printable ASCII, the space, and the percent sign itself. */
export function encodeWord(text: string): string {
  let encoded = "";
  for (const octet of Buffer.from(text)) {
    const isPlain = octet > 32 && octet < 127 && octet !== 37;
    encoded += isPlain ? String.fromCharCode(octet) : `%${octet.toString(16).toUpperCase().padStart(2, "0")}`;
  }
  return encoded;
}

/** `undefined`: half a percent sequence, or octets that are no UTF-8. */
export function decodeWord(word: string): string | undefined {
  if (!word.includes("%")) {
    return word;
  }
  try {
    return decodeURIComponent(word);
  } catch {
    return undefined;
  }
}
