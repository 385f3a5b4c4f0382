/** `relaypost check`: reads a configuration and says every mistake in it, or what its hosts are. Connects to Redis only if told to. */
import type { HostSettings } from "../config/settings.js";
import { ConfigError, type ConfigProblem, describeProblem } from "../errors.js";
import { describeListenAddress } from "../serve/listen-address.js";
import { type LoadedFile, loadFile, warningsOf } from "../serve/load.js";
import { checkCluster, describeCluster } from "./check-cluster.js";
import type { CommandContext } from "./command.js";
import { EXIT, type ExitCode } from "./exit-codes.js";
import { table } from "./terminal.js";

/** Reports on standard output: the list is what was asked for. */
export async function check(
  { output }: CommandContext,
  file: string,
  options: { json?: boolean; connect?: boolean },
): Promise<ExitCode> {
  let loaded: LoadedFile;
  try {
    loaded = await loadFile(file);
  } catch (error) {
    if (!(error instanceof ConfigError)) {
      throw error;
    }
    tellProblems(output, file, error.problems, options.json === true);
    return EXIT.misuse;
  }
  const hosts = [...loaded.settings.hosts.values()];
  const { settings, serve } = loaded;
  const ofKeys = [...settings.warnings, ...serve.warnings].map(({ key, message }) => `${key} ${message}`);
  const allWarnings = [...ofKeys, ...hosts.flatMap(warnings), ...warningsOf(serve)];
  if (hosts.length === 0 && serve.listeners.size === 0) {
    allWarnings.push("there is no [remote.<id>] and no [serve.<name>]: nothing in this file does anything");
  }
  const listeners = [...loaded.serve.listeners.values()].map(({ name, protocol, listen }) => ({
    name,
    protocol,
    listen: describeListenAddress(listen),
  }));
  const cluster = options.connect === true ? await checkCluster(settings) : undefined;
  const code = cluster === undefined || cluster.ok ? EXIT.yes : EXIT.temporary;
  if (options.json) {
    const found = cluster === undefined ? {} : { cluster };
    output.json({ ok: true, hosts: hosts.map(summary), listeners, ...found, warnings: allWarnings });
    return code;
  }
  for (const line of hostTable(hosts)) {
    output.line(line);
  }
  if (listeners.length > 0) {
    const rowsOfListeners = listeners.map(({ name, protocol, listen }) => [name, protocol, listen]);
    for (const line of ["", ...table(["listener", "protocol", "listens on"], rowsOfListeners)]) {
      output.line(line);
    }
  }
  for (const line of cluster === undefined ? [] : ["", ...describeCluster(cluster)]) {
    output.line(line);
  }
  for (const warning of allWarnings) {
    output.line(`warning: ${warning}`);
  }
  output.line(`${file}: ${hosts.length === 1 ? "1 host" : `${hosts.length} hosts`}, no mistakes`);
  return code;
}

function tellProblems(
  output: CommandContext["output"],
  file: string,
  problems: readonly ConfigProblem[],
  isJson: boolean,
): void {
  if (isJson) {
    output.json({ ok: false, problems });
    return;
  }
  for (const problem of problems) {
    output.line(describeProblem(problem));
  }
  output.remark(`${file}: ${problems.length === 1 ? "1 mistake" : `${problems.length} mistakes`}`);
}

function hostTable(hosts: readonly HostSettings[]): string[] {
  const rows = hosts
    .map(summary)
    .map((host) => [
      host.id,
      host.protocol,
      [host, ...host.otherAddresses].map(({ address, port }) => (port ? `${address}:${port}` : address)).join(" "),
      host.tls,
      describeAccount(host),
      host.lookup ? "yes" : "no",
      host.concurrency,
      host.cacheEntries,
    ]);
  return table(["host", "protocol", "address", "tls", "account", "lookup", "concurrency", "cache"], rows);
}

/** What a person wants to see of a host. Never its secret. */
function summary(host: HostSettings) {
  return {
    id: host.id,
    protocol: host.protocol,
    address: host.address,
    port: host.port === 0 ? undefined : host.port,
    otherAddresses: (host.endpoints ?? []).slice(1).map(({ address, port, weight, backup }) => ({
      address,
      ...(port === 0 ? {} : { port }),
      weight,
      backup,
    })),
    tls: host.tls.implicit ? "implicit" : `starttls ${host.tls.startTls}`,
    account: host.auth?.username,
    login: host.auth === undefined ? undefined : LOGINS[host.auth.by ?? "password"],
    lookup: host.lookup,
    concurrency: host.concurrency,
    cacheEntries: host.cache.entries,
  };
}

/** How an account logs in. */
const LOGINS = { password: "password", token: "oauth2", certificate: "external" } as const;

function describeAccount({ account, login }: { account?: string | undefined; login?: string | undefined }): string {
  if (login === undefined) {
    return "-";
  }
  const how = login === LOGINS.password ? [] : [`(${login})`];
  return [account, ...how].filter((word) => word !== "").join(" ");
}

/** Where servers begin in plain text (RFC 6409, RFC 2033, RFC 9051; 24 is what LMTP servers take). */
const PLAIN_PORTS = [24, 25, 143, 587];

/** Settings that are allowed and that somebody should have meant. */
function warnings(host: HostSettings): string[] {
  const key = `remote.${host.id}`;
  const found: string[] = [];
  if (host.tls.implicit && PLAIN_PORTS.includes(host.port)) {
    found.push(
      `${key}.port = ${host.port} with tls.implicit = true: servers speak STARTTLS there (tls.implicit = false)`,
    );
  }
  if (host.tls.allowInvalidCerts) {
    found.push(`${key}.tls.allow-invalid-certs = true: whoever sits on the path can read along`);
  }
  if (!host.tls.implicit && host.tls.startTls === "optional") {
    found.push(`${key}.tls.starttls = "optional": whoever sits on the path can switch TLS off`);
  }
  if (!host.tls.implicit && host.tls.startTls === "disable" && host.socketPath === undefined) {
    found.push(`${key}.tls.starttls = "disable": everything travels in plain text`);
  }
  if (host.allowPlaintextAuth && host.socketPath === undefined) {
    found.push(`${key}.auth.allow-plaintext = true: passwords may travel in plain text`);
  }
  return found;
}
