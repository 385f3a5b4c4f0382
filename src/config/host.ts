/** Makes the settings of one host from its table: what keys say of each other, and files that they name. Serves load.ts. */
import { resolve } from "node:path";
import { readAccount } from "./account.js";
import { checkPorts, endpointOf, soleEndpoint } from "./endpoints.js";
import { digitsOf } from "./fingerprint.js";
import { parseSrvAddress, withoutBrackets } from "./host-name.js";
import { readKeyPair } from "./key-pair.js";
import type { ValuesOf } from "./key-spec.js";
import { readPemFile } from "./pem-file.js";
import type { Problems } from "./problems.js";
import { readTable, type TableReading } from "./read-table.js";
import { HOST_SCHEMA } from "./schema.js";
import type { SecretSurroundings } from "./secret.js";
import type {
  CacheSettings,
  ClientTelling,
  EndpointSettings,
  HarvestSettings,
  HostClusterSettings,
  HostSettings,
  LimitSettings,
  RateSettings,
  TimeoutSettings,
  TlsSettings,
} from "./settings.js";
import { readShadow } from "./shadow.js";

type HostReading = TableReading<typeof HOST_SCHEMA>;
type HostValues = ValuesOf<typeof HOST_SCHEMA>;

/** The settings of `remote.<id>`. Only meaningful while no problem was found. */
export async function readHost(
  id: string,
  input: unknown,
  directory: string,
  problems: Problems,
): Promise<HostSettings> {
  const path = ["remote", id];
  const reading = readTable(input, path, HOST_SCHEMA, problems);
  const around: SecretSurroundings = { reading, path, directory, problems };
  checkProtocol(reading, path, problems);
  const { values } = reading;
  const endpoints = readPlaces(values, path, problems);
  const { address, port, socketPath, serverName } = endpoints[0]!;
  const service = parseSrvAddress(address);
  const isUnix = endpoints.every((endpoint) => endpoint.socketPath !== undefined);
  checkPlace(reading, isUnix, service !== undefined, path, problems);
  const account = await readAccount(around);
  const sourceAddress = values["source-address"];
  const shadow = readShadow(reading, path, problems);
  const cluster = clusterOf(reading);
  const perAddress = values["concurrency-per-address"];
  return {
    id,
    address,
    port,
    ...(socketPath === undefined ? {} : { socketPath }),
    ...(endpoints.length < 2 ? {} : { endpoints }),
    ...(service === undefined ? {} : { service: { name: service } }),
    protocol: values.protocol,
    concurrency: values.concurrency,
    ...(perAddress === undefined ? {} : { concurrencyPerAddress: perAddress }),
    ...(values.sticky === "none" ? {} : { sticky: values.sticky }),
    timeoutMs: values.timeout,
    lookup: values.lookup,
    client: readClientTelling(values, path, problems),
    tls: await readTls(values, serverName, isUnix, around),
    ...account,
    // Nobody sits between two processes of one machine.
    allowPlaintextAuth: values["auth.allow-plaintext"] ?? isUnix,
    timeouts: timeoutsOf(values),
    limits: limitsOf(values),
    cache: cacheOf(values, directory),
    ...lookupsOf(reading, path, problems),
    ...(values.replies === undefined || values.replies.length === 0 ? {} : { replies: values.replies }),
    bareRecipients: values["bare-recipients"],
    eightBit: values["eight-bit"],
    ...(sourceAddress === undefined ? {} : { sourceAddress: withoutBrackets(sourceAddress) }),
    ...(shadow === undefined ? {} : { shadow }),
    ...(cluster === undefined ? {} : { cluster }),
  };
}

/** Where the host is: one endpoint, or as many as there are addresses. */
function readPlaces(values: HostValues, path: string[], problems: Problems): EndpointSettings[] {
  const { address = "", port, "tls.server-name": serverName } = values;
  const entries = typeof address === "string" ? [soleEndpoint(address)] : address;
  if (typeof address !== "string") {
    checkPorts(entries, port, path, problems);
  }
  // An array without an entry is a problem already.
  return (entries.length === 0 ? [soleEndpoint("")] : entries).map((entry) => endpointOf(entry, port, serverName));
}

/** What keys say of each other: where the host is, and how it is spoken to there. */
function checkPlace(
  { values, given }: HostReading,
  isUnix: boolean,
  isService: boolean,
  path: string[],
  problems: Problems,
): void {
  if (!isUnix && !isService && !given.has("port") && !Array.isArray(values.address)) {
    problems.add([...path, "port"], "is missing; it must be an integer from 1 to 65535");
  }
  if (isService && given.has("port")) {
    problems.add([...path, "port"], "has no meaning beside SRV records, which name it; leave it out");
  }
  const isSeveral = isService || (Array.isArray(values.address) && values.address.length > 1);
  if (given.has("concurrency-per-address") && !isSeveral) {
    problems.add(
      [...path, "concurrency-per-address"],
      "needs an array of several addresses in address, or SRV records",
    );
  }
  if (values.sticky === "recipient") {
    checkSticky(values, isSeveral, [...path, "sticky"], problems);
  }
  if (isUnix) {
    for (const key of ["port", "source-address"].filter((each) => given.has(each as "port"))) {
      problems.add([...path, key], "has no meaning for a unix socket; leave it out");
    }
  }
  if (given.has("tls.fingerprints") && values["tls.allow-invalid-certs"] === true) {
    problems.add(
      [...path, "tls", "allow-invalid-certs"],
      "has no meaning beside tls.fingerprints, which trusts exactly those certificates; leave it out",
    );
  }
  if (given.has("tls.starttls") && (values["tls.implicit"] ?? !isUnix)) {
    problems.add(
      [...path, "tls", "starttls"],
      "has no meaning while tls.implicit is true; set implicit = false, or leave it out",
    );
  }
}

function checkSticky({ protocol, client }: HostValues, isSeveral: boolean, path: string[], problems: Problems): void {
  if (!isSeveral) {
    problems.add(path, "needs an array of several addresses in address, or SRV records");
  }
  if (protocol === "imap") {
    problems.add(path, "is for SMTP and LMTP hosts only: logins go to any address");
  }
  if (client === "id" || client === "proxy-v2") {
    problems.add(path, `has no meaning beside client = "${client}", with which each connection is for one client`);
  }
}

/** Keys that mean nothing to the protocol, or by themselves. */
function checkProtocol({ values, given }: HostReading, path: string[], problems: Problems): void {
  const { protocol } = values;
  if (values["bare-recipients"] === true && protocol !== "lmtp") {
    problems.add([...path, "bare-recipients"], "is for LMTP hosts only; an SMTP host needs a domain (RFC 5321 4.1.2)");
  }
  for (const table of ["limits", "cluster"] as const) {
    if (given.has(`${table}.rate-burst`) && !given.has(`${table}.rate`)) {
      problems.add([...path, table, "rate-burst"], `needs ${table}.rate beside it`);
    }
  }
  if (values["cluster.cache-auth"] && !values["cluster.cache"]) {
    problems.add([...path, "cluster", "cache-auth"], "needs cluster.cache = true beside it");
  }
  if (values["cluster.cache"] && (values["cache.entries"] === 0 || !values.lookup)) {
    problems.add([...path, "cluster", "cache"], "has no meaning without lookup = true and a cache (cache.entries)");
  }
  for (const key of ["eight-bit", "limits.recipients"] as const) {
    if (protocol === "imap" && given.has(key)) {
      problems.add([...path, ...key.split(".")], "is for SMTP and LMTP hosts only; leave it out");
    }
  }
}

/** Protocols that have the command; the PROXY protocol is everybody's. */
const TELLING: Readonly<Partial<Record<ClientTelling, readonly string[]>>> = {
  id: ["imap"],
  xclient: ["smtp", "lmtp"],
  xforward: ["smtp", "lmtp"],
};

function readClientTelling({ client, protocol }: HostValues, path: string[], problems: Problems): ClientTelling {
  const protocols = TELLING[client];
  if (protocols !== undefined && !protocols.includes(protocol)) {
    problems.add([...path, "client"], `"${client}" is for protocol = "${protocols.join('" or "')}" only`);
  }
  return client;
}

async function readTls(
  values: HostValues,
  serverName: string,
  isUnix: boolean,
  around: SecretSurroundings,
): Promise<TlsSettings> {
  const { directory, path, problems } = around;
  const { "tls.ca": caFile, "tls.fingerprints": fingerprints } = values;
  const [ca, pair] = await Promise.all([
    caFile === undefined ? undefined : readPemFile(caFile, directory, "certificate", [...path, "tls", "ca"], problems),
    readKeyPair(around),
  ]);
  return {
    implicit: values["tls.implicit"] ?? !isUnix,
    startTls: values["tls.starttls"] ?? (isUnix ? "disable" : "require"),
    allowInvalidCerts: values["tls.allow-invalid-certs"],
    ...(fingerprints === undefined ? {} : { fingerprints: fingerprints.map((each) => digitsOf(String(each))) }),
    ...(ca === undefined ? {} : { ca }),
    ...pair,
    serverName,
    minVersion: values["tls.min-version"] === "1.3" ? "TLSv1.3" : "TLSv1.2",
  };
}

function timeoutsOf(values: HostValues): TimeoutSettings {
  return {
    greetingMs: values["timeouts.greeting"],
    mailMs: values["timeouts.mail"],
    rcptMs: values["timeouts.rcpt"],
    dataInitiationMs: values["timeouts.data-initiation"],
    dataBlockMs: values["timeouts.data-block"],
    dataTerminationMs: values["timeouts.data-termination"],
    commandMs: values["timeouts.command"],
    lookupMs: values["timeouts.lookup"],
  };
}

function limitsOf(values: HostValues): LimitSettings {
  return {
    errors: values["limits.errors"],
    requests: values["limits.requests"],
    idleMs: values["limits.idle"],
    lifetimeMs: values["limits.lifetime"],
    queue: values["limits.queue"],
    queueOctets: values["limits.queue-bytes"],
    pipeline: values["limits.pipeline"],
    refusals: values["limits.refusals"],
    guesses: values["limits.guesses"],
    ...(values["limits.recipients"] === undefined ? {} : { recipients: values["limits.recipients"] }),
    ...(values["limits.per-user"] === undefined ? {} : { perUser: values["limits.per-user"] }),
    ...(values["limits.per-client"] === undefined ? {} : { perClient: values["limits.per-client"] }),
    ...(values["limits.rate"] === undefined
      ? {}
      : { rate: rateOf(values["limits.rate"], values["limits.rate-burst"]) }),
  };
}

/** What shares anything shares what is known of the host's health too, unless it says otherwise. */
function clusterOf({ values, given }: HostReading): HostClusterSettings | undefined {
  const { "cluster.concurrency": concurrency, "cluster.rate": rate, "cluster.rate-burst": burst } = values;
  const cluster = {
    ...(concurrency === undefined ? {} : { concurrency }),
    ...(rate === undefined ? {} : { rate: rateOf(rate, burst) }),
    ...(values["cluster.cache"] ? { cache: true as const } : {}),
    ...(values["cluster.cache-auth"] ? { cacheAuth: true as const } : {}),
  };
  const isShared = Object.keys(cluster).length > 0 || given.has("cluster.health");
  const health = isShared && values["cluster.health"];
  const shared = { ...cluster, ...(health ? { health: true as const } : {}) };
  return Object.keys(shared).length === 0 ? undefined : shared;
}

/** @param burst by default what the rate comes to in a second */
export function rateOf(intervalMs: number, burst = Math.max(1, Math.floor(1000 / intervalMs))): RateSettings {
  return { intervalMs, burst };
}

/** Nothing where everything is as by default. */
function lookupsOf({ values, given }: HostReading, path: string[], problems: Problems): Pick<HostSettings, "lookups"> {
  const { lookup, protocol, "lookups.catch-all": catchAll, "lookups.accepts-all": acceptsAll } = values;
  const detectsCatchAll = catchAll === "detect";
  const harvest = harvestOf(values);
  const wrong = (key: string, what: string): void => problems.add([...path, "lookups", ...key.split(".")], what);
  const asksRecipients = lookup === true && protocol !== "imap";
  if (detectsCatchAll && !asksRecipients) {
    wrong("catch-all", "needs a host that is asked for recipients: SMTP or LMTP, with lookup = true");
  }
  if (harvest !== undefined && !asksRecipients) {
    wrong("harvest.unknown", "needs a host that is asked for recipients: SMTP or LMTP, with lookup = true");
  }
  if (given.has("lookups.accepts-all") && !detectsCatchAll) {
    wrong("accepts-all", 'has no meaning without lookups.catch-all = "detect"');
  }
  for (const key of ["window", "ratio"] as const) {
    if (harvest === undefined && given.has(`lookups.harvest.${key}`)) {
      wrong(`harvest.${key}`, "needs lookups.harvest.unknown beside it");
    }
  }
  if (!detectsCatchAll && harvest === undefined) {
    return {};
  }
  return {
    lookups: { detectsCatchAll, acceptsAll: acceptsAll ?? "found", ...(harvest === undefined ? {} : { harvest }) },
  };
}

function harvestOf(values: HostReading["values"]): HarvestSettings | undefined {
  const {
    "lookups.harvest.unknown": unknown,
    "lookups.harvest.window": windowMs,
    "lookups.harvest.ratio": ratio,
  } = values;
  return unknown === undefined ? undefined : { unknown, windowMs: windowMs ?? 0, ratio: ratio ?? 0 };
}

function cacheOf(values: HostValues, directory: string): CacheSettings {
  const file = values["cache.file"];
  return {
    entries: values["cache.entries"],
    positiveTtlMs: values["cache.ttl.positive"],
    negativeTtlMs: values["cache.ttl.negative"],
    authTtlMs: values["cache.ttl.auth"],
    stateTtlMs: values["cache.ttl.state"],
    staleIfErrorMs: values["cache.stale-if-error"] ?? 0,
    staleAuth: values["cache.stale-auth"],
    refresh: values["cache.refresh"],
    byClient: values["cache.by-client"],
    ...(values.lookup && values["cache.learn"] ? { learn: true } : {}),
    ...(file === undefined ? {} : { file: resolve(directory, file) }),
  };
}
