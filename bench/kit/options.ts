/** The command line that all benchmarks share. */
import { parseArgs } from "node:util";

/** How long and how often. */
export interface BenchOptions {
  /** `--short`: one short round of the most telling cells, to see that the benchmark still runs. Its figures mean nothing. */
  readonly isShort: boolean;
  /** `--full`: every combination, not only one step away from the usual. */
  readonly isFull: boolean;
  /** `--seconds`: of one measurement. */
  readonly seconds: number;
  /** `--rounds`: of which the median is taken. */
  readonly rounds: number;
  /** `--only`: cells whose name holds this text. */
  readonly only: string;
}

/**
 * Reads the command line; prints the usage and ends when it is asked for, or wrong.
 *
 * @param usualSeconds what `--seconds` is unless it is given
 */
export function readOptions(usualSeconds = 3): BenchOptions {
  try {
    const { values } = parseArgs({
      options: {
        short: { type: "boolean", default: false },
        full: { type: "boolean", default: false },
        seconds: { type: "string" },
        rounds: { type: "string" },
        only: { type: "string", default: "" },
      },
    });
    return {
      isShort: values.short,
      isFull: values.full,
      seconds: positive(values.seconds ?? (values.short ? "0.2" : `${usualSeconds}`)),
      rounds: Math.ceil(positive(values.rounds ?? (values.short ? "1" : "5"))),
      only: values.only,
    };
  } catch (error) {
    console.error(`${(error as Error).message}\nusage: [--short] [--full] [--seconds N] [--rounds N] [--only TEXT]`);
    process.exit(2);
  }
}

function positive(text: string): number {
  const value = Number(text);
  if (!(value > 0)) {
    throw new Error(`"${text}" is not a positive number`);
  }
  return value;
}
