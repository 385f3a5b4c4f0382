/** Reads the PEM files that a configuration names. Serves load.ts. */
import { createPrivateKey, X509Certificate } from "node:crypto";
import { readFile } from "node:fs/promises";
import { resolve } from "node:path";
import type { Problems } from "./problems.js";
import type { KeyPath } from "./toml.js";

/** Far above any bundle of CAs. */
const MOST_OCTETS = 16 * 1024 * 1024;

/** The content of the PEM file that a key names, or `undefined` and a problem. Its name is never shown: it may be anything. */
export async function readPemFile(
  name: string,
  directory: string,
  holds: "certificate" | "key",
  path: KeyPath,
  problems: Problems,
): Promise<string | undefined> {
  let text: string;
  try {
    text = await readFile(resolve(directory, name), { encoding: "latin1", signal: AbortSignal.timeout(10_000) });
  } catch (error) {
    problems.add(path, `names a file that ${describeFailure(error)}; relative names start from the configuration file`);
    return undefined;
  }
  const mistake = text.length > MOST_OCTETS ? "is larger than 16 MiB" : findPemMistake(text, holds);
  if (mistake === undefined) {
    return text;
  }
  problems.add(path, `names a file that ${mistake}`);
  return undefined;
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
  if (/-----BEGIN ENCRYPTED PRIVATE KEY-----|^Proc-Type: 4,ENCRYPTED/m.test(text)) {
    return "holds an encrypted private key";
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
