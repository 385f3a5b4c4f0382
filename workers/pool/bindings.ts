/**
 * Which connections may serve a request, where not all may: those of its client (`client = "proxy-v2"`, `"id"`), or those to its
 * recipient's address (stickiness.ts). Requests and connections have such a binding; where nothing binds them, all have the same.
 */
import type { Tally } from "./tally.js";
import type { Task } from "./task.js";

export interface Binder {
  bindingOf(task: Task): string;
  /**
   * For whom a connection is on its way, and for whom none could be opened now, whatever waits.
   *
   * @param opening those on their way, by their bindings
   */
  covered(opening: Tally): Tally;
}

/** Each connection serves one client only. */
export const BY_CLIENT: Binder = {
  bindingOf: ({ client }) => client,
  covered: (opening) => opening,
};
