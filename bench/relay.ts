/** Messages a second: the library beside nodemailer's pool, smtp-source -d and the smallest raw client. */
import type { ContenderName } from "./kit/job.js";
import { Network } from "./kit/network.js";
import { readOptions } from "./kit/options.js";
import { report } from "./kit/report.js";
import { measure, type Row } from "./kit/rounds.js";
import { hasPostfixTools } from "./kit/smtp-sink.js";

/** One way to relay. */
interface Cell {
  readonly connections: number;
  readonly sizeOctets: number;
  readonly roundTripMs: number;
  readonly protocol: "smtp" | "lmtp";
  readonly isTls: boolean;
}

const KIB = 1024;
const USUAL: Cell = { connections: 10, sizeOctets: 4 * KIB, roundTripMs: 0, protocol: "smtp", isTls: false };

const STEPS: Partial<Cell>[] = [
  {},
  { connections: 1 },
  { connections: 50 },
  { sizeOctets: KIB },
  { sizeOctets: 100 * KIB },
  { sizeOctets: 5 * KIB * KIB },
  { roundTripMs: 20 },
  { protocol: "lmtp" },
  { isTls: true },
];

const SHORT_STEPS: Partial<Cell>[] = [{}, { roundTripMs: 20 }, { protocol: "lmtp" }, { isTls: true }];

function everyCell(): Cell[] {
  const cells: Cell[] = [];
  for (const isTls of [false, true])
    for (const protocol of ["smtp", "lmtp"] as const)
      for (const roundTripMs of [0, 20])
        for (const sizeOctets of [KIB, 4 * KIB, 100 * KIB, 5 * KIB * KIB])
          for (const connections of [1, 10, 50]) cells.push({ connections, sizeOctets, roundTripMs, protocol, isTls });
  return cells;
}

function nameOf({ connections, sizeOctets, roundTripMs, protocol, isTls }: Cell): string {
  const size = sizeOctets < KIB * KIB ? `${sizeOctets / KIB} KiB` : `${sizeOctets / KIB / KIB} MiB`;
  return `${connections} × ${size}${protocol === "lmtp" ? " LMTP" : ""}${isTls ? " TLS" : ""}${roundTripMs > 0 ? ` ${roundTripMs} ms` : ""}`;
}

const options = readOptions();
const steps = (options.isShort ? SHORT_STEPS : STEPS).map((step) => ({ ...USUAL, ...step }));
const cells = (options.isFull ? everyCell() : steps).filter((cell) => nameOf(cell).includes(options.only));
const rows: Row[] = [];
for (const cell of cells) {
  await using network = await Network.start({ ...cell, isSmtpSink: true });
  const contenders: ContenderName[] = ["relaypost", "nodemailer", "limit"];
  // smtp-source speaks no TLS.
  if (!cell.isTls && hasPostfixTools()) contenders.push("smtp-source");
  const entries = contenders.map((contender) => ({
    name: contender,
    job: { kind: "relay", contender, port: network.port, ...cell, seconds: options.seconds } as const,
  }));
  rows.push(...(await measure(`${nameOf(cell)}, ${network.sink}`, entries, options.rounds)));
}
const sizes = new Map(cells.map((cell) => [nameOf(cell), cell.sizeOctets]));
report(
  {
    name: "relay",
    title: "Relay: connections × message size",
    unit: "msg",
    figures: ["perSecond", "megabytesPerSecond", "cpuMicrosEach", "p50Micros", "p99Micros", "rssOctets"],
    octetsOf: (cell) => sizes.get(cell.split(", ")[0]!) ?? Number.NaN,
    rows,
  },
  options,
);
