/** What the listeners of the daemon are told: validated settings. Made by load.ts, read by every file of src/serve/. */
import type { ConfigWarning } from "../config/settings.js";
import type { LogLevel } from "../messages/host-log.js";
import type { IpRange } from "../rules/ip-range.js";
import type { ShownAddresses } from "./address-mask.js";
import type { ListenAddress } from "./listen-address.js";

/** A value, or the path of a setting of the file that rules decide. */
export type Ruled<Value> =
  | { readonly kind: "plain"; readonly value: Value }
  | { readonly kind: "rules"; readonly path: readonly string[] };

interface Common {
  /** The `<name>` of `serve.<name>`; `listener` in rules. */
  readonly name: string;
  readonly listen: ListenAddress;
  /** Of a unix socket. */
  readonly mode: number;
  readonly clients: number;
  readonly idleMs: number;
}

interface Proxied extends Common {
  /** Whose connections begin with a header of the PROXY protocol. */
  readonly proxyFrom: readonly IpRange[];
}

interface Answered extends Proxied {
  readonly timeoutMs: number;
  /** Requests of one connection that are worked on at a time. */
  readonly pipeline: number;
  readonly requestOctets: number;
}

export interface SocketmapSettings extends Answered {
  readonly protocol: "socketmap";
  readonly value: string;
}

export interface TcpTableSettings extends Answered {
  readonly protocol: "tcp-table";
  readonly map: string;
  readonly value: string;
}

export interface PolicySettings extends Answered {
  readonly protocol: "policy";
  readonly lineOctets: number;
  readonly ask:
    | { readonly kind: "host"; readonly id: string }
    | { readonly kind: "rule"; readonly name: string }
    | { readonly kind: "action"; readonly action: Ruled<string> };
  readonly reject?: string;
}

export interface DovecotAuthSettings extends Answered {
  readonly protocol: "dovecot-auth";
  readonly host: string;
  /** Records of refused logins in a second. */
  readonly loginRecords: number;
}

export interface GatewaySettings extends Proxied {
  readonly protocol: "smtp" | "lmtp";
  /** An id of a host, or a reply. */
  readonly host: Ruled<string>;
  /** Without it: whether the host can be asked. */
  readonly verify?: Ruled<boolean>;
  /** Whose the messages are; absent: nobody's. */
  readonly tenant?: "listener" | "authenticated-as" | "sender-domain";
  readonly hostname: string;
  readonly timeoutMs: number;
  readonly tls?: {
    readonly implicit: boolean;
    readonly cert: string;
    readonly key: string;
    readonly minVersion: "TLSv1.2" | "TLSv1.3";
  };
  readonly auth?: { readonly host: string; readonly isRequired: boolean; readonly allowPlaintext: boolean };
  readonly messageOctets: number;
  readonly recipients: number;
  readonly lineOctets: number;
  /** Records of refused logins in a second. */
  readonly loginRecords: number;
}

export interface HttpSettings extends Common {
  readonly protocol: "http";
  /** Whether the page shows recipients' addresses. */
  readonly addresses: boolean;
  /** SHA-256 of the token that whoever acts on the page must have, in hexadecimal; without one the page only shows. */
  readonly tokenDigest?: string;
}

export interface ControlSettings extends Common {
  readonly protocol: "control";
  /** Whether recipients' addresses are shown. */
  readonly addresses: boolean;
  /** SHA-256 of the token that clients must have, in hexadecimal; without one the socket's mode decides. */
  readonly tokenDigest?: string;
}

export type ListenerSettings =
  | SocketmapSettings
  | TcpTableSettings
  | PolicySettings
  | DovecotAuthSettings
  | GatewaySettings
  | HttpSettings
  | ControlSettings;

/** `serve`. */
export interface ServeSettings {
  readonly drainMs: number;
  readonly logLevel: LogLevel;
  readonly logAddresses: ShownAddresses;
  readonly listeners: ReadonlyMap<string, ListenerSettings>;
  /** What is allowed and somebody should have meant. */
  readonly warnings: readonly ConfigWarning[];
}
