/** What a look at the host says of the way to it: whether it can be reached, and of its TLS. Pure; called by doctor.ts. */
import type { CertificateSight, TlsSight } from "../../../workers/probe/observed-tls.js";
import type { ProbeReport } from "../../../workers/probe/probe.js";
import type { HostSettings } from "../../config/settings.js";
import type { Finding } from "./finding.js";

const DAY_MS = 86_400_000;
/** As long before its end as a worker warns of it. */
const SOON_DAYS = 14;
/** Ports where TLS begins with the first octet (RFC 8314). */
const IMPLICIT_PORTS: ReadonlySet<number> = new Set([465, 993]);

export function connectionFindings(settings: HostSettings, report: ProbeReport, nowMs: number): Finding[] {
  return [...reachFindings(settings, report), ...tlsFindings(settings, report, nowMs)];
}

function reachFindings(settings: HostSettings, { failure }: ProbeReport): Finding[] {
  if (failure === undefined) {
    return [];
  }
  const { code, message } = failure;
  const { implicit } = settings.tls;
  if (code === "MISSING_STARTTLS") {
    return [
      {
        severity: "error",
        topic: "tls",
        message: "It offers no STARTTLS, and nothing is sent without it. Where plain text is acceptable, say so.",
        put: 'tls.starttls = "disable"',
      },
    ];
  }
  const isPlain = code === "TLS_FAILED" && implicit && /plain text/.test(message);
  const isImplicit = !implicit && IMPLICIT_PORTS.has(settings.port);
  return [
    {
      severity: "error",
      topic: code === "TLS_FAILED" ? "tls" : "connection",
      message: `${code}: ${message}`,
      ...(isPlain ? { put: "tls.implicit = false" } : isImplicit ? { put: "tls.implicit = true" } : {}),
    },
  ];
}

function tlsFindings(settings: HostSettings, report: ProbeReport, nowMs: number): Finding[] {
  const { tls } = report;
  if (tls === undefined) {
    return report.failure === undefined ? plainFindings(settings, report) : [];
  }
  const found = tls.isVerified ? trustedFindings(settings) : [untrusted(settings, tls, nowMs)];
  const { certificate } = tls;
  const days = certificate === undefined ? Number.POSITIVE_INFINITY : daysLeft(certificate, nowMs);
  if (days >= 0 && days < SOON_DAYS) {
    const message = `Its certificate ends in ${days} days, on ${certificate!.validTo}: have it renewed.`;
    found.push({ severity: "warning", topic: "tls", message });
  }
  return found;
}

function trustedFindings({ tls }: HostSettings): Finding[] {
  const found: Finding[] = [];
  if (tls.allowInvalidCerts) {
    found.push({
      severity: "warning",
      topic: "tls",
      message: "Its certificate is good, and any other would be accepted, too.",
      put: "tls.allow-invalid-certs = false",
    });
  }
  if (!tls.implicit && tls.startTls === "optional") {
    found.push({
      severity: "warning",
      topic: "tls",
      message: "It offers STARTTLS, and whoever stands between could take that away.",
      put: 'tls.starttls = "require"',
    });
  }
  return found;
}

/** A certificate that is not trusted, and what would make it so. */
function untrusted({ tls: settings }: HostSettings, { reason = "", certificate }: TlsSight, nowMs: number): Finding {
  const common = { severity: settings.allowInvalidCerts ? "warning" : "error", topic: "tls" } as const;
  const risk = settings.allowInvalidCerts ? " It is accepted, and so is everybody's who stands between." : "";
  if (certificate === undefined) {
    return { ...common, message: `Its certificate is not trusted: ${reason}.${risk}` };
  }
  const pin = `tls.fingerprints = ["${certificate.fingerprints[1]}"]`;
  if (settings.fingerprints !== undefined) {
    const message = `Its certificate is none of tls.fingerprints. If its key was changed on purpose, this is the new one.${risk}`;
    return { ...common, message, put: pin };
  }
  if (daysLeft(certificate, nowMs) < 0) {
    const message = `Its certificate ended on ${certificate.validTo}: have it renewed. Until then it may be trusted by its key.${risk}`;
    return { ...common, message, put: pin };
  }
  const name = certificate.names.find((each) => /^DNS:[^*]/.test(each))?.slice("DNS:".length);
  if (/ALTNAME|does not match/i.test(reason) && name !== undefined) {
    const message = `Its certificate is for ${certificate.names.join(", ")}, and not for ${settings.serverName}.${risk}`;
    return { ...common, message, put: `tls.server-name = "${name}"` };
  }
  const message = `Its certificate is not trusted: ${reason}. Name its authority in tls.ca, or trust its key.${risk}`;
  return { ...common, message, put: pin };
}

function plainFindings({ tls, socketPath }: HostSettings, { extensions = [] }: ProbeReport): Finding[] {
  if (socketPath !== undefined) {
    return [];
  }
  if (extensions.some((extension) => extension.toUpperCase() === "STARTTLS")) {
    return [
      {
        severity: "warning",
        topic: "tls",
        message: "It offers STARTTLS, and everything is sent in plain text.",
        put: 'tls.starttls = "require"',
      },
    ];
  }
  const isMeant = tls.startTls === "disable";
  const message = `Everything is sent in plain text: it offers no STARTTLS${isMeant ? ", and none is asked for" : ""}.`;
  return [{ severity: isMeant ? "note" : "warning", topic: "tls", message }];
}

function daysLeft({ validTo }: CertificateSight, nowMs: number): number {
  return Math.floor((Date.parse(validTo) - nowMs) / DAY_MS);
}
