/** What one host's IMAP sessions learn of their peer and tell the next one. Kept by the pool's dialer. */
import type { HostLog } from "../../../src/messages/host-log.js";

export class ImapPeerMemory {
  /** It advertises SASL-IR and answered BAD to an initial response: spoken to without one from then on. */
  refusesInitialResponse = false;
  /** It advertises SASL mechanisms and answered BAD to AUTHENTICATE: spoken to by LOGIN from then on. */
  refusesAuthenticate = false;

  initialResponseRefused(log: HostLog): void {
    this.refusesInitialResponse = true;
    log.write(
      "warn",
      "sasl-ir-off",
      "The server advertises SASL-IR and answered BAD to an initial response; it is spoken to without one from now on.",
    );
  }

  authenticateRefused(log: HostLog): void {
    this.refusesAuthenticate = true;
    log.write(
      "warn",
      "authenticate-off",
      "The server advertises SASL mechanisms and answered BAD to AUTHENTICATE; LOGIN is used from now on.",
    );
  }
}
