/**
 * Maps as Postfix knows them, whose keys are looked up at remote hosts: `<id>-rcpt`, `<id>-vrfy`, `<id>-expn`.
 * Asked by socketmap.ts, tcp-table.ts and policy.ts, which word the answer.
 */
import { type ClientReply, replyToHarvester, replyToRefusedRecipient, textOf } from "../adapters/replies.js";
import type { LookupAnswer, Reply, RequestOptions } from "../api.js";
import { type ErrorCode, RelaypostError } from "../errors.js";
import type { RemoteHosts } from "../remote-hosts.js";
import { MAP_NAME } from "./schema.js";

/** What a map answers. Text is one line of printable characters. */
export type MapAnswer =
  | { readonly kind: "found"; readonly value: string }
  | { readonly kind: "not-found"; readonly reply?: Reply }
  /** The address exists, and its mailbox takes no mail: whoever can word it, words `reply`; for others, `isLasting` tells what it is most like. */
  | { readonly kind: "no-mail"; readonly reply: ClientReply; readonly isLasting: boolean }
  | { readonly kind: "timeout" | "temporary" | "permanent"; readonly text: string }
  /** The client seems to try out which recipients exist, and is not told. */
  | { readonly kind: "harvester"; readonly reply: ClientReply; readonly text: string };

const TIMEOUTS: ReadonlySet<ErrorCode> = new Set(["DEADLINE_EXCEEDED", "CONNECT_TIMEOUT", "COMMAND_TIMEOUT"]);
const NOT_FOUND: MapAnswer = { kind: "not-found" };

/** Says that a question had no answer. `map`: the map that was asked; `isPermanent`: the client is told that asking again is of no use. */
export type TellFailure = (hostId: string | undefined, error: unknown, map?: string, isPermanent?: boolean) => void;

/** Tells of an answer, for operators who follow one question; `undefined` where nobody does. */
export type TellAnswer = (question: string, key: string, answer: string, tookMs: number) => void;

/** The maps of all hosts. */
export class Maps {
  readonly #remotes: RemoteHosts;
  readonly #tellFailure: TellFailure;
  readonly #tellAnswer: TellAnswer | undefined;

  constructor(remotes: RemoteHosts, tellFailure: TellFailure, tellAnswer?: TellAnswer) {
    this.#remotes = remotes;
    this.#tellFailure = tellFailure;
    this.#tellAnswer = tellAnswer;
  }

  /** Never rejects. `value`: what a recipient that exists is answered with. */
  async ask(map: string, key: string, value: string, options: RequestOptions): Promise<MapAnswer> {
    if (this.#tellAnswer === undefined) {
      return await this.#ask(map, key, value, options);
    }
    const startMs = performance.now();
    const answer = await this.#ask(map, key, value, options);
    this.#tellAnswer(map, key, answer.kind, performance.now() - startMs);
    return answer;
  }

  async #ask(map: string, key: string, value: string, options: RequestOptions): Promise<MapAnswer> {
    const dash = map.lastIndexOf("-");
    const id = map.slice(0, Math.max(0, dash));
    // Only a host that there is: names that clients make up would fill the log's windows.
    let hostId: string | undefined;
    try {
      if (!MAP_NAME.test(map)) {
        throw new RelaypostError("UNKNOWN_HOST", "There is no such map.");
      }
      const host = this.#remotes.host(id);
      hostId = id;
      const kind = map.slice(dash + 1);
      if (kind === "rcpt") {
        const answer = await host.checkRecipient(key, options);
        return answer.found ? { kind: "found", value } : notFound(answer);
      }
      const answer = kind === "vrfy" ? await host.verify(key, options) : await host.expand(key, options);
      // Some hosts name no mailbox in a positive answer: the key is one then.
      return answer.found ? { kind: "found", value: oneLine(answer.values.join(", ")) || key } : notFound(answer);
    } catch (error) {
      return this.#noAnswer(map, hostId, error);
    }
  }

  #noAnswer(map: string, hostId: string | undefined, error: unknown): MapAnswer {
    // Postfix also asks for "@example.org" and other keys that are no address: nobody has it.
    if (error instanceof RelaypostError && error.code === "INVALID_ARGUMENT") {
      return NOT_FOUND;
    }
    const answer = wordFailure(error);
    this.#tellFailure(hostId, error, map, answer.kind === "permanent");
    return answer;
  }
}

function wordFailure(error: unknown): MapAnswer & { readonly text: string } {
  const reply = replyToHarvester(error);
  if (reply !== undefined) {
    return { kind: "harvester", reply, text: textOf(reply) };
  }
  if (!(error instanceof RelaypostError)) {
    return { kind: "temporary", text: "internal error" };
  }
  if (TIMEOUTS.has(error.code)) {
    return { kind: "timeout", text: oneLine(error.message) };
  }
  return { kind: error.retryable ? "temporary" : "permanent", text: oneLine(error.message) };
}

function notFound(answer: LookupAnswer): MapAnswer {
  const { reply, mailbox } = answer;
  if (mailbox !== undefined) {
    return { kind: "no-mail", reply: replyToRefusedRecipient(answer), isLasting: mailbox !== "full" };
  }
  return reply === undefined ? NOT_FOUND : { kind: "not-found", reply };
}

/** A remote host's words, without what would end a line or move a cursor. */
export function oneLine(text: string, most = 400): string {
  const line = text.replace(/[\u0000-\u001f\u007f-\u009f\u2028\u2029]+/g, " ").trim();
  return line.length > most ? `${line.slice(0, most - 3)}...` : line;
}

/** `5.1.1 no such user`: enhanced code and text of a reply, for another client. */
export function replyText(reply: Reply | undefined, enhanced: string, text: string): string {
  const code =
    reply?.enhanced !== undefined && /^[245]\.\d{1,3}\.\d{1,3}$/.test(reply.enhanced) ? reply.enhanced : enhanced;
  const words = oneLine(reply?.text ?? "", 300);
  return `${code} ${words === "" ? text : words}`;
}
