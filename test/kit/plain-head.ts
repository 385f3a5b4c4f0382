/** What a message says of itself that asks for no extension, in tests. */
import type { RelayHead } from "../../src/messages/requests.js";

export const PLAIN_HEAD = {
  sizeOctets: -1,
  smtputf8: "unused",
  body: null,
  requireTls: false,
  ret: null,
  envid: null,
  dsn: null,
} as const satisfies Partial<RelayHead>;
