/** What a ward of sick hosts is to the daemon that serves it (ward-daemon.ts), and what all of them are made of. */
import type { DiagnosisCause } from "../../src/operator/report.js";
import type { SickHost } from "./sick-hosts.js";

/** Every recipient that is asked about has this domain. */
export const RECIPIENT_DOMAIN = "recipients.example";

/** A host and what is wrong with it. */
export interface Patient extends SickHost {
  readonly cause: DiagnosisCause;
  /** Further keys of `remote.<id>`, as TOML. */
  readonly keys: string;
  readonly port: number;
  /** As TOML: one, or several. */
  readonly address: string;
  /** Lookups a second that are asked of it; fewer than one: once. */
  readonly rate: number;
}

/** Asks a host about a recipient, and does not care about the answer. */
export type Ask = (hostId: string, recipient: string) => void;

export interface Ward extends AsyncDisposable {
  readonly patients: readonly Patient[];
  readonly folder: string;
  /** A configuration of all hosts. */
  readonly tables: string;
  /** Asks of each host what it is asked, from now on. */
  begin(ask: Ask): void;
}

/** The hosts' tables of a configuration. */
export function hostTables(patients: readonly Patient[]): string {
  const hosts = patients.map(
    ({ id, address, port, keys }) => `
[remote.${id}]
address = ${address}
port = ${port}
protocol = "lmtp"
lookup = true
timeout = "2s"
cache = { entries = 0 }
${keys}
`,
  );
  return hosts.join("");
}
