/** From a TOML file, a TOML text or an object to validated, frozen {@link Settings}. Serves remote-hosts.ts and the command line. */
import { readFile } from "node:fs/promises";
import { hostname } from "node:os";
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import { ConfigError } from "../errors.js";
import { checkHostsCluster, readCluster } from "./cluster.js";
import { withDnsServers } from "./endpoints.js";
import { deepFreeze, freezeMap } from "./freeze.js";
import { readHost } from "./host.js";
import { isQualified } from "./host-name.js";
import type { ConfigInput } from "./input.js";
import { describeFailure } from "./pem-file.js";
import { findSimilar, Problems } from "./problems.js";
import { asTable, readTable } from "./read-table.js";
import { RUNTIME_SCHEMA } from "./runtime-schema.js";
import { OTHER_TABLES } from "./schema.js";
import type { HostSettings, RuntimeSettings, Settings } from "./settings.js";
import { checkShadows } from "./shadow.js";
import { readTenants } from "./tenants.js";
import { type KeyPath, parseToml } from "./toml.js";

/** What `remote.<id>` may be called: it stands in list names, logs and metrics. */
const ID = /^[A-Za-z0-9_-]{1,64}$/;
const READ_HERE = ["remote", "runtime", "cluster", "tenant"];
const TOP = [...READ_HERE, ...OTHER_TABLES];

/**
 * Loads a configuration.
 *
 * @param source the path or `file:` URL of a TOML file, or the same tables as an object
 * @throws ConfigError with every mistake there is, each with file, line and key
 */
export async function loadSettings(source: string | URL | ConfigInput): Promise<Settings> {
  if (typeof source === "string" || source instanceof URL) {
    const file = pathOf(source);
    return await parseSettings(await readText(file), { file });
  }
  return await readSettings(source, ".", new Problems(undefined, undefined));
}

/**
 * Reads a TOML text as {@link loadSettings} reads a file.
 *
 * @param options `file` names the text in errors; files that the text names are searched from its directory
 * @throws ConfigError
 */
export async function parseSettings(text: string, options: { file?: string } = {}): Promise<Settings> {
  const { file } = options;
  const { root, lineOf } = parseToml(text, file);
  return await readSettings(root, file === undefined ? "." : dirname(file), new Problems(file, lineOf));
}

/**
 * Reads tables that were made of a file, and finds the lines of that file in what is wrong with them.
 *
 * @param file where they come from; its keys have the paths that the tables have
 * @throws ConfigError
 */
export async function loadTables(
  tables: ConfigInput,
  file: { readonly name: string; readonly lineOf: (path: KeyPath) => number },
): Promise<Settings> {
  return await readSettings(tables, dirname(file.name), new Problems(file.name, file.lineOf));
}

async function readSettings(input: unknown, directory: string, problems: Problems): Promise<Settings> {
  const root = asTable(input, [], problems) ?? {};
  const others: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(root)) {
    if (value === undefined || READ_HERE.includes(name)) {
      continue;
    }
    if (isOther(name, value, root)) {
      others[name] = copyOther(name, value, problems);
    } else {
      problems.add([name], describeUnknownTop(name));
    }
  }
  const runtime = readRuntime(root.runtime, problems);
  const tenants = readTenants(root.tenant, problems);
  const hosts = new Map<string, HostSettings>();
  const remote = root.remote === undefined ? {} : (asTable(root.remote, ["remote"], problems) ?? {});
  for (const [id, table] of Object.entries(remote)) {
    if (table === undefined) {
      continue;
    }
    if (!ID.test(id) || id === "__proto__") {
      problems.add(["remote", id], "is no id of a host: 1 to 64 letters A to Z, digits, hyphens and underscores");
    }
    const host = withDnsServers(await readHost(id, table, directory, problems), runtime);
    hosts.set(id, tenants === undefined ? host : { ...host, tenants });
  }
  warnOfHostname(runtime, hosts, problems);
  const cluster = root.cluster === undefined ? undefined : await readCluster(root.cluster, directory, problems);
  checkHostsCluster(hosts.values(), cluster, problems);
  checkCacheFiles(hosts, problems);
  checkShadows(hosts, problems);
  problems.throwIfAny();
  const { warnings } = problems;
  deepFreeze([runtime, cluster, others, warnings, ...hosts.values()]);
  return Object.freeze({
    runtime,
    hosts: freezeMap(hosts),
    ...(cluster === undefined ? {} : { cluster }),
    warnings,
    others,
  });
}

/** Two hosts that write one file would each throw away what the other knows. */
function checkCacheFiles(hosts: ReadonlyMap<string, HostSettings>, problems: Problems): void {
  const owners = new Map<string, string>();
  for (const [id, { cache }] of hosts) {
    const owner = cache.file === undefined ? undefined : owners.get(cache.file);
    if (owner !== undefined) {
      problems.add(["remote", id, "cache", "file"], `is the file of remote.${owner} already; each host needs its own`);
    } else if (cache.file !== undefined) {
      owners.set(cache.file, id);
    }
  }
}

function readRuntime(input: unknown, problems: Problems): RuntimeSettings {
  const { values } = readTable(input === undefined ? {} : input, ["runtime"], RUNTIME_SCHEMA, problems);
  const hostnameOrNone = values.hostname ?? (isQualified(hostname()) ? hostname() : undefined);
  return {
    ...(hostnameOrNone === undefined ? {} : { hostname: hostnameOrNone }),
    threads: values.threads,
    start: values.start,
    ...(values.idle === undefined ? {} : { idleMs: values.idle }),
    heartbeatMs: values.heartbeat,
    memoryOctets: values.memory,
    ...(values["dns-servers"] === undefined ? {} : { dnsServers: values["dns-servers"] }),
    restarts: values.restarts,
    restartWindowMs: values["restart-window"],
  };
}

/** Many servers refuse an EHLO that names no fully qualified host, and some refuse each recipient for it. */
function warnOfHostname(runtime: RuntimeSettings, hosts: ReadonlyMap<string, HostSettings>, problems: Problems): void {
  const isTold = [...hosts.values()].some(
    ({ protocol, socketPath }) => protocol !== "imap" && socketPath === undefined,
  );
  if (runtime.hostname === undefined && isTold) {
    problems.warn(
      ["runtime", "hostname"],
      `is not set, and the name of this machine, ${JSON.stringify(hostname())}, is not fully qualified: EHLO says the address of the connection instead, such as [192.0.2.1]`,
    );
  }
}

/**
 * Whether a top-level table is read elsewhere. A file with rules may have tables of the gateway's own, whose values depend on
 * conditions. Any other file may not, and neither is a name allowed that looks like a mistyped one of ours.
 */
function isOther(name: string, value: unknown, root: Readonly<Record<string, unknown>>): boolean {
  if (OTHER_TABLES.some((other) => other === name)) {
    return true;
  }
  const hasRules = root.rule !== undefined || root.list !== undefined;
  return hasRules && typeof value === "object" && findSimilar(name, TOP) === undefined;
}

/** A table that somebody else reads: a copy, so that freezing it does not freeze the caller's. */
function copyOther(name: string, value: unknown, problems: Problems): unknown {
  if (asTable(value, [name], problems) === undefined) {
    return undefined;
  }
  try {
    return structuredClone(value);
  } catch {
    problems.add([name], "holds something that is no plain data");
    return undefined;
  }
}

function describeUnknownTop(name: string): string {
  const similar = findSimilar(name, TOP);
  return similar === undefined
    ? `is unknown; known here are ${TOP.join(", ")}`
    : `is unknown; did you mean ${similar}?`;
}

/** The path of a configuration file. */
export function pathOf(source: string | URL): string {
  if (typeof source === "string") {
    return source;
  }
  if (source.protocol === "file:") {
    return fileURLToPath(source);
  }
  throw unreadable(undefined, "the configuration must be a file: URL or a path");
}

/**
 * Reads a file as UTF-8, which TOML must be.
 *
 * @throws ConfigError with CONFIG_SYNTAX when it cannot be read
 */
export async function readText(file: string): Promise<string> {
  let bytes: Uint8Array;
  try {
    bytes = await readFile(file);
  } catch (error) {
    throw unreadable(file, `the file ${describeFailure(error)}`);
  }
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    throw unreadable(file, "the file is not UTF-8");
  }
}

function unreadable(file: string | undefined, message: string): ConfigError {
  return new ConfigError([{ code: "CONFIG_SYNTAX", file, line: undefined, key: "", message }]);
}
