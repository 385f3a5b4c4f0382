/** Reads a certificate and its private key, the latter decrypted where it has to be. Serves host.ts, and the daemon's listeners. */
import { X509Certificate } from "node:crypto";
import { resolve } from "node:path";
import { isPair, readPemFile } from "./pem-file.js";
import type { Problems } from "./problems.js";
import { givenSecretKeys, readSecret, type SecretSurroundings, warnIfReadable } from "./secret.js";
import type { KeyPath } from "./toml.js";

/** Both in PEM, or neither; half of it only while there is a problem. */
export interface KeyPair {
  readonly cert?: string;
  readonly key?: string;
}

const SOON_MS = 14 * 86_400_000;

/** A certificate of our own is renewed by nobody else. */
function warnOfEnd(cert: string, at: KeyPath, problems: Problems): void {
  const end = new Date(new X509Certificate(cert).validTo);
  if (end.getTime() - Date.now() < SOON_MS) {
    problems.warn(at, `names a certificate that ends, or ended, on ${end.toISOString().slice(0, 10)}`);
  }
}

/** The files of `tls.cert` and `tls.key` of a table. */
export async function readKeyPair(around: SecretSurroundings): Promise<KeyPair> {
  const { reading, path, directory, problems } = around;
  for (const [one, other] of [
    ["cert", "key"],
    ["key", "cert"],
  ] as const) {
    if (reading.given.has(`tls.${one}`) && !reading.given.has(`tls.${other}`)) {
      problems.add([...path, "tls", one], `needs tls.${other} beside it`);
    }
  }
  const { "tls.cert": certFile, "tls.key": keyFile } = reading.values;
  const [passphraseKey] = givenSecretKeys(reading, "tls.key-passphrase");
  if (passphraseKey !== undefined && keyFile === undefined) {
    problems.add([...path, ...passphraseKey.split(".")], "needs tls.key beside it");
  }
  const at = [...path, "tls", "key"];
  const [cert, key] = await Promise.all([
    typeof certFile === "string"
      ? readPemFile(certFile, directory, "certificate", [...path, "tls", "cert"], problems)
      : undefined,
    typeof keyFile === "string"
      ? readSecret("tls.key-passphrase", around).then((passphrase) =>
          readPemFile(keyFile, directory, "key", at, problems, passphrase),
        )
      : undefined,
  ]);
  if (typeof keyFile === "string") {
    await warnIfReadable(resolve(directory, keyFile), at, problems);
  }
  if (cert !== undefined && key !== undefined && !isPair(cert, key)) {
    problems.add(at, "does not belong to the certificate of tls.cert");
  }
  if (cert !== undefined) {
    warnOfEnd(cert, [...path, "tls", "cert"], problems);
  }
  return { ...(cert === undefined ? {} : { cert }), ...(key === undefined ? {} : { key }) };
}
