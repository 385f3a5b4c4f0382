/**
 * The one rule for automatic retries, whatever the protocol and the kind of request. The sessions report how far a request had come when its
 * connection ended; tasks.ts asks here, retries each request once at most, and only while somebody waits for it.
 */
import type { Progress } from "../wire/progress.js";

/**
 * A connection that rested, before its first request or after others, may have been closed by its peer meanwhile, and then nothing
 * that was written to it was read. Any reply shows that it was. What must not be repeated without a verdict is never sent again:
 * credentials, since peers lock accounts by counting attempts, and content, since a message may be delivered by it.
 */
export function isRetrySafe({ isReused, isAnswered, shown }: Progress): boolean {
  return isReused && !isAnswered && (shown === "nothing" || shown === "command");
}
