/**
 * Whose turn it is: pure functions over what the two purposes (logins, and everything else) ask for. The pool acts on them.
 * Logins go first; but whoever has waited for longer than a second goes before those with more right, so nobody starves.
 */
import type { CircuitState } from "./circuit.js";
import type { ConnectionPast } from "./pooled-connection.js";

/** Whoever waited so long goes before those with more right. */
export const AGED_MS = 1_000;
/** A connection serves its own queue for so long before it gives its slot to those in the other who waited longer. */
export const LEAST_TURN_MS = 1_000;

/** What one purpose asks of the host's connection slots, and what it has. */
export interface Claim {
  /** Its requests are users' logins. */
  readonly isLogin: boolean;
  /** Requests that wait. */
  readonly queued: number;
  /** Those of them that need a connection that has only just opened: for their one retry. */
  readonly retries: number;
  /** When the request that waits longest came; `Infinity` where none waits. */
  readonly oldestMs: number;
  /** Connections on their way. */
  readonly opening: number;
  /** Connections that stand, and those on their way. */
  readonly held: number;
  readonly circuitState: CircuitState;
}

/** The connection that may have to give way. */
export interface Holder {
  readonly past: ConnectionPast;
  readonly ageMs: number;
}

/** Whether somebody has waited here for so long that they go before whoever waits in the other queue. */
export function isOverdue(own: Claim, rival: Claim, nowMs: number): boolean {
  const { oldestMs } = own;
  return nowMs - oldestMs > AGED_MS && oldestMs < rival.oldestMs;
}

/** How many more connections this purpose should have now, if there are slots for them. */
export function connectionsWanted({ queued, opening, circuitState }: Claim): number {
  if (queued === 0 || !mayDial(circuitState)) {
    return 0;
  }
  return Math.max(0, (circuitState === "closed" ? queued : 1) - opening);
}

/**
 * Every slot is taken: whether a free connection of `own` gives its slot to others, who have more right to it: a retry, logins
 * when they have none, who waited too long.
 *
 * @param closing connections whose slots will soon be free anyway
 */
export function mustYield(holder: Holder, own: Claim, rival: Claim, closing: number, nowMs: number): boolean {
  if (own.retries > closing + own.opening) {
    return holder.past !== "fresh";
  }
  if (rival.queued <= rival.opening + closing || !mayDial(rival.circuitState)) {
    return false;
  }
  if (own.queued === 0) {
    return true;
  }
  // Two queues that both wait for long shall not take the slot from each other for each request.
  if (holder.past !== "used") {
    return false;
  }
  if (isOverdue(rival, own, nowMs)) {
    return holder.ageMs >= LEAST_TURN_MS;
  }
  return rival.isLogin && rival.held === 0 && !isOverdue(own, rival, nowMs);
}

/** A slot is free that both want: whether a login connection is opened in it. Logins go first, unless the others are overdue. */
export function opensLoginFirst(login: Claim, service: Claim, nowMs: number): boolean {
  return !isOverdue(service, login, nowMs);
}

/** Connections may be opened now. */
export function mayDial(state: CircuitState): boolean {
  return state === "closed" || state === "half-open";
}
