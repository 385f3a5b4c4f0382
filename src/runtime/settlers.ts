/** What settles the promise made last: one executor for every request's promise, where each would need a closure of its own. Serves mailbox.ts. */

export let lastResolve: (value: never) => void;
export let lastReject: (reason: unknown) => void;

/** The executor: `new Promise(captureSettlers)`, and at once {@link lastResolve} and {@link lastReject} are that promise's. */
export function captureSettlers(resolve: (value: never) => void, reject: (reason: unknown) => void): void {
  lastResolve = resolve;
  lastReject = reject;
}
