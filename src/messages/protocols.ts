/** What each protocol can be asked for. Read by the public face, the configuration and the worker's actors, so that none of them knows a protocol by name. */
import type { Protocol, RequestKind } from "../api.js";

export interface ProtocolAbilities {
  /** What a caller can ask of its hosts. */
  readonly requests: ReadonlySet<RequestKind>;
  /** Connections serve an account of the gateway's own (`remote.<id>.auth`). */
  readonly hasAccount: boolean;
  /** How people write it. */
  readonly name: string;
}

const MAIL: ReadonlySet<RequestKind> = new Set(["relay", "rcpt", "vrfy", "expn", "auth"]);

export const PROTOCOLS: Readonly<Record<Protocol, ProtocolAbilities>> = {
  smtp: { requests: MAIL, hasAccount: true, name: "SMTP" },
  lmtp: { requests: MAIL, hasAccount: true, name: "LMTP" },
  imap: { requests: new Set(["auth"]), hasAccount: false, name: "IMAP" },
};

/** Its hosts try users' passwords and do nothing else. */
export function isLoginOnly(protocol: Protocol): boolean {
  const { requests } = PROTOCOLS[protocol];
  return requests.size === 1 && requests.has("auth");
}
