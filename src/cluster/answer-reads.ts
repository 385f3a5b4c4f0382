/**
 * An answer that stands in Redis, read by plain commands: they cost Redis a tenth of what the function of answer-script.ts does, and
 * change nothing. Called by shared-answers.ts.
 *
 * Others' commands may come between them, and in a Redis Cluster that moves its slots they may change their order. So they only say what
 * would be so whichever way: an answer of the epoch that is counted was good when the first of them came. All else is the function's.
 */
import type { AskReply } from "./answer-script.js";

const ANSWER = /^a (\d+) (\d+) (\d+) (.*)$/;

/** What `ask` would say. `unclear`: only the function can tell. */
export type AnswerRead = (AskReply & { readonly is: "answer" }) | { readonly is: "unclear" };

/** @param keys see `answerKeys()` */
export function answerReads([record, counts]: readonly [record: string, counts: string], field: string): string[][] {
  return [["HGET", record, field], ["HMGET", counts, "epoch", "forgets"], ["TIME"]];
}

/**
 * @param known how often answers of the host were forgotten, as far as the gateway knows
 * @returns `undefined`: a Redis that works never says that
 */
export function decodeAnswerReads([text, counts, time]: readonly unknown[], known: number): AnswerRead | undefined {
  if (!isText(text) || !isPair(counts) || !isPair(time) || time[0] === null) {
    return undefined;
  }
  const [epoch, count] = counts;
  const forgets = Number(count ?? 0);
  const clockMs = Number(time[0]) * 1000 + Math.floor(Number(time[1]) / 1000);
  if (!Number.isSafeInteger(forgets) || !Number.isSafeInteger(clockMs)) {
    return undefined;
  }
  const [, of, given, until, sealed] = (text === null ? null : ANSWER.exec(text)) ?? [];
  // Fewer than are known here: Redis has lost what was forgotten.
  if (of === undefined || of !== (epoch ?? "0") || Number(until) <= clockMs || forgets < known) {
    return { is: "unclear" };
  }
  return { is: "answer", ageMs: Math.max(0, clockMs - Number(given)), sealed: sealed!, forgets, clockMs };
}

function isText(reply: unknown): reply is string | null {
  return reply === null || typeof reply === "string";
}

function isPair(reply: unknown): reply is [string | null, string | null] {
  return Array.isArray(reply) && reply.length === 2 && isText(reply[0]) && isText(reply[1]);
}
