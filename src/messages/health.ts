/**
 * What gateways tell each other of a host's health: the contract between src/cluster/, which asks Redis, and the host's worker, which
 * knows no Redis. All of it is hints with an end: what a gateway sees for itself counts for more, and nothing here is a verdict.
 */

/** Whose circuit it is about: that of users' logins, or that of everything else. */
export type HealthSide = "service" | "login";

/** What a worker found out, or wants to. */
export type HealthNews =
  /** The circuit opened, after so many failures in a row. */
  | { readonly is: "down"; readonly of: HealthSide; readonly forMs: number; readonly failures: number }
  /** A connection stands again. */
  | { readonly is: "up"; readonly of: HealthSide }
  /** The host may be back: this worker would try one connection. Answered with a hint, at the latest when it is its turn. */
  | { readonly is: "wish"; readonly of: HealthSide }
  /** It does not try, or what came of it says nothing of the host. */
  | { readonly is: "pass"; readonly of: HealthSide }
  /** The host refused one more connection; it is thought to bear so many. */
  | { readonly is: "crowded"; readonly connections: number; readonly forMs: number }
  /** The host refuses one recipient after the other for policy reasons; `isOver`: it has accepted one again. */
  | { readonly is: "blocked"; readonly isOver: boolean };

/** What a worker is told. `untilMs` is on the process' clock (places.ts) between the threads, and on the worker's within it. */
export type HealthHint =
  /** Others could not reach the host. */
  | { readonly is: "down"; readonly of: HealthSide; readonly untilMs: number; readonly failures: number }
  /** Others reached it, or what they said before does not hold any more. */
  | { readonly is: "up"; readonly of: HealthSide }
  /** It is this worker's turn to try one connection. */
  | { readonly is: "turn"; readonly of: HealthSide }
  /** The host refused others one more connection so long ago, and is thought to bear so many of each gateway. */
  | { readonly is: "crowded"; readonly connections: number; readonly ageMs: number }
  /** It blocks others until then; in the past: it does not any more. */
  | { readonly is: "blocked"; readonly untilMs: number };
