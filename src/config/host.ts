/** Makes the settings of one host from its table: what keys say of each other, and files that they name. Serves load.ts. */
import { withoutBrackets } from "./host-name.js";
import { isPair, readPemFile } from "./pem-file.js";
import type { Problems } from "./problems.js";
import { readTable, type TableReading } from "./read-table.js";
import { HOST_SCHEMA, type ValuesOf } from "./schema.js";
import type {
  AccountSettings,
  CacheSettings,
  HostSettings,
  LimitSettings,
  TimeoutSettings,
  TlsSettings,
} from "./settings.js";

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
  checkTls(reading, path, problems);
  const auth = readAccount(reading, path, problems);
  const { values } = reading;
  const address = withoutBrackets(values.address ?? "");
  const sourceAddress = values["source-address"];
  return {
    id,
    address,
    port: values.port,
    protocol: values.protocol,
    concurrency: values.concurrency,
    timeoutMs: values.timeout,
    lookup: values.lookup,
    tls: await readTls(values, address, directory, path, problems),
    ...(auth === undefined ? {} : { auth }),
    allowPlaintextAuth: values["auth.allow-plaintext"],
    timeouts: timeoutsOf(values),
    limits: limitsOf(values),
    cache: cacheOf(values),
    ...(sourceAddress === undefined ? {} : { sourceAddress: withoutBrackets(sourceAddress) }),
  };
}

function checkTls({ values, given }: HostReading, path: string[], problems: Problems): void {
  if (given.has("tls.starttls") && values["tls.implicit"] === true) {
    problems.add(
      [...path, "tls", "starttls"],
      "has no meaning while tls.implicit is true; set implicit = false, or leave it out",
    );
  }
  checkPair("tls", ["cert", "key"], given, path, problems);
}

/** Neither key means anything without the other. */
function checkPair(
  table: string,
  [one, other]: readonly [string, string],
  given: ReadonlySet<string>,
  path: string[],
  problems: Problems,
): void {
  const [hasOne, hasOther] = [given.has(`${table}.${one}`), given.has(`${table}.${other}`)];
  if (hasOne && !hasOther) {
    problems.add([...path, table, one], `needs ${table}.${other} beside it`);
  }
  if (hasOther && !hasOne) {
    problems.add([...path, table, other], `needs ${table}.${one} beside it`);
  }
}

function readAccount({ values, given }: HostReading, path: string[], problems: Problems): AccountSettings | undefined {
  const keys = ["username", "secret"] as const;
  if (values.protocol === "imap") {
    for (const key of keys) {
      if (given.has(`auth.${key}`)) {
        problems.add([...path, "auth", key], "is for SMTP and LMTP hosts only; leave it out");
      }
    }
    return undefined;
  }
  checkPair("auth", keys, given, path, problems);
  const { "auth.username": username, "auth.secret": secret } = values;
  return username === undefined || secret === undefined ? undefined : { username, secret };
}

async function readTls(
  values: HostValues,
  address: string,
  directory: string,
  path: string[],
  problems: Problems,
): Promise<TlsSettings> {
  const read = async (key: "ca" | "cert" | "key"): Promise<string | undefined> => {
    const name = values[`tls.${key}`];
    const holds = key === "key" ? "key" : "certificate";
    return name === undefined ? undefined : await readPemFile(name, directory, holds, [...path, "tls", key], problems);
  };
  const [ca, cert, key] = await Promise.all([read("ca"), read("cert"), read("key")]);
  if (cert !== undefined && key !== undefined && !isPair(cert, key)) {
    problems.add([...path, "tls", "key"], "does not belong to the certificate of tls.cert");
  }
  return {
    implicit: values["tls.implicit"],
    startTls: values["tls.starttls"],
    allowInvalidCerts: values["tls.allow-invalid-certs"],
    ...(ca === undefined ? {} : { ca }),
    ...(cert === undefined ? {} : { cert }),
    ...(key === undefined ? {} : { key }),
    // A name may end in the dot of the root, certificates do not.
    serverName: withoutBrackets(values["tls.server-name"] ?? address).replace(/\.$/, ""),
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
  };
}

function cacheOf(values: HostValues): CacheSettings {
  return {
    entries: values["cache.entries"],
    positiveTtlMs: values["cache.ttl.positive"],
    negativeTtlMs: values["cache.ttl.negative"],
    authTtlMs: values["cache.ttl.auth"],
    staleIfErrorMs: values["cache.stale-if-error"] ?? 0,
    staleAuth: values["cache.stale-auth"],
    refresh: values["cache.refresh"],
  };
}
