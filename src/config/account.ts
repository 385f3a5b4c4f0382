/** Reads the account that a host's own connections log in with, and how they do: `remote.<id>.auth`. Serves host.ts. */
import { resolve } from "node:path";
import { PROTOCOLS } from "../messages/protocols.js";
import { readClientProof } from "./client-proof.js";
import type { Schema } from "./key-spec.js";
import type { TableReading } from "./read-table.js";
import { HOST_SCHEMA } from "./schema.js";
import { givenSecretKeys, readSecret, type SecretSurroundings, warnOfMacro } from "./secret.js";
import type { HostSettings, OAuth2Settings } from "./settings.js";

type Account = Pick<HostSettings, "auth" | "oauth2">;
type Reading = TableReading<typeof HOST_SCHEMA>;

const ACCOUNT_KEYS = Object.keys(HOST_SCHEMA).filter((key) => /^auth\.(?!allow-plaintext)/.test(key));
const OAUTH2 = "auth.oauth2.";

/** Empty where the connections log in as nobody, and where something is wrong with it, which is a problem then. */
export async function readAccount(around: SecretSurroundings): Promise<Account> {
  const { path, problems } = around;
  const reading = around.reading as Reading;
  const { protocol, "auth.username": username } = reading.values;
  const add = (key: string, message: string): void => problems.add([...path, ...key.split(".")], message);
  const given = ACCOUNT_KEYS.filter((key) => around.reading.given.has(key));
  // A table with an unknown protocol is read on, for its other mistakes.
  if (PROTOCOLS[protocol]?.hasAccount === false) {
    for (const key of given) {
      add(key, "is for SMTP and LMTP hosts only; leave it out");
    }
    return {};
  }
  const isExternal = reading.values["auth.external"];
  const [secretKey] = givenSecretKeys(around.reading, "auth.secret");
  const tokenKey = given.find((key) => key.startsWith(OAUTH2));
  const [way, other] = [secretKey, tokenKey, isExternal ? "auth.external" : undefined].filter(isGiven);
  if (other !== undefined) {
    add(other, `stands beside ${way}; an account logs in one way`);
    return {};
  }
  if (username !== undefined && way === undefined) {
    add("auth.username", "needs auth.secret beside it, or auth.secret-file, -env or -credential; or auth.oauth2");
  }
  if (username === undefined && way !== undefined && !isExternal) {
    add(way, "needs auth.username beside it");
  }
  warnOfMacro(username, "auth.username", [...path, "auth", "username"], problems);
  if (isExternal) {
    checkExternal(reading, add);
    return { auth: { username: username ?? "", by: "certificate" } };
  }
  if (tokenKey !== undefined) {
    const oauth2 = await readOAuth2(around, reading, add);
    return username === undefined || oauth2 === undefined ? {} : { auth: { username, by: "token" }, oauth2 };
  }
  const secret = await readSecret("auth.secret", around);
  return username === undefined || secret === undefined ? {} : { auth: { username, secret } };
}

type AddProblem = (key: string, message: string) => void;

/** Only TLS shows the certificate. */
function checkExternal({ values, given }: Reading, add: AddProblem): void {
  if (!given.has("tls.cert")) {
    add("auth.external", "needs tls.cert and tls.key, the certificate that it logs in by");
  }
  if (values["tls.implicit"] !== true && values["tls.starttls"] === "disable") {
    add("auth.external", 'needs TLS, and tls.starttls = "disable" forbids it');
  }
}

async function readOAuth2(
  around: SecretSurroundings,
  { values, given }: Reading,
  add: AddProblem,
): Promise<OAuth2Settings | undefined> {
  const { "auth.oauth2.token-url": tokenUrl, "auth.oauth2.client-id": clientId, "auth.oauth2.grant": grant } = values;
  for (const key of ["auth.oauth2.token-url", "auth.oauth2.client-id"] as const) {
    if (!given.has(key)) {
      add(key, "is missing; auth.oauth2 needs it");
    }
  }
  const proof = await readClientProof(around, grant);
  const refresh = await readRefreshToken(around, grant, add);
  if (tokenUrl === undefined || clientId === undefined) {
    return undefined;
  }
  const { "auth.oauth2.scope": scope, "auth.oauth2.audience": audience } = values;
  return {
    tokenUrl,
    clientId,
    ...proof,
    grant,
    ...refresh,
    ...(scope === undefined ? {} : { scope }),
    ...(audience === undefined ? {} : { audience }),
  };
}

/** Of one in a file the settings hold the file: what stands there changes without a reload. */
async function readRefreshToken(
  around: SecretSurroundings,
  grant: OAuth2Settings["grant"],
  add: AddProblem,
): Promise<Pick<OAuth2Settings, "refreshToken" | "refreshTokenFile">> {
  const reading: TableReading<Schema> = around.reading;
  const [key] = givenSecretKeys(reading, "auth.oauth2.refresh-token");
  if (key !== undefined && grant !== "refresh-token") {
    add(key, 'has no meaning without grant = "refresh-token"');
  }
  if (key === undefined) {
    if (grant === "refresh-token") {
      add("auth.oauth2.grant", "needs refresh-token beside it, or refresh-token-file, -env or -credential");
    }
    return {};
  }
  const refreshToken = await readSecret("auth.oauth2.refresh-token", around);
  if (refreshToken === undefined) {
    return {};
  }
  const file = key.endsWith("-file") ? reading.values[key] : undefined;
  return typeof file === "string" ? { refreshTokenFile: resolve(around.directory, file) } : { refreshToken };
}

function isGiven(key: string | undefined): key is string {
  return key !== undefined;
}
