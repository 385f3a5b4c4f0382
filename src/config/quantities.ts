/** Durations and sizes as people write them. Serves the schema, and whoever else reads such a setting. */

const UNITS_MS: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };
const UNITS_OCTETS: Readonly<Record<string, number>> = { B: 1, KiB: 1024, MiB: 1024 ** 2, GiB: 1024 ** 3 };

/** What would be right, for messages. */
export const DURATION_FORM = 'a positive integer with ms, s, m, h or d, such as "30s", or a bare integer of seconds';
export const SIZE_FORM = 'a positive integer with B, KiB, MiB or GiB, such as "64MiB", or a bare integer of octets';

/** Milliseconds, or `undefined` for what is no duration. A number is SECONDS. */
export function parseDuration(value: unknown): number | undefined {
  return parseQuantity(value, UNITS_MS, 1000);
}

/** Octets, or `undefined` for what is no size. A number is octets. */
export function parseSize(value: unknown): number | undefined {
  return parseQuantity(value, UNITS_OCTETS, 1);
}

/** The most that a rate may be, in a unit of time. */
const MOST_COUNT = 1_000_000;

export const RATE_FORM = 'a positive integer with /s, /m, /h or /d, such as "200/s"';

/** Milliseconds from one to the next, or `undefined` for what is no rate. */
export function parseRate(value: unknown): number | undefined {
  const parts = typeof value === "string" ? /^([1-9][0-9]{0,6})\/([smhd])$/.exec(value) : null;
  const count = Number(parts?.[1]);
  return parts === null || count > MOST_COUNT ? undefined : UNITS_MS[parts[2]!]! / count;
}

function parseQuantity(value: unknown, units: Readonly<Record<string, number>>, bareUnit: number): number | undefined {
  let count: number;
  let unit: number | undefined = bareUnit;
  if (typeof value === "number") {
    count = value;
  } else {
    const parts = typeof value === "string" ? /^([0-9]{1,15})([A-Za-z]{1,3})$/.exec(value) : null;
    if (parts === null) {
      return undefined;
    }
    count = Number(parts[1]);
    unit = Object.hasOwn(units, parts[2]!) ? units[parts[2]!] : undefined;
  }
  if (unit === undefined || !Number.isSafeInteger(count) || count <= 0) {
    return undefined;
  }
  const total = count * unit;
  return Number.isSafeInteger(total) ? total : undefined;
}

/** A duration as one would write it: in the largest unit that divides it. */
export function formatDuration(ms: number): string {
  const [unit, size] = Object.entries(UNITS_MS).findLast(([, each]) => ms % each === 0) ?? ["ms", 1];
  return `${ms / size}${unit}`;
}
