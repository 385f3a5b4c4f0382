/** What an operator is told of settings that protect less than they could, when a host starts or changes. Called by actor.ts. */
import type { HostSettings } from "../../src/config/settings.js";
import type { HostLog } from "../../src/messages/host-log.js";

export function warnOfWeakSettings({ id, tls }: HostSettings, log: HostLog): void {
  if (tls.allowInvalidCerts) {
    log.write(
      "warn",
      "invalid-certs-allowed",
      `remote.${id} accepts any certificate (tls.allow-invalid-certs): its peer is not verified.`,
    );
  }
  if (!tls.implicit && tls.startTls === "optional") {
    log.write("warn", "tls-optional", `remote.${id} falls back to plain text (tls.starttls = "optional").`);
  }
}
