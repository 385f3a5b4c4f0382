/** Reads how the client of a token server proves who it is: by a secret or by a private key (`remote.<id>.auth.oauth2`). Serves account.ts. */
import { resolve } from "node:path";
import { isPair, readPemFile } from "./pem-file.js";
import type { TableReading } from "./read-table.js";
import type { HOST_SCHEMA } from "./schema.js";
import { givenSecretKeys, readSecret, type SecretSurroundings, warnIfReadable } from "./secret.js";
import type { OAuth2Settings } from "./settings.js";
import type { KeyPath } from "./toml.js";

type ClientProof = Pick<OAuth2Settings, "clientSecret" | "clientAuth" | "privateKey" | "certificate" | "keyId">;

const TABLE = "auth.oauth2.";

/** Empty for a public client, and where something is wrong with it, which is a problem then. */
export async function readClientProof(
  around: SecretSurroundings,
  grant: OAuth2Settings["grant"],
): Promise<ClientProof> {
  const { values, given } = around.reading as TableReading<typeof HOST_SCHEMA>;
  const at = (key: string): KeyPath => [...around.path, ...`${TABLE}${key}`.split(".")];
  const add = (key: string, message: string): void => around.problems.add(at(key), message);
  const [secretKey] = givenSecretKeys(around.reading, `${TABLE}client-secret`);
  const { "auth.oauth2.private-key-file": keyFile, "auth.oauth2.key-id": keyId } = values;
  if (secretKey !== undefined && keyFile !== undefined) {
    add("private-key-file", `stands beside ${secretKey}; a client proves itself one way`);
  }
  if (grant === "client-credentials" && secretKey === undefined && keyFile === undefined) {
    add("client-id", 'needs client-secret or private-key-file beside it for grant = "client-credentials"');
  }
  if (secretKey === undefined && given.has(`${TABLE}client-auth`)) {
    add("client-auth", "has no meaning without client-secret, or client-secret-file, -env or -credential");
  }
  for (const key of ["certificate-file", "key-id"] as const) {
    if (keyFile === undefined && given.has(`${TABLE}${key}`)) {
      add(key, "has no meaning without private-key-file, which it belongs to");
    }
  }
  const clientSecret = await readSecret(`${TABLE}client-secret`, around);
  if (keyFile === undefined) {
    return clientSecret === undefined ? {} : { clientSecret, clientAuth: values["auth.oauth2.client-auth"] };
  }
  return { ...(await readKey(around, keyFile, at)), ...(keyId === undefined ? {} : { keyId }) };
}

async function readKey(
  { reading, directory, problems }: SecretSurroundings,
  keyFile: string,
  at: (key: string) => KeyPath,
): Promise<Pick<OAuth2Settings, "privateKey" | "certificate">> {
  const privateKey = await readPemFile(keyFile, directory, "key", at("private-key-file"), problems);
  await warnIfReadable(resolve(directory, keyFile), at("private-key-file"), problems);
  const { "auth.oauth2.certificate-file": file } = (reading as TableReading<typeof HOST_SCHEMA>).values;
  const certificate =
    file === undefined
      ? undefined
      : await readPemFile(file, directory, "certificate", at("certificate-file"), problems);
  if (privateKey === undefined) {
    return {};
  }
  if (certificate === undefined) {
    return { privateKey };
  }
  if (!isPair(certificate, privateKey)) {
    problems.add(at("certificate-file"), "names a certificate that does not belong to the key of private-key-file");
  }
  return { privateKey, certificate };
}
