import type { LookupAnswer, RecipientResult, Reply } from "../../../src/api.js";
import { AnswerReader, type AnswerSink } from "../../../src/messages/answers.js";
import type { Batch, BatchWriter } from "../../../src/messages/batch.js";
import type { RelayJob } from "../../../src/messages/contract.js";
import type { LogLevel } from "../../../src/messages/host-log.js";
import { type RelayHead, RequestReader } from "../../../src/messages/requests.js";
import { PLAIN_HEAD } from "../../kit/plain-head.js";

export function cross(writer: BatchWriter): Batch {
  let crossed: Batch | undefined;
  writer.flush((batch, transfer) => {
    crossed = structuredClone(batch, { transfer });
  });
  return crossed!;
}

/** Each call as an array: its name, then its arguments; octets as text. */
export function readRequests(batch: Batch, nowMs = 1000): unknown[][] {
  const calls: unknown[][] = [];
  const text = (octets: Uint8Array): string => Buffer.from(octets).toString();
  new RequestReader({
    lookup: (...all) => calls.push(["lookup", ...all]),
    authenticate: (...all) => calls.push(["authenticate", ...all]),
    relay: (host, job: RelayJob) =>
      calls.push(["relay", host, { ...job, content: job.content === null ? null : text(job.content) }]),
    contentPart: (slot, bytes, isLast) => calls.push(["contentPart", slot, text(bytes), isLast]),
    contentFailed: (...all) => calls.push(["contentFailed", ...all]),
    cancel: (...all) => calls.push(["cancel", ...all]),
    adopt: (...all) => calls.push(["adopt", ...all]),
  }).read(batch, nowMs);
  return calls;
}

export function readAnswers(batch: Batch, addresses: readonly string[] = []): unknown[][] {
  const calls: unknown[][] = [];
  const sink: AnswerSink = {
    answered: (slot: number, answer: LookupAnswer) => calls.push(["answered", slot, answer]),
    isAboutRecipient: (slot) => slot === 3,
    recipientsOf: () => addresses,
    relayed: (slot: number, recipients: RecipientResult[], reply: Reply | undefined, connection: number) =>
      calls.push(["relayed", slot, recipients, reply, connection]),
    failed: (slot, failure) => calls.push(["failed", slot, failure]),
    wantContent: (slot) => calls.push(["wantContent", slot]),
    connected: (...all) => calls.push(["connected", ...all]),
    placesWanted: (...all) => calls.push(["placesWanted", ...all]),
    healthFound: (...all) => calls.push(["healthFound", ...all]),
    tokenWanted: (...all) => calls.push(["tokenWanted", ...all]),
    recycled: (buffer) => calls.push(["recycled", Buffer.from(buffer).toString()]),
    log: (level: LogLevel, ...all) => calls.push(["log", level, ...all]),
  };
  new AnswerReader(sink).read(batch);
  return calls;
}

export const HEAD: RelayHead = {
  from: "",
  recipients: ["a@example.org"],
  ...PLAIN_HEAD,
};
