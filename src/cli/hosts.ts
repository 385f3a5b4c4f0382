/** Remote hosts for the length of one command. Serves lookup.ts, relay.ts, probe.ts, the doctor and the demo. */
import { loadSettings } from "../config/load.js";
import type { ConfigWarning, HostSettings, Settings } from "../config/settings.js";
import { RelaypostError } from "../errors.js";
import { type RemoteHost, RemoteHosts } from "../remote-hosts.js";
import { type LogRecord, recordLogger } from "../runtime/loggers.js";
import { shown } from "../serve/wording.js";
import type { CommandContext } from "./command.js";

/** Nothing is under way when a command closes its hosts; this is for the peers' goodbyes. */
const DRAIN_MS = 2_000;

/** The settings with one host of a file, and no other; the whole file has to be right. */
export async function settingsOf(file: string, id: string): Promise<{ host: HostSettings; settings: Settings }> {
  const settings = await loadSettings(file);
  const { hosts } = settings;
  const host = hosts.get(id);
  if (host !== undefined) {
    const isAbout = ({ key }: ConfigWarning): boolean => key.startsWith(`remote.${id}.`) || key.startsWith("runtime.");
    const warnings = settings.warnings.filter(isAbout);
    return { host, settings: { ...settings, hosts: new Map([[id, host]]), warnings } };
  }
  const known = [...hosts.keys()].join(", ") || "no host at all";
  throw new RelaypostError("UNKNOWN_HOST", `${file} has no remote.${id}; it has ${known}`);
}

/** The settings with one host of a file, or all of them. */
export async function hostsOf(file: string, id: string | undefined): Promise<Settings> {
  return id === undefined ? await loadSettings(file) : (await settingsOf(file, id)).settings;
}

/** Opens one host of a file, and no other: each would cost a thread. Its warnings are shown. */
export async function withHost<T>(
  { output, signal }: CommandContext,
  file: string,
  id: string,
  use: (host: RemoteHost, settings: HostSettings) => Promise<T>,
): Promise<T> {
  const { settings, host } = await settingsOf(file, id);
  let lastFailure: string | undefined;
  const remark = ({ level, msg, event }: LogRecord) => {
    // Ten connections fail for one reason, and that the host is down follows from it.
    if (event === "host-down" || (event === "connect-failed" && msg === lastFailure)) {
      return;
    }
    // The pool says it again when it takes the host for down.
    if (event === "host-down" && lastFailure !== undefined && msg.endsWith(lastFailure)) {
      return;
    }
    if (event === "connect-failed") {
      lastFailure = msg;
    }
    output.remark(`${level === "warn" ? "warning" : level}: ${shown(msg)}`);
  };
  return withHosts(settings, signal, remark, (hosts) => use(hosts.host(id), host));
}

/** Opens hosts, and closes them whatever happens. */
export async function withHosts<T>(
  settings: Settings,
  signal: AbortSignal,
  remark: (record: LogRecord) => void,
  use: (hosts: RemoteHosts) => Promise<T>,
): Promise<T> {
  const hosts = await RemoteHosts.start(settings, { logger: recordLogger(remark) });
  try {
    return await use(hosts);
  } finally {
    await hosts.close({ drainMs: signal.aborted ? 0 : DRAIN_MS });
  }
}
