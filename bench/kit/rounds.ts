/** Runs contenders by turns, so that what else the machine does meets all of them alike, and takes medians. */
import { Child } from "./child.js";
import type { Job, Measurement } from "./job.js";

/** One line of a result: what was measured, who, and the medians over the rounds. NaN where a contender cannot tell. */
export interface Row {
  /** What was done, such as `10 connections, 4 KiB`. */
  readonly cell: string;
  readonly contender: string;
  /** Messages, lookups or round trips a second. */
  readonly perSecond: number;
  /** CPU time of the client process for each. */
  readonly cpuMicrosEach: number;
  readonly p50Micros: number;
  readonly p99Micros: number;
  readonly rssOctets: number;
  readonly startMs: number;
  /** Over all rounds. */
  readonly failed: number;
  /** `perSecond` of each round, to show how they spread. */
  readonly rounds: readonly number[];
}

/** A contender and its job, under the name that the table shows. */
export interface Entry {
  readonly name: string;
  readonly job: Job;
}

/**
 * Every entry once a round, each time in a fresh process; the first of a round is another each time.
 * A contender that fails is left out of the result, and the benchmark's exit status tells.
 */
export async function measure(cell: string, entries: readonly Entry[], rounds: number): Promise<Row[]> {
  const results = new Map<string, Measurement[]>(entries.map(({ name }) => [name, []]));
  for (let round = 0; round < rounds; round++) {
    const turn = round % entries.length;
    for (const { name, job } of [...entries.slice(turn), ...entries.slice(0, turn)]) {
      showProgress(`${cell}: ${name}, round ${round + 1} of ${rounds}`);
      await using child = Child.start("contender");
      try {
        results.get(name)!.push(await child.ask<Measurement>(job));
      } catch (error) {
        console.error(`${cell}: ${name} failed: ${(error as Error).message}`);
        process.exitCode = 1;
      }
    }
  }
  showProgress("");
  return entries.flatMap(({ name }) => {
    const measurements = results.get(name)!;
    return measurements.length > 0 ? [toRow(cell, name, measurements)] : [];
  });
}

function showProgress(text: string): void {
  if (process.stderr.isTTY) {
    process.stderr.write(`\r\x1b[K${text}`);
  }
}

function toRow(cell: string, contender: string, all: readonly Measurement[]): Row {
  const medianOf = (value: (each: Measurement) => number) => median(all.map(value));
  return {
    cell,
    contender,
    perSecond: medianOf(({ done, seconds }) => done / seconds),
    cpuMicrosEach: medianOf(({ cpuMicros, done }) => cpuMicros / done),
    p50Micros: medianOf(({ p50Micros }) => p50Micros),
    p99Micros: medianOf(({ p99Micros }) => p99Micros),
    rssOctets: medianOf(({ rssOctets }) => rssOctets),
    startMs: medianOf(({ startMs = Number.NaN }) => startMs),
    failed: all.reduce((sum, { failed }) => sum + failed, 0),
    rounds: all.map(({ done, seconds }) => done / seconds),
  };
}

/** The middle one; of two, their mean. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}
