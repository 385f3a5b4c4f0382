/** TLS that lets itself be looked at: for the probe, which wants to show a bad certificate instead of only refusing it. */
import { X509Certificate } from "node:crypto";
import type { Socket } from "node:net";
import type { ConnectionOptions, DetailedPeerCertificate, TLSSocket } from "node:tls";
import { fingerprintsOf } from "../wire/certificate.js";
import { type Target, TlsMemory } from "../wire/tls.js";

/** A peer's certificate, as far as a person cares. */
export interface CertificateSight {
  readonly subject: string;
  /** Subject alternative names, such as `DNS:mail.example.org`. */
  readonly names: readonly string[];
  readonly issuer: string;
  /** ISO 8601. */
  readonly validFrom: string;
  readonly validTo: string;
  /** SHA-256, in hex with colons. */
  readonly fingerprint: string;
  /** As `tls.fingerprints` takes them: of the certificate, and of its public key. */
  readonly fingerprints: readonly [certificate: string, publicKey: string];
}

/** One TLS connection. */
export interface TlsSight {
  readonly version: string;
  readonly cipher: string;
  /** Chain and name were found good. */
  readonly isVerified: boolean;
  /** Why not, in OpenSSL's words. */
  readonly reason?: string;
  readonly certificate?: CertificateSight;
}

const NOT_PINNED = "it is not one of tls.fingerprints";

/** Accepts every certificate and remembers what it saw: nothing may be sent through it but a hello. */
export class ObservedTls extends TlsMemory {
  private socket: TLSSocket | undefined;
  private isTrusted = false;
  /** The TCP connection of implicit TLS stands. */
  onConnect: (() => void) | undefined;

  /** Lets every certificate pass, and remembers whether it is one of `tls.fingerprints`. */
  override accepts(socket: TLSSocket): boolean {
    this.isTrusted = super.accepts(socket);
    return true;
  }

  override options(): ConnectionOptions {
    return { ...super.options(), rejectUnauthorized: false };
  }

  override wrap(socket: Socket): TLSSocket {
    this.socket = super.wrap(socket);
    return this.socket;
  }

  override open(target: Target): TLSSocket {
    this.socket = super.open(target);
    this.socket.once("connect", () => this.onConnect?.());
    return this.socket;
  }

  /** What there is to see once the handshake is done. */
  look(): TlsSight | undefined {
    const { socket } = this;
    const version = socket?.getProtocol();
    if (socket === undefined || version === undefined || version === null) {
      return undefined;
    }
    const certificate = socket.getPeerCertificate(true);
    const isPinned = this.settings.fingerprints !== undefined;
    const isVerified = isPinned ? this.isTrusted : socket.authorized;
    // Node's types call it an Error; it is the code's text, or an Error where the name does not fit.
    const reason: unknown = socket.authorizationError;
    return {
      version,
      cipher: socket.getCipher().standardName,
      isVerified,
      ...(isVerified
        ? {}
        : { reason: isPinned ? NOT_PINNED : reason instanceof Error ? reason.message : String(reason) }),
      ...(certificate.raw === undefined ? {} : { certificate: describe(certificate) }),
    };
  }
}

function describe(certificate: DetailedPeerCertificate): CertificateSight {
  const shown = fingerprintsOf(new X509Certificate(certificate.raw));
  return {
    subject: nameOf(certificate.subject),
    names: (certificate.subjectaltname ?? "").split(", ").filter((name) => name !== ""),
    issuer: nameOf(certificate.issuer),
    validFrom: new Date(certificate.valid_from).toISOString(),
    validTo: new Date(certificate.valid_to).toISOString(),
    fingerprint: certificate.fingerprint256,
    fingerprints: [`sha256:${shown.certificate}`, `sha256:${shown.publicKey}`],
  };
}

function nameOf(name: object): string {
  return Object.entries(name)
    .map(([type, value]) => `${type}=${Array.isArray(value) ? value.join("+") : value}`)
    .join(", ");
}
