/** Remote hosts for the length of one command. Serves lookup.ts, relay.ts and the demo. */
import { readFile } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import type { ConfigInput, HostInput } from "../config/input.js";
import { loadSettings } from "../config/load.js";
import type { HostSettings } from "../config/settings.js";
import { parseToml } from "../config/toml.js";
import { RelaypostError } from "../errors.js";
import { type RemoteHost, RemoteHosts } from "../remote-hosts.js";
import { type LogRecord, recordLogger } from "../runtime/log.js";
import { shown } from "../serve/wording.js";
import type { CommandContext } from "./command.js";

/** Nothing is under way when a command closes its hosts; this is for the peers' goodbyes. */
const DRAIN_MS = 2_000;

/** The settings of one host of a file; the whole file has to be right. */
export async function settingsOf(file: string, id: string): Promise<{ settings: HostSettings; hostname: string }> {
  const { hosts, runtime } = await loadSettings(file);
  const settings = hosts.get(id);
  if (settings !== undefined) {
    return { settings, hostname: runtime.hostname };
  }
  const known = [...hosts.keys()].join(", ") || "no host at all";
  throw new RelaypostError("UNKNOWN_HOST", `${file} has no remote.${id}; it has ${known}`);
}

/** Opens one host of a file, and no other: each would cost a thread. Its warnings are shown. */
export async function withHost<T>(
  { output, signal }: CommandContext,
  file: string,
  id: string,
  use: (host: RemoteHost, settings: HostSettings) => Promise<T>,
): Promise<T> {
  const { settings } = await settingsOf(file, id);
  let lastFailure: string | undefined;
  const remark = ({ level, msg, event }: LogRecord) => {
    // Ten connections fail for one reason.
    if (event === "connect-failed" && msg === lastFailure) {
      return;
    }
    if (event === "connect-failed") {
      lastFailure = msg;
    }
    output.remark(`${level === "warn" ? "warning" : level}: ${shown(msg)}`);
  };
  return withHosts(await tablesOf(file, id), signal, remark, (hosts) => use(hosts.host(id), settings));
}

/** Opens hosts, and closes them whatever happens. */
export async function withHosts<T>(
  source: ConfigInput,
  signal: AbortSignal,
  remark: (record: LogRecord) => void,
  use: (hosts: RemoteHosts) => Promise<T>,
): Promise<T> {
  const hosts = await RemoteHosts.open(source, { logger: recordLogger(remark) });
  try {
    return await use(hosts);
  } finally {
    await hosts.close({ drainMs: signal.aborted ? 0 : DRAIN_MS });
  }
}

/** The tables of one host of a file that is known to be right. Files that it names are searched from the file's folder. */
async function tablesOf(file: string, id: string): Promise<ConfigInput> {
  const { remote, runtime } = parseToml(await readFile(file, "utf8"), file).root as ConfigInput;
  const host: HostInput | undefined = remote?.[id];
  if (host === undefined) {
    return {};
  }
  const tls = { ...host.tls };
  for (const key of ["ca", "cert", "key"] as const) {
    if (tls[key] !== undefined) {
      tls[key] = resolve(dirname(file), tls[key]);
    }
  }
  return { remote: { [id]: { ...host, tls } }, ...(runtime === undefined ? {} : { runtime }) };
}
