/** Messages a second: the library beside nodemailer's pool, smtp-source -d, lettre, go-smtp and the smallest raw client. */
import type { ContenderName } from "./kit/job.js";
import { Network } from "./kit/network.js";
import { readOptions } from "./kit/options.js";
import { buildPeer } from "./kit/peers.js";
import { report } from "./kit/report.js";
import { measure, type Row } from "./kit/rounds.js";
import { hasPostfixTools } from "./kit/smtp-sink.js";

/** One way to relay. */
interface Cell {
  readonly connections: number;
  readonly callersEach: number;
  readonly sizeOctets: number;
  readonly roundTripMs: number;
  readonly protocol: "smtp" | "lmtp";
  readonly isTls: boolean;
}

const KIB = 1024;
/** Enough that a connection never waits for its next message: the limit and smtp-source have all of theirs at hand from the start. */
const MANY_CALLERS = 10;
/** Hardly enough: whenever a message is done, its connection's only other one goes out, and the next comes a moment too late to go with it. */
const FEW_CALLERS = 2;
/** Each message is asked for when the one before it is done, as by a gateway with one client for each connection. */
const ONE_CALLER = 1;
const USUAL: Cell = {
  connections: 10,
  callersEach: MANY_CALLERS,
  sizeOctets: 4 * KIB,
  roundTripMs: 0,
  protocol: "smtp",
  isTls: false,
};

const STEPS: Partial<Cell>[] = [
  {},
  { callersEach: FEW_CALLERS },
  { callersEach: ONE_CALLER },
  { connections: 1 },
  { connections: 1, callersEach: ONE_CALLER },
  { connections: 50 },
  { sizeOctets: KIB },
  { sizeOctets: 100 * KIB, callersEach: FEW_CALLERS },
  { sizeOctets: 5 * KIB * KIB, callersEach: FEW_CALLERS },
  { roundTripMs: 20 },
  { protocol: "lmtp" },
  { isTls: true },
];

const SHORT_STEPS: Partial<Cell>[] = [{}, { roundTripMs: 20 }, { protocol: "lmtp" }, { isTls: true }];

function everyCell(): Cell[] {
  const cells: Cell[] = [];
  for (const isTls of [false, true]) {
    for (const protocol of ["smtp", "lmtp"] as const) {
      for (const roundTripMs of [0, 20]) {
        for (const sizeOctets of [KIB, 4 * KIB, 100 * KIB, 5 * KIB * KIB]) {
          for (const connections of [1, 10, 50]) {
            const callersEach = sizeOctets < 100 * KIB ? MANY_CALLERS : FEW_CALLERS;
            cells.push({ connections, callersEach, sizeOctets, roundTripMs, protocol, isTls });
          }
        }
      }
    }
  }
  return cells;
}

function nameOf({ connections, callersEach, sizeOctets, roundTripMs, protocol, isTls }: Cell): string {
  const size = sizeOctets < KIB * KIB ? `${sizeOctets / KIB} KiB` : `${sizeOctets / KIB / KIB} MiB`;
  return `${connections} × ${size}${protocol === "lmtp" ? " LMTP" : ""}${isTls ? " TLS" : ""}${roundTripMs > 0 ? ` ${roundTripMs} ms` : ""}${callersEach === MANY_CALLERS ? "" : ` ${callersEach} ${callersEach === 1 ? "caller" : "callers"} each`}`;
}

const options = readOptions();
const steps = (options.isShort ? SHORT_STEPS : STEPS).map((step) => ({ ...USUAL, ...step }));
const cells = (options.isFull ? everyCell() : steps).filter((cell) => nameOf(cell).includes(options.only));
/** The lines that show what other languages' clients do: the usual one, and those with few callers. Short runs build nothing. */
function hasPeers({ connections, sizeOctets, protocol, isTls }: Cell): boolean {
  return (
    !options.isShort &&
    connections <= USUAL.connections &&
    sizeOctets === USUAL.sizeOctets &&
    protocol === "smtp" &&
    !isTls
  );
}

const peers: ContenderName[] = [];
if (cells.some(hasPeers)) {
  if (buildPeer("lettre")) {
    peers.push("lettre", "lettre, TCP_NODELAY forced");
  }
  if (buildPeer("go-smtp")) {
    peers.push("go-smtp");
  }
}
const rows: Row[] = [];
for (const cell of cells) {
  await using network = await Network.start({ ...cell, isSmtpSink: true });
  const contenders: ContenderName[] = ["relaypost", "nodemailer", "limit"];
  // smtp-source speaks no TLS.
  if (!cell.isTls && hasPostfixTools()) {
    contenders.push("smtp-source");
  }
  if (hasPeers(cell)) {
    contenders.push(...peers);
  }
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
    overview: {
      beside: "nodemailer",
      cells: {
        "10 × 4 KiB": "10 connections,\n10 callers each",
        "10 × 4 KiB 2 callers each": "2 callers each",
        "1 × 4 KiB": "1 connection",
        "10 × 4 KiB TLS": "TLS",
        "10 × 4 KiB 20 ms": "20 ms round trip",
        "10 × 5 MiB 2 callers each": "5 MiB, 2 callers each",
      },
    },
    octetsOf: (cell) => sizes.get(cell.split(", ")[0]!) ?? Number.NaN,
    rows,
  },
  options,
);
