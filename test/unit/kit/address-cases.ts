/** Hosts of several addresses of which not all are up, and what is said of them. A part of the cases of diagnosis.test.ts. */
import type { AddressStats } from "../../../src/stats.js";
import { type Case, DOWN, failure, NOW_MS, RETRIES, TRIED } from "./diagnosis-cases.js";

function at(address: string, more: Partial<AddressStats> = {}): AddressStats {
  return { address, port: 24, backup: false, state: "up", connections: 1, opened: 1, connectFailures: 0, ...more };
}

const REFUSED = "It could not be reached: ECONNREFUSED.";
const LOST: Partial<AddressStats> = {
  state: "down",
  lastFailure: { code: "CONNECT_FAILED", message: REFUSED, at: NOW_MS - 4_000, since: NOW_MS - 60_000, count: 7 },
};
const NOW = "what is down is tried again by one connection at a time, more and more seldom.";

export const ADDRESS_CASES: readonly Case[] = [
  {
    name: "one of its addresses is down",
    known: {
      failure: failure("HOST_UNAVAILABLE", "The host refused the connection: 421 4.3.2 shutting down"),
      stats: { addresses: [at("one.example"), at("two.example", LOST), at("three.example")] },
    },
    says: {
      cause: "address-down",
      severity: "degraded",
      what: "1 of the 3 addresses of store is down.",
      why: "two.example, port 24: 7 attempts failed, the last one 4 s ago: It could not be reached: ECONNREFUSED.",
      now: `The others serve meanwhile; ${NOW}`,
    },
  },
  {
    name: "all but its backup are down",
    known: {
      stats: {
        addresses: [
          at("one", LOST),
          at("two", { state: "recovering" }),
          at("unix:/lmtp", { ...LOST, port: 0 }),
          at("four", { state: "down" }),
          at("five", { backup: true }),
        ],
      },
    },
    says: {
      cause: "address-down",
      severity: "degraded",
      what: "4 of the 5 addresses of store are down.",
      why: "one, port 24: 7 attempts failed, the last one 4 s ago: It could not be reached: ECONNREFUSED; two, port 24; unix:/lmtp: 7 attempts failed, the last one 4 s ago: It could not be reached: ECONNREFUSED, and 1 more.",
      now: `The backup serves meanwhile; ${NOW}`,
    },
  },
  {
    name: "all of its addresses are down",
    known: {
      stats: { ...DOWN, addresses: [at("one", LOST), at("two", LOST)] },
      failure: failure("CONNECT_FAILED", REFUSED),
    },
    says: {
      cause: "unreachable",
      severity: "down",
      what: "store cannot be reached at mx.example.org, port 24.",
      why: TRIED("It could not be reached: ECONNREFUSED"),
      now: RETRIES,
    },
  },
];
