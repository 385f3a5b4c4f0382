/** Makes the settings of `[cluster]` from its table. Serves load.ts. */

import { CLUSTER_SCHEMA } from "./cluster-schema.js";
import { readPemFile } from "./pem-file.js";
import type { Problems } from "./problems.js";
import { readTable, type TableReading } from "./read-table.js";
import { splitRedisUrl } from "./redis-url.js";
import { givenSecretKeys, readSecret } from "./secret.js";
import type { ClusterSettings, HostSettings, RedisSettings } from "./settings.js";

type ClusterReading = TableReading<typeof CLUSTER_SCHEMA>;

const PATH = ["cluster"];
const LEAST_SECRET = 32;

/** The settings of `[cluster]`. Only meaningful while no problem was found. */
export async function readCluster(input: unknown, directory: string, problems: Problems): Promise<ClusterSettings> {
  const reading = readTable(input, PATH, CLUSTER_SCHEMA, problems);
  const { values } = reading;
  const secret = await readSecret("secret", { reading, path: PATH, directory, problems });
  if (secret !== undefined && Buffer.byteLength(secret) < LEAST_SECRET) {
    const [key = "secret"] = givenSecretKeys(reading, "secret");
    problems.add([...PATH, key], `is too short; it must have at least ${LEAST_SECRET} octets`);
  }
  return {
    redis: await readRedis(reading, directory, problems),
    name: values.name,
    leaseMs: values.lease,
    timeoutMs: values.timeout,
    onLoss: values["on-loss"],
    ...(secret === undefined ? {} : { secret }),
  };
}

/** What hosts say of a cluster means nothing without one. */
export function checkHostsCluster(
  hosts: Iterable<HostSettings>,
  settings: ClusterSettings | undefined,
  problems: Problems,
): void {
  for (const { id, cluster } of hosts) {
    if (cluster !== undefined && settings === undefined) {
      problems.add(["remote", id, "cluster"], "needs a [cluster] table, which says where Redis is");
    } else if (cluster?.cache === true && settings?.secret === undefined) {
      problems.add(
        ["remote", id, "cluster", "cache"],
        "needs cluster.secret-file, so that nobody can read the answers in Redis",
      );
    }
  }
}

async function readRedis(reading: ClusterReading, directory: string, problems: Problems): Promise<RedisSettings> {
  const { values, given } = reading;
  checkWhere(given, problems);
  const urls = [values.url ?? []].flat().map(splitRedisUrl);
  const sentinels = [values["sentinel.urls"] ?? []].flat();
  const [first] = urls;
  const schemes = new Set([...urls.map(({ url }) => url), ...sentinels].map((url) => url.split(":", 1)[0]));
  if (schemes.size > 1) {
    problems.add([...PATH, "url"], "mixes redis:, rediss: and unix:; all urls must be of one kind");
  } else if (urls.length > 1 && schemes.has("unix")) {
    problems.add([...PATH, "url"], "names more than one unix socket; the nodes of a Redis Cluster have addresses");
  }
  const isTls = schemes.has("rediss");
  if (given.has("ca") && !isTls) {
    problems.add([...PATH, "ca"], "has no meaning without rediss:");
  }
  const hasOwnPassword = urls.some(({ username, password }) => username !== undefined || password !== undefined);
  if (hasOwnPassword && (given.has("username") || givenSecretKeys(reading, "password").length > 0)) {
    problems.add([...PATH, "url"], "holds credentials beside username or password; say them once");
  }
  const ca =
    values.ca === undefined
      ? undefined
      : await readPemFile(values.ca, directory, "certificate", [...PATH, "ca"], problems);
  const username = values.username ?? first?.username;
  const password = (await readSecret("password", { reading, path: PATH, directory, problems })) ?? first?.password;
  const name = values["sentinel.name"];
  return {
    urls: urls.map(({ url }) => url),
    ...(name === undefined ? {} : { sentinel: { name, urls: sentinels } }),
    ...(username === undefined ? {} : { username }),
    ...(password === undefined ? {} : { password }),
    ...(ca === undefined ? {} : { ca }),
  };
}

function checkWhere(given: ClusterReading["given"], problems: Problems): void {
  const [hasName, hasUrls] = [given.has("sentinel.name"), given.has("sentinel.urls")];
  if (hasName && !hasUrls) {
    problems.add([...PATH, "sentinel", "name"], "needs sentinel.urls beside it");
  }
  if (hasUrls && !hasName) {
    problems.add([...PATH, "sentinel", "urls"], "needs sentinel.name beside it");
  }
  if (given.has("url") && (hasName || hasUrls)) {
    problems.add([...PATH, "url"], "stands beside sentinel; say where Redis is once");
  }
  if (!given.has("url") && !hasName && !hasUrls) {
    problems.add([...PATH, "url"], "is missing; it, or sentinel, says where Redis is");
  }
}
