/** Settings as the rest of the house knows them: validated, complete, frozen plain data that survives structured clone. */
import type { Protocol } from "../api.js";
import type { LookupKind } from "../lookup-kinds.js";

/** `remote.<id>.tls`. */
export interface TlsSettings {
  readonly implicit: boolean;
  readonly startTls: "require" | "optional" | "disable";
  readonly allowInvalidCerts: boolean;
  /** SHA-256 of certificates or of public keys, in hexadecimal digits; where there are any, exactly those are trusted. */
  readonly fingerprints?: readonly string[];
  /** PEM text, already read from the file that the configuration names. */
  readonly ca?: string;
  readonly cert?: string;
  readonly key?: string;
  /** SNI and the name that the certificate must carry. */
  readonly serverName: string;
  readonly minVersion: "TLSv1.2" | "TLSv1.3";
}

/** `remote.<id>.auth`: the account of the connection itself, and how it logs in: by its password, by access tokens, or by `tls.cert` (SASL EXTERNAL). */
export type AccountSettings =
  | { readonly username: string; readonly secret: string; readonly by?: undefined }
  | { readonly username: string; readonly by: "token" | "certificate"; readonly secret?: undefined };

/** `remote.<id>.auth.oauth2`: where the account's access tokens come from (RFC 6749). */
export interface OAuth2Settings {
  /** `https:`, or `http:` on this machine. */
  readonly tokenUrl: string;
  readonly clientId: string;
  /** At most one of these two; neither for a public client (RFC 6749 2.1). */
  readonly clientSecret?: string;
  /** Where that secret is sent (RFC 6749 2.3.1). Default: in the body. */
  readonly clientAuth?: "post" | "basic";
  /** PEM text. */
  readonly privateKey?: string;
  /** PEM text of that key's certificate, and its name: how the server finds the key (RFC 7515 4.1). */
  readonly certificate?: string;
  readonly keyId?: string;
  readonly grant: "client-credentials" | "refresh-token";
  readonly refreshToken?: string;
  /** Absolute. It is read for each token, and written when the server hands out another one. */
  readonly refreshTokenFile?: string;
  readonly scope?: string;
  readonly audience?: string;
}

/** `remote.<id>.timeouts`, in milliseconds (RFC 5321 4.5.3.2). */
export interface TimeoutSettings {
  readonly greetingMs: number;
  readonly mailMs: number;
  readonly rcptMs: number;
  readonly dataInitiationMs: number;
  readonly dataBlockMs: number;
  readonly dataTerminationMs: number;
  readonly commandMs: number;
  /** A lookup without a word of the host, the opening of its connection included. */
  readonly lookupMs: number;
}

/** A rate of requests: on average one each `intervalMs`, and at most `burst` at once after a pause. */
export interface RateSettings {
  readonly intervalMs: number;
  readonly burst: number;
}

/** `remote.<id>.limits`. */
export interface LimitSettings {
  /** Negative replies after which a connection is closed. */
  readonly errors: number;
  /** Requests after which a connection is closed. */
  readonly requests: number;
  readonly idleMs: number;
  readonly lifetimeMs: number;
  /** Most requests that wait. */
  readonly queue: number;
  /** Most octets of content that wait. */
  readonly queueOctets: number;
  /** Most commands in flight on one connection; 1 switches pipelining off. */
  readonly pipeline: number;
  /** Refused recipients in a row, for reasons that speak of us, after which the host's refusals are no answers any more. */
  readonly refusals: number;
  /** Most connections that try one user's passwords, and those of one client; at most half of all, which they are by default. */
  readonly perUser?: number;
  readonly perClient?: number;
  /** Most recipients of one transaction; absent: as many as the host takes. */
  readonly recipients?: number;
  /** How often messages, lookups and logins may begin at the host; absent: as often as they come. */
  readonly rate?: RateSettings;
  /** Wrong passwords in a minute, of one user or one client, that are answered without delay; 0: all are. */
  readonly guesses: number;
}

/** `remote.<id>.cache`. */
export interface CacheSettings {
  /** Size of each of the two caches; 0 means no cache. */
  readonly entries: number;
  readonly positiveTtlMs: number;
  readonly negativeTtlMs: number;
  readonly authTtlMs: number;
  /** Of an answer about a mailbox that exists and takes no mail now. */
  readonly stateTtlMs: number;
  /** How long past its TTL a positive answer serves while the host does not answer; 0 means not at all. */
  readonly staleIfErrorMs: number;
  /** Whether that holds for AUTH too. */
  readonly staleAuth: boolean;
  /** The last fraction of a TTL in which an answer that is asked for is refreshed in the background; 0 means never. */
  readonly refresh: number;
  /** Answers are kept for each client apart. */
  readonly byClient: boolean;
  /** Messages teach which recipients exist. Absent where there are no lookups. */
  readonly learn?: boolean;
  /** Where the cache outlives a restart: an absolute path. */
  readonly file?: string;
}

/** `remote.<id>.lookups`. */
export interface LookupSettings {
  /** Whether it is found out where the host accepts every recipient. */
  readonly detectsCatchAll: boolean;
  /** What `in-list` and the adapters make of a recipient where the host accepts every one. */
  readonly acceptsAll: "found" | "no-answer";
  /** Absent: clients may ask for whom they like. */
  readonly harvest?: HarvestSettings;
}

/** `remote.<id>.lookups.harvest`: which clients are suspected of trying out which recipients exist. */
export interface HarvestSettings {
  /** Recipients that do not exist, at least, and their share of all that the client was answered. */
  readonly unknown: number;
  readonly ratio: number;
  readonly windowMs: number;
}

/** One of `remote.<id>.replies`: what a reply of this host means. */
export interface ReplyRule {
  /** The command that it answers; `auth` stands for AUTHENTICATE and LOGIN of IMAP too. */
  readonly to: "rcpt" | "auth" | "vrfy" | "expn";
  readonly code?: number;
  readonly enhanced?: string;
  /** A regular expression (RE2) that is to be found in the text. */
  readonly text?: string;
  readonly meaning: "found" | "not-found" | "no-answer";
}

/** How a host is told of clients: `remote.<id>.client`. */
export type ClientTelling = "none" | "id" | "xclient" | "xforward" | "proxy-v2";

/** `remote.<id>.shadow`: another host that a share of the lookups is asked of too. */
export interface ShadowSettings {
  /** Its id. */
  readonly host: string;
  /** From 0 to 1. */
  readonly share: number;
  readonly kinds: readonly LookupKind[];
  /** Whether the log names recipients and users. */
  readonly addresses: boolean;
}

/** One of the addresses at which a service is: what of a host's settings differs between them. */
export interface EndpointSettings {
  readonly address: string;
  /** 0 for a unix socket. */
  readonly port: number;
  readonly socketPath?: string;
  /** SNI and the name that the certificate must carry. */
  readonly serverName: string;
  /** How many of the connections it gets, in proportion to the weights of the others. */
  readonly weight: number;
  /** It gets connections only while all that are no backups are down. */
  readonly backup: boolean;
  /** Where SRV records named it: it gets connections only while all of lower tiers are down. */
  readonly tier?: number;
}

/** Where a host's addresses are asked for: SRV records (RFC 2782). */
export interface ServiceSettings {
  /** `_lmtp._tcp.example.org` */
  readonly name: string;
  /** `runtime.dns-servers`; missing: those of the system. */
  readonly servers?: readonly string[];
}

/** `tenant.<name>`: one of those whose requests share a host. */
export interface TenantSettings {
  /** Its share of a host, beside the 1 of a tenant that the settings do not name. */
  readonly weight: number;
  /** How often it may begin a request at each host. */
  readonly rate?: RateSettings;
  /** Most of its requests that wait for each host; half of `limits.queue` at most. */
  readonly queue?: number;
}

/** One remote host. */
export interface HostSettings {
  readonly id: string;
  /** A name, an IP address, or `unix:` and a socket, as it was configured. */
  readonly address: string;
  /** 0 for a unix socket. */
  readonly port: number;
  /** The unix socket as `net.connect` takes it; an abstract one begins with NUL. */
  readonly socketPath?: string;
  /** Where there are several addresses: all of them, of which the fields above say the first. */
  readonly endpoints?: readonly EndpointSettings[];
  /** Where SRV records name the addresses: the fields above name none, and the port is 0. */
  readonly service?: ServiceSettings;
  readonly protocol: Protocol;
  readonly concurrency: number;
  /** Most connections to one of several addresses. */
  readonly concurrencyPerAddress?: number;
  /** Each recipient has one of several addresses of its own. */
  readonly sticky?: "recipient";
  /** Covers DNS, TCP and TLS of one attempt. */
  readonly timeoutMs: number;
  readonly lookup: boolean;
  readonly client: ClientTelling;
  readonly tls: TlsSettings;
  readonly auth?: AccountSettings;
  /** The gateway's thread fetches the tokens: workers never see these. */
  readonly oauth2?: OAuth2Settings;
  /** `auth.allow-plaintext`: mechanisms that show the secret may be used without TLS. */
  readonly allowPlaintextAuth: boolean;
  readonly timeouts: TimeoutSettings;
  readonly limits: LimitSettings;
  readonly cache: CacheSettings;
  /** Absent where lookups need nothing but the host. */
  readonly lookups?: LookupSettings;
  readonly sourceAddress?: string;
  /** `[tenant]`, the same for all hosts. */
  readonly tenants?: Readonly<Record<string, TenantSettings>>;
  /** What the host's connections share with other gateways; absent: nothing. */
  readonly cluster?: HostClusterSettings;
  /** What the site knows of the host's replies; the first rule that fits is taken. */
  readonly replies?: readonly ReplyRule[];
  readonly shadow?: ShadowSettings;
  /** LMTP: a recipient may be a bare local part. */
  readonly bareRecipients: boolean;
  /** Content with octets above 127 goes to a host without 8BITMIME as it is, or not at all. */
  readonly eightBit: "send" | "refuse";
}

/** `runtime`. */
export interface RuntimeSettings {
  /** The name said in EHLO and LHLO. Without one, the connection's own address is said. */
  readonly hostname?: string;
  /** Most worker threads. */
  readonly threads: number;
  /** `runtime.start`: `lazy` starts a thread with the first request to one of its hosts, `eager` all threads at once. */
  readonly start: "lazy" | "eager";
  /** `runtime.idle`: a thread without requests for so long is given back; never where it is missing. */
  readonly idleMs?: number;
  /** `runtime.heartbeat`: a worker that gives no sign for so long is replaced. Default 2 s. */
  readonly heartbeatMs: number;
  /** `runtime.memory`: a worker whose heap grows past it is replaced. Default 1 GiB. */
  readonly memoryOctets: number;
  /** `runtime.restarts` within `runtime.restart-window`: more than that and its hosts are `failed`. Defaults 3 in 60 s. */
  readonly restarts: number;
  readonly restartWindowMs: number;
  /** `runtime.dns-servers`: asked for SRV records, in place of those of the system. */
  readonly dnsServers?: readonly string[];
}

/** A setting that is allowed and that somebody should have meant. */
export interface ConfigWarning {
  /** Its path, as in a message: `remote.x.auth.secret`. */
  readonly key: string;
  readonly message: string;
}

/** Where Redis is, and who we are there. */
export interface RedisSettings {
  /** `redis:`, `rediss:` or `unix:`; more than one: nodes of a Redis Cluster. Without credentials. */
  readonly urls: readonly string[];
  /** Asked for the master's address; then `urls` is empty. */
  readonly sentinel?: { readonly name: string; readonly urls: readonly string[] };
  readonly username?: string;
  readonly password?: string;
  /** PEM text of the CAs to trust instead of the system's. */
  readonly ca?: string;
}

/** What becomes of new connections while Redis is lost (`cluster.on-loss`). */
export type OnLoss = "share" | "refuse" | "local";

/** `cluster`: what several gateways share. */
export interface ClusterSettings {
  readonly redis: RedisSettings;
  /** Gateways of one name are one cluster. */
  readonly name: string;
  /** How long places outlive a gateway that fell silent. */
  readonly leaseMs: number;
  /** A Redis that does not answer for so long counts as lost. */
  readonly timeoutMs: number;
  readonly onLoss: OnLoss;
  /** What the keys and the values of shared answers are made with. */
  readonly secret?: string;
}

/** `remote.<id>.cluster`. */
export interface HostClusterSettings {
  /** Most connections of all gateways together. */
  readonly concurrency?: number;
  /** How often requests of all gateways together may begin. */
  readonly rate?: RateSettings;
  /** Answers are shared; those to logins only where `cacheAuth` says so too. */
  readonly cache?: true;
  readonly cacheAuth?: true;
  /** What gateways find out of the host's health is told to the others. */
  readonly health?: true;
}

/** A whole configuration. */
export interface Settings {
  readonly runtime: RuntimeSettings;
  readonly hosts: ReadonlyMap<string, HostSettings>;
  readonly cluster?: ClusterSettings;
  /** What is allowed and somebody should have meant. */
  readonly warnings: readonly ConfigWarning[];
  /** Every other top-level table, such as `rule`, `list` and `serve`, as it stands, for its owner to read. */
  readonly others?: Readonly<Record<string, unknown>>;
}
