/** The remote hosts of a run: what their servers are and how the library is told of them. Serves both processes. */
import type { ConfigInput, HostInput } from "../../src/index.js";
import { cacheFileOf } from "./cache-files.js";
import { CANARY } from "./canary.js";

/** A host's name, protocol, and how many connections it may ever see. */
export interface ChaosHost {
  readonly id: string;
  readonly protocol: "smtp" | "lmtp" | "imap";
  readonly concurrency: number;
  /** STARTTLS, an account of the connection's own, and CHUNKING. */
  readonly isSecure: boolean;
  readonly client: "none" | "xforward" | "xclient" | "proxy-v2" | "id";
  /** Recipients of one transaction, and who says so: the host (RFC 9422), or our configuration. Longer messages are split. */
  readonly most?: { readonly recipients: number; readonly by: "host" | "configuration" };
}

export const HOSTS: readonly ChaosHost[] = [
  { id: "plain", protocol: "smtp", concurrency: 6, isSecure: false, client: "xforward" },
  {
    id: "secure",
    protocol: "smtp",
    concurrency: 4,
    isSecure: true,
    // The shadow of two others: what they ask reaches it too.
    client: "none",
    most: { recipients: 2, by: "configuration" },
  },
  { id: "store", protocol: "lmtp", concurrency: 5, isSecure: false, client: "proxy-v2" },
  {
    id: "filter",
    protocol: "smtp",
    concurrency: 4,
    isSecure: false,
    client: "xclient",
    most: { recipients: 2, by: "host" },
  },
  { id: "login", protocol: "imap", concurrency: 4, isSecure: false, client: "id" },
];

/** What hosts take of a client; nothing else may be told them. */
export const ATTRIBUTES = { xclient: ["NAME", "ADDR", "PROTO", "HELO"], xforward: ["NAME", "ADDR", "PORT", "IDENT"] };

export const ACCOUNT = { username: "gateway", secret: `${CANARY} of the gateway` };
/** Users whose passwords are asked about, by name. */
export const USERS: Readonly<Record<string, string>> = Object.fromEntries(
  Array.from({ length: 50 }, (_, number) => [`user${number}`, `${CANARY} ${number}`]),
);

/** Whose lookups are asked of another host too, with the same recipients and users. */
export const SHADOWS: Readonly<Record<string, NonNullable<HostInput["shadow"]>>> = {
  plain: { host: "secure", share: 0.3, kinds: ["rcpt"] },
  login: { host: "secure", share: 0.3, kinds: ["auth"] },
};

/** What a reload may change about a host without changing what it promises. */
export type Whim = Pick<NonNullable<HostInput["limits"]>, "requests" | "pipeline" | "idle">;

/**
 * A configuration of the hosts whose servers listen on `ports`; hosts without a port are left out.
 *
 * @param folder where the caches have their files; of one client only
 */
export function configure(
  ports: Readonly<Record<string, number>>,
  caFile: string,
  threads: number,
  whims: Readonly<Record<string, Whim>> = {},
  folder?: string,
): ConfigInput {
  const remote: Record<string, HostInput> = {};
  for (const { id, protocol, concurrency, isSecure, client, most } of HOSTS) {
    const port = ports[id];
    if (port === undefined) {
      continue;
    }
    const shadow = SHADOWS[id];
    remote[id] = {
      address: "127.0.0.1",
      port,
      protocol,
      concurrency,
      client,
      lookup: true,
      timeout: "2s",
      tls: isSecure ? { implicit: false, ca: caFile } : { implicit: false, starttls: "disable" },
      auth: isSecure ? ACCOUNT : { "allow-plaintext": true },
      timeouts: {
        lookup: "2s",
        // As with the default of five minutes, a hung host is not known by its greeting.
        greeting: "20s",
        mail: "2s",
        rcpt: "2s",
        "data-initiation": "2s",
        "data-block": "2s",
        "data-termination": "3s",
        command: "2s",
      },
      limits: {
        errors: 20,
        requests: 200,
        idle: "2s",
        lifetime: "10s",
        queue: 400,
        "queue-bytes": "8MiB",
        // Wrong passwords that are answered late, as a guesser's are, would be all that is under way in the end.
        guesses: 0,
        ...(most?.by === "configuration" ? { recipients: most.recipients } : {}),
        ...whims[id],
      },
      cache: {
        entries: 100,
        ttl: { positive: "2s", negative: "1s", auth: "1s" },
        ...(folder === undefined || protocol === "imap" ? {} : { file: cacheFileOf(folder, id) }),
      },
      ...(shadow !== undefined && ports[shadow.host] !== undefined ? { shadow } : {}),
    };
  }
  // Losses are forgotten soon: this is about being killed again and again, not about giving up.
  const runtime = { threads, heartbeat: "500ms", memory: "64MiB", restarts: 1000, "restart-window": "2s" };
  return { runtime, remote };
}
