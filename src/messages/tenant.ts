/**
 * Whose request it is, as far as fairness goes: the tenant and the priority as one string, which crosses between the threads beside the
 * client (client.ts). Equal tags are equal strings, and a request without tenant and priority carries the empty one and costs nothing.
 * Written by src/request/tenant.ts, read by the pool's queues.
 */
import type { Priority } from "../api.js";

/** No tenant, and the usual priority. */
export const NO_TAG = "";

/** In the order of their right. */
export const PRIORITIES: readonly Priority[] = ["high", "normal", "bulk"];
const NORMAL = PRIORITIES.indexOf("normal");

/** @param tenant the empty string: nobody's */
export function encodeTag(tenant: string, priority: Priority): string {
  return tagOf(tenant, PRIORITIES.indexOf(priority));
}

/** @param rank the priority's index in {@link PRIORITIES} */
export function tagOf(tenant: string, rank: number): string {
  return tenant === "" && rank === NORMAL ? NO_TAG : `${rank}${tenant}`;
}

/** Whether requests of the one go before those of the other, by their priority alone. */
export function outranks(tag: string, other: string): boolean {
  return tag !== other && priorityOf(tag) < priorityOf(other);
}

/** The tenant of a tag; the empty string: nobody's. */
export function tenantOf(tag: string): string {
  return tag.slice(1);
}

/** Its index in {@link PRIORITIES}. */
export function priorityOf(tag: string): number {
  return tag === NO_TAG ? NORMAL : tag.charCodeAt(0) - 48;
}
