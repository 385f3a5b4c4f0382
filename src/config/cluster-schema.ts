/** Every key of `cluster`, as schema.ts has those of `remote.<id>` and `runtime`. */

import { type Schema, secretKeys } from "./key-spec.js";
import { isClusterName, isRedisUrl, isSentinelUrl } from "./redis-url.js";

const REDIS_FORM =
  'a url without query, such as "redis://cache.example.org:6379/0", "rediss://…" or "unix:/run/redis.sock", an absolute path';
const SENTINEL_FORM = 'a url of a host and a port, such as "redis://sentinel.example.org:26379"';

/** The keys of `cluster`. */
export const CLUSTER_SCHEMA = {
  url: {
    kind: "text-or-texts",
    check: { isRight: isRedisUrl, form: REDIS_FORM },
    meaning:
      "Where Redis is: `redis:`, `rediss:` (TLS) or `unix:`. An array names nodes of a Redis Cluster. This or `sentinel` is required.",
  },
  "sentinel.name": { kind: "text", meaning: "Name under which the sentinels know the master. Needs `sentinel.urls`." },
  "sentinel.urls": {
    kind: "text-or-texts",
    check: { isRight: isSentinelUrl, form: SENTINEL_FORM },
    meaning: "Sentinels that are asked who the master is, instead of `url`.",
  },
  username: { kind: "text", meaning: "Account at Redis (ACL). May stand in the url instead." },
  ...secretKeys("password", "Its password. May stand in the url instead."),
  ca: { kind: "pem", fallbackName: "system CAs", meaning: "PEM file of the CAs to trust instead of the system's." },
  name: {
    kind: "text",
    fallback: "relaypost",
    check: { isRight: isClusterName, form: "1 to 64 letters A to Z, digits, hyphens and underscores" },
    meaning: "Gateways of one name are one cluster.",
  },
  ...secretKeys(
    "secret",
    "Text of at least 32 octets, the same for all gateways: without it nobody can read or find the answers in Redis. `cluster.cache` of a host needs it.",
  ),
  lease: {
    kind: "duration",
    fallback: "10s",
    least: 1000,
    most: 300_000,
    meaning: "How long the places of a gateway that fell silent stay its own. The same for all gateways.",
  },
  timeout: {
    kind: "duration",
    fallback: "100ms",
    least: 5,
    most: 10_000,
    meaning: "Redis counts as lost when it does not answer within this time.",
  },
  "on-loss": {
    kind: "choice",
    fallback: "share",
    choices: ["share", "refuse", "local"],
    meaning:
      "Connections while Redis is lost. `share`: the total divided by the number of gateways seen last. `refuse`: no new ones. `local`: up to `concurrency` of each gateway. See [cluster.md](cluster.md).",
  },
} as const satisfies Schema;
