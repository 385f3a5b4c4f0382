/** TLS towards one remote host: who the peer must prove to be, and the session ticket that spares the next handshake. */
import { X509Certificate } from "node:crypto";
import { isIP, type Socket } from "node:net";
import type { ConnectionOptions, SecureContext, TLSSocket } from "node:tls";
import type { TlsSettings } from "../../src/config/settings.js";
import type { HostLog } from "../../src/messages/host-log.js";
import { daysLeft, fingerprintsOf } from "./certificate.js";

/** Loaded when a host first needs it: a thread of plain hosts starts 5 ms sooner without it, and half a megabyte smaller. */
function tls(): typeof import("node:tls") {
  return process.getBuiltinModule("node:tls");
}

/** Where a connection goes: as `net.connect` and `tls.connect` take it. */
export type Target =
  | { readonly host: string; readonly port: number; readonly localAddress?: string }
  | { readonly path: string };

/** What one host's connections share: a parsed context (certificates are costly to parse) and the latest session ticket. */
export class TlsMemory {
  private context: SecureContext | undefined;
  private ticket: Buffer | undefined;

  /** The last certificate that was told of, so that it is told of once. */
  private toldOf = "";

  constructor(
    readonly settings: TlsSettings,
    private readonly log?: HostLog,
  ) {}

  /** Options of `tls.connect` for one connection. */
  options(): ConnectionOptions {
    const { settings } = this;
    this.context ??= tls().createSecureContext({
      ca: settings.ca,
      cert: settings.cert,
      key: settings.key,
      minVersion: settings.minVersion,
    });
    return {
      secureContext: this.context,
      minVersion: settings.minVersion,
      session: this.ticket,
      // With fingerprints, accepts() decides.
      rejectUnauthorized: !settings.allowInvalidCerts && settings.fingerprints === undefined,
      // SNI carries names only (RFC 6066 3); the identity is checked against the configured name whatever was dialled.
      servername: isIP(settings.serverName) === 0 ? settings.serverName : "",
      checkServerIdentity: (_dialled, certificate) => tls().checkServerIdentity(settings.serverName, certificate),
    };
  }

  /** Wraps a connected socket (STARTTLS). */
  wrap(socket: Socket): TLSSocket {
    return this.remember(tls().connect({ ...this.options(), socket }));
  }

  /** Connects with implicit TLS. */
  open(target: Target): TLSSocket {
    return this.remember(tls().connect({ ...this.options(), ...target }));
  }

  /**
   * Looks at the certificate of a handshake that is done, before anything is written.
   *
   * @returns whether the peer is one of `tls.fingerprints`; without those the handshake itself has decided
   */
  accepts(socket: TLSSocket): boolean {
    const { fingerprints } = this.settings;
    // Whoever resumes a session showed the certificate before.
    if (fingerprints === undefined && (this.log === undefined || socket.isSessionReused())) {
      return true;
    }
    // Not getPeerX509Certificate(): Node 20 takes the certificate away with it, from sessions that are resumed too.
    const { raw } = socket.getPeerCertificate();
    if (raw === undefined) {
      return fingerprints === undefined;
    }
    const certificate = new X509Certificate(raw);
    this.tellOfEnd(certificate);
    if (fingerprints === undefined) {
      return true;
    }
    const shown = fingerprintsOf(certificate);
    return fingerprints.includes(shown.certificate) || fingerprints.includes(shown.publicKey);
  }

  private tellOfEnd(certificate: X509Certificate): void {
    const days = daysLeft(certificate, Date.now());
    if (days === undefined || this.toldOf === certificate.fingerprint256) {
      return;
    }
    this.toldOf = certificate.fingerprint256;
    const when = days < 0 ? `ended ${-days} days ago` : `ends in ${days} days`;
    const validTo = new Date(certificate.validTo).toISOString();
    this.log?.write("warn", "certificate-ending", `The certificate of the host ${when}.`, { validTo, days });
  }

  private remember(socket: TLSSocket): TLSSocket {
    socket.on("session", (ticket: Buffer) => {
      // Only a ticket of a peer that was verified: a resumed session is not verified again.
      const { allowInvalidCerts, fingerprints } = this.settings;
      // Fingerprints are looked at on each connection, resumed ones too.
      if (socket.authorized || allowInvalidCerts || fingerprints !== undefined) {
        this.ticket = ticket;
      }
    });
    return socket;
  }
}
