/** The public surface, and nothing else. */
export type * from "./api.js";
