/**
 * Certificates made at run time for scripted servers: good ones and each kind of bad one that a client has to refuse.
 * Serves peer.ts, which hands them to TLS, and tests, which hand `ca` to the client.
 */
import { generate } from "selfsigned";

/** What is wrong, or right, with a certificate. */
export type CertificateKind = "self-signed" | "expired" | "not-yet-valid" | "wrong-name" | "own-ca";

/** A key, its certificate, and what a client must trust to accept it. */
export interface Certificate {
  /** Private key, PEM. */
  readonly key: string;
  /** Certificate, PEM. */
  readonly cert: string;
  /** What a client must have as `tls.ca` to find the chain complete, PEM: the issuing CA, or the certificate itself. */
  readonly ca: string;
}

/** Settings of {@link makeCertificate}. */
export interface CertificateOptions {
  /** Default `self-signed`. */
  readonly kind?: CertificateKind;
  /** Names and IP addresses that it carries. Default: `localhost`, `127.0.0.1`, `::1`; for `wrong-name`: `elsewhere.example`. */
  readonly names?: readonly string[];
}

const DAY_MS = 86_400_000;
const made = new Map<string, Promise<Certificate>>();

/**
 * Makes a certificate of the wanted kind, valid for the loopback addresses unless told otherwise.
 * Equal wishes share one certificate for the life of the process, since a key takes time to make.
 */
export function makeCertificate(options: CertificateOptions = {}): Promise<Certificate> {
  const kind = options.kind ?? "self-signed";
  const names = options.names ?? (kind === "wrong-name" ? ["elsewhere.example"] : ["localhost", "127.0.0.1", "::1"]);
  const key = `${kind} ${names.join(" ")}`;
  let certificate = made.get(key);
  if (certificate === undefined) {
    certificate = issue(kind, names);
    made.set(key, certificate);
  }
  return certificate;
}

async function issue(kind: CertificateKind, names: readonly string[]): Promise<Certificate> {
  const authority = kind === "own-ca" ? await authorityOf("relaypost test authority") : undefined;
  const pems = await generate([{ name: "commonName", value: names[0] ?? "localhost" }], {
    ...validity(kind),
    keyType: "ec",
    algorithm: "sha256",
    extensions: [
      { name: "basicConstraints", cA: false },
      { name: "keyUsage", digitalSignature: true, keyEncipherment: true },
      { name: "extKeyUsage", serverAuth: true, clientAuth: true },
      { name: "subjectAltName", altNames: names.map(alternativeName) },
    ],
    ...(authority === undefined ? {} : { ca: authority }),
  });
  return { key: pems.private, cert: pems.cert, ca: authority?.cert ?? pems.cert };
}

async function authorityOf(commonName: string): Promise<{ key: string; cert: string }> {
  const pems = await generate([{ name: "commonName", value: commonName }], {
    ...validity("own-ca"),
    keyType: "ec",
    algorithm: "sha256",
    extensions: [
      { name: "basicConstraints", cA: true, critical: true },
      { name: "keyUsage", keyCertSign: true, cRLSign: true, critical: true },
    ],
  });
  return { key: pems.private, cert: pems.cert };
}

function validity(kind: CertificateKind): { notBeforeDate: Date; notAfterDate: Date } {
  const now = Date.now();
  if (kind === "expired") {
    return { notBeforeDate: new Date(now - 3 * DAY_MS), notAfterDate: new Date(now - DAY_MS) };
  }
  if (kind === "not-yet-valid") {
    return { notBeforeDate: new Date(now + DAY_MS), notAfterDate: new Date(now + 3 * DAY_MS) };
  }
  return { notBeforeDate: new Date(now - DAY_MS), notAfterDate: new Date(now + 30 * DAY_MS) };
}

function alternativeName(name: string): { type: 2; value: string } | { type: 7; ip: string } {
  return /^[\d.]+$|:/.test(name) ? { type: 7, ip: name } : { type: 2, value: name };
}
