/** Postfix's socketmap_table(5): one netstring with map and key, one netstring back. Asks maps.ts. */

import { textOf } from "../adapters/replies.js";
import type { MapAnswer, Maps } from "./maps.js";
import { NetstringParser, netstring } from "./netstring.js";
import type { Answer, Session } from "./session.js";
import type { SocketmapSettings } from "./settings.js";

/** Postfix takes at most 100,000 octets (socketmap_table(5)). */
const MOST_VALUE_OCTETS = 99_000;

/** One client. */
export class SocketmapSession implements Session {
  readonly greeting = "";
  readonly #parser: NetstringParser;
  readonly #maps: Maps;
  readonly #settings: SocketmapSettings;

  constructor(settings: SocketmapSettings, maps: Maps) {
    this.#settings = settings;
    this.#maps = maps;
    this.#parser = new NetstringParser(settings.requestOctets);
  }

  receive(chunk: Buffer): void {
    this.#parser.receive(chunk);
  }

  next(): Answer | undefined {
    const request = this.#parser.next();
    if (request === undefined) {
      return undefined;
    }
    const space = request.indexOf(" ");
    if (space <= 0) {
      return netstring("PERM a request is a map's name, a space, and a key");
    }
    return this.#ask(request.slice(0, space), request.slice(space + 1));
  }

  async #ask(map: string, key: string): Promise<string> {
    const { value, timeoutMs } = this.#settings;
    return netstring(wordAnswer(await this.#maps.ask(map, key, value, { timeoutMs })));
  }
}

function wordAnswer(answer: MapAnswer): string {
  switch (answer.kind) {
    case "found":
      if (Buffer.byteLength(answer.value) > MOST_VALUE_OCTETS) {
        return "PERM the result is too long";
      }
      return `OK ${answer.value}`;
    case "no-mail":
      return answer.isLasting ? "NOTFOUND " : `TEMP ${textOf(answer.reply)}`;
    case "not-found":
      return "NOTFOUND ";
    case "timeout":
      return `TIMEOUT ${answer.text}`;
    case "harvester":
    case "temporary":
      return `TEMP ${answer.text}`;
    case "permanent":
      return `PERM ${answer.text}`;
  }
}
