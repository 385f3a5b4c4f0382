/** A configuration as an object: the tables of the file, under the same names. */

/** A positive integer with `ms`, `s`, `m`, `h` or `d`, such as `"30s"`; a bare number is SECONDS. */
export type DurationInput = string | number;

/** A positive integer with `B`, `KiB`, `MiB` or `GiB`, such as `"64MiB"`; a bare number is octets. */
export type SizeInput = string | number;

/** `remote.<id>.auth.oauth2`: where the account's access tokens come from. */
export interface OAuth2Input {
  "token-url": string;
  "client-id": string;
  "client-secret"?: string;
  "client-secret-file"?: string;
  "client-secret-env"?: string;
  "client-secret-credential"?: string;
  "client-auth"?: "post" | "basic";
  "private-key-file"?: string;
  "certificate-file"?: string;
  "key-id"?: string;
  grant?: "client-credentials" | "refresh-token";
  "refresh-token"?: string;
  "refresh-token-file"?: string;
  "refresh-token-env"?: string;
  "refresh-token-credential"?: string;
  scope?: string;
  audience?: string;
}

/** `remote.<id>`; docs/configuration.md says what each key means. */
export interface HostInput {
  /** An array: several addresses of one service. */
  address:
    | string
    | readonly { address: string; port?: number; weight?: number; backup?: boolean; "server-name"?: string }[];
  /** Required, but for a unix socket (`unix:/path`) and SRV records (`srv:_lmtp._tcp.example.org`). */
  port?: number;
  protocol: "smtp" | "lmtp" | "imap";
  concurrency?: number;
  "concurrency-per-address"?: number;
  sticky?: "none" | "recipient";
  timeout?: DurationInput;
  lookup?: boolean;
  client?: "none" | "id" | "xclient" | "xforward" | "proxy-v2";
  "source-address"?: string;
  replies?: readonly {
    to: "rcpt" | "auth" | "vrfy" | "expn";
    code?: number;
    enhanced?: string;
    text?: string;
    then: "found" | "not-found" | "no-answer";
  }[];
  "bare-recipients"?: boolean;
  "eight-bit"?: "send" | "refuse";
  tls?: {
    implicit?: boolean;
    starttls?: "require" | "optional" | "disable";
    "allow-invalid-certs"?: boolean;
    /** `sha256:…` of the server's certificate or of its public key. */
    fingerprints?: readonly string[];
    /** PEM files; relative names start from the working directory. */
    ca?: string;
    cert?: string;
    key?: string;
    "key-passphrase"?: string;
    "key-passphrase-file"?: string;
    "key-passphrase-env"?: string;
    "key-passphrase-credential"?: string;
    "server-name"?: string;
    "min-version"?: "1.2" | "1.3";
  };
  auth?: {
    username?: string;
    /** At most one of the four; see docs/configuration.md, "Secrets". */
    secret?: string;
    "secret-file"?: string;
    "secret-env"?: string;
    "secret-credential"?: string;
    /** Log in by `tls.cert` (SASL EXTERNAL). */
    external?: boolean;
    /** Log in by access tokens; see docs/configuration.md, "Accounts by OAuth 2.0". */
    oauth2?: OAuth2Input;
    "allow-plaintext"?: boolean;
  };
  timeouts?: {
    greeting?: DurationInput;
    mail?: DurationInput;
    rcpt?: DurationInput;
    "data-initiation"?: DurationInput;
    "data-block"?: DurationInput;
    "data-termination"?: DurationInput;
    command?: DurationInput;
    lookup?: DurationInput;
  };
  limits?: {
    errors?: number;
    requests?: number;
    idle?: DurationInput;
    lifetime?: DurationInput;
    queue?: number;
    "queue-bytes"?: SizeInput;
    pipeline?: number;
    refusals?: number;
    recipients?: number;
    "per-user"?: number;
    guesses?: number;
    "per-client"?: number;
    /** Such as `"200/s"`, `"30/m"`, `/h` or `/d`. */
    rate?: string;
    "rate-burst"?: number;
  };
  cache?: {
    entries?: number;
    ttl?: { positive?: DurationInput; negative?: DurationInput; auth?: DurationInput; state?: DurationInput };
    "stale-if-error"?: DurationInput;
    "stale-auth"?: boolean;
    "by-client"?: boolean;
    learn?: boolean;
    /** Relative names start from the working directory. */
    file?: string;
    refresh?: number;
  };
  lookups?: {
    "catch-all"?: "detect" | "off";
    "accepts-all"?: "found" | "no-answer";
    harvest?: { unknown?: number; window?: DurationInput; ratio?: number };
  };
  cluster?: {
    concurrency?: number;
    rate?: string;
    "rate-burst"?: number;
    cache?: boolean;
    "cache-auth"?: boolean;
    health?: boolean;
  };
  shadow?: {
    host: string;
    share?: number;
    kinds?: readonly ("rcpt" | "auth" | "vrfy" | "expn")[];
    addresses?: boolean;
  };
}

/** What a TOML file would hold. */
export interface ConfigInput {
  remote?: Record<string, HostInput>;
  runtime?: {
    hostname?: string;
    threads?: number;
    start?: "lazy" | "eager";
    idle?: DurationInput;
    heartbeat?: DurationInput;
    memory?: number | string;
    restarts?: number;
    "restart-window"?: DurationInput;
    "dns-servers"?: readonly string[];
  };
  cluster?: {
    url?: string | string[];
    sentinel?: { name?: string; urls?: string | string[] };
    username?: string;
    password?: string;
    "password-file"?: string;
    "password-env"?: string;
    "password-credential"?: string;
    /** PEM file; a relative name starts from the working directory. */
    ca?: string;
    name?: string;
    /** At most one of the four. */
    secret?: string;
    "secret-file"?: string;
    "secret-env"?: string;
    "secret-credential"?: string;
    lease?: DurationInput;
    timeout?: DurationInput;
    "on-loss"?: "share" | "refuse" | "local";
  };
  /** By name. */
  tenant?: Record<string, { weight?: number; rate?: string; queue?: number }>;
  /** Conditions and lists of the rules. */
  rule?: Record<string, unknown>;
  list?: Record<string, unknown>;
  /** The daemon. */
  serve?: Record<string, unknown>;
}
