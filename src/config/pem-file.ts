/** Reads the PEM files that a configuration names. Serves host.ts and key-pair.ts. */
import { createPrivateKey, X509Certificate } from "node:crypto";
import { readFile } from "node:fs/promises";
import { resolve } from "node:path";
import type { Problems } from "./problems.js";
import type { KeyPath } from "./toml.js";

/** Far above any bundle of CAs. */
const MOST_OCTETS = 16 * 1024 * 1024;

/**
 * The content of the PEM file that a key names, or `undefined` and a problem. Its name is never shown: it may be anything.
 *
 * @param passphrase of an encrypted key, which is decrypted by it
 */
export async function readPemFile(
  name: string,
  directory: string,
  holds: "certificate" | "key",
  path: KeyPath,
  problems: Problems,
  passphrase?: string,
): Promise<string | undefined> {
  let text: string;
  try {
    text = await readFile(resolve(directory, name), { encoding: "latin1", signal: AbortSignal.timeout(10_000) });
  } catch (error) {
    problems.add(path, `names a file that ${describeFailure(error)}; relative names start from the configuration file`);
    return undefined;
  }
  const isEncrypted = holds === "key" && /-----BEGIN ENCRYPTED PRIVATE KEY-----|^Proc-Type: 4,ENCRYPTED/m.test(text);
  const plain = isEncrypted && passphrase !== undefined ? decrypt(text, passphrase) : text;
  const mistake =
    plain === undefined
      ? "tls.key-passphrase does not decrypt"
      : plain.length > MOST_OCTETS
        ? "is larger than 16 MiB"
        : isEncrypted && plain === text
          ? "holds an encrypted private key; tls.key-passphrase-file, and the other keys of that kind, say what decrypts it"
          : findPemMistake(plain, holds);
  if (mistake === undefined) {
    return plain;
  }
  problems.add(path, `names a file that ${mistake}`);
  return undefined;
}

/** The key as workers take it. They never see the passphrase. */
function decrypt(key: string, passphrase: string): string | undefined {
  try {
    return createPrivateKey({ key, passphrase }).export({ type: "pkcs8", format: "pem" }).toString();
  } catch {
    return undefined;
  }
}

/** Whether a certificate and a private key belong together. */
export function isPair(certificate: string, key: string): boolean {
  const isTheirs = (): boolean => new X509Certificate(certificate).checkPrivateKey(createPrivateKey(key));
  return succeeds(isTheirs) && isTheirs();
}

/** What is wrong with a PEM text. The library's own reasons are not shown: they may quote what they read. */
function findPemMistake(text: string, holds: "certificate" | "key"): string | undefined {
  if (holds === "certificate") {
    const blocks = text.match(/-----BEGIN (?:TRUSTED |X509 )?CERTIFICATE-----[^-]*-----END/g);
    if (blocks === null) {
      return "holds no PEM certificate (-----BEGIN CERTIFICATE-----)";
    }
    return succeeds(() => new X509Certificate(text)) ? undefined : "holds a certificate that cannot be read";
  }
  if (!/-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY-----/.test(text)) {
    return "holds no PEM private key (-----BEGIN PRIVATE KEY-----)";
  }
  return succeeds(() => createPrivateKey(text)) ? undefined : "holds a private key that cannot be read";
}

function succeeds(run: () => unknown): boolean {
  try {
    run();
    return true;
  } catch {
    return false;
  }
}

/** Why a file cannot be read, without its name. */
export function describeFailure(error: unknown): string {
  const code = (error as NodeJS.ErrnoException | undefined)?.code;
  if (code === "ENOENT" || code === "ENOTDIR") {
    return "does not exist";
  }
  if (code === "EACCES" || code === "EPERM") {
    return "may not be read by this user";
  }
  if (code === "EISDIR") {
    return "is a directory";
  }
  return `cannot be read${typeof code === "string" ? ` (${code})` : ""}`;
}
