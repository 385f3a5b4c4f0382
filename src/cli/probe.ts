/** `relaypost probe`: connects to a host as its worker would, and shows what is there. Sends no credentials and no mail. */
import type { TlsSight } from "../../workers/probe/observed-tls.js";
import type { ProbeReport } from "../../workers/probe/probe.js";
import { probePlaces } from "../../workers/probe/probe-places.js";
import { systemWorld } from "../../workers/world.js";
import type { HostSettings } from "../config/settings.js";
import { shown } from "../serve/wording.js";
import type { CommandContext } from "./command.js";
import { EXIT, type ExitCode } from "./exit-codes.js";
import { settingsOf } from "./hosts.js";
import { mechanismsOf } from "./mechanisms.js";
import type { Output } from "./terminal.js";

const STEPS = ["dns", "tcp", "tls", "greeting", "hello"] as const satisfies (keyof ProbeReport["timingsMs"])[];

/** Options of `relaypost probe`. */
export interface ProbeOptions {
  json?: boolean;
}

/** 0: the host can be used with these settings, at each of its addresses; 75: it cannot, for whatever reason, and a lookup would end so too. */
export async function probe(
  { output, signal }: CommandContext,
  file: string,
  id: string,
  options: ProbeOptions,
): Promise<ExitCode> {
  const { host: settings, settings: all } = await settingsOf(file, id);
  for (const { key, message } of all.warnings) {
    output.remark(`warning: ${shown(`${key} ${message}`)}`);
  }
  const interrupted = new Promise<undefined>((resolve) => signal.addEventListener("abort", () => resolve(undefined)));
  let code: ExitCode = EXIT.yes;
  const places = probePlaces(settings, all.runtime.hostname, systemWorld());
  for (;;) {
    const next = await Promise.race([places.next(), interrupted]);
    if (next === undefined) {
      return EXIT.interrupted;
    }
    if (next.done === true) {
      return code;
    }
    const { host, reports } = next.value;
    tell(output, host, reports, options);
    if (!isUsable(host, reports.at(-1))) {
      code = EXIT.temporary;
    }
  }
}

function tell(output: Output, host: HostSettings, reports: readonly ProbeReport[], options: ProbeOptions): void {
  const { id, protocol, address, port } = host;
  for (const report of reports) {
    if (options.json === true) {
      const place = { address, ...(port === 0 ? {} : { port }) };
      output.json({ id, protocol, ...place, mechanisms: mechanismsOf(report), ...report });
    } else {
      print(output, host, report);
    }
  }
}

function isUsable(host: HostSettings, last: ProbeReport | undefined): boolean {
  const isReached = last !== undefined && last.failure === undefined && last.timingsMs.tcp !== undefined;
  return isReached && isAcceptable(host, last.tls);
}

function isAcceptable(settings: HostSettings, tls: TlsSight | undefined): boolean {
  return tls === undefined || tls.isVerified || settings.tls.allowInvalidCerts;
}

function print(output: Output, settings: HostSettings, report: ProbeReport): void {
  const line = (label: string, text: string) => output.line(`${label.padEnd(13)}${shown(text)}`);
  const { protocol, address, port } = settings;
  const peer = port === 0 ? address : `${address}:${port}${report.ip === undefined ? "" : ` (${report.ip})`}`;
  line("host", `${settings.id}: ${protocol} to ${peer}`);
  if (report.greeting !== undefined) {
    line("greeting", report.greeting);
  }
  if (report.extensionsBeforeTls !== undefined) {
    line("before TLS", report.extensionsBeforeTls.join(", "));
  }
  // Before a greeting there is nothing to be said of TLS: what went wrong stands below.
  if (report.tls !== undefined || report.greeting !== undefined) {
    printTls(line, settings, report.tls);
  }
  if (report.extensions !== undefined) {
    line("extensions", report.extensions.join(", "));
    line("mechanisms", mechanismsOf(report).join(", ") || "none");
    printAccount(line, settings, mechanismsOf(report));
  }
  const timings = STEPS.flatMap((step) => {
    const ms = report.timingsMs[step];
    const name = step === "tcp" && settings.socketPath !== undefined ? "connect" : step;
    return ms === undefined ? [] : [`${name} ${ms.toFixed(1)} ms`];
  });
  if (timings.length > 0) {
    line("timings", timings.join(", "));
  }
  if (report.failure !== undefined) {
    line("failed", `${report.failure.code}: ${report.failure.message}`);
  }
}

/** What the account's way to log in needs of the host; with passwords there are many ways. */
const NEEDED = { token: ["OAUTHBEARER", "XOAUTH2"], certificate: ["EXTERNAL"] } as const;

function printAccount(
  line: (label: string, text: string) => void,
  { auth, oauth2 }: HostSettings,
  mechanisms: readonly string[],
): void {
  if (auth?.by === undefined) {
    return;
  }
  const needed = NEEDED[auth.by];
  const source = oauth2 === undefined ? "tls.cert" : `access tokens of ${new URL(oauth2.tokenUrl).host}`;
  const offered = needed.find((mechanism) => mechanisms.some((each) => each.toUpperCase() === mechanism));
  const fit =
    offered === undefined ? `which the host does not take: it offers no ${needed.join(" or ")}` : `by ${offered}`;
  line("account", `${auth.username === "" ? "that of the certificate" : auth.username}, with ${source}, ${fit}`);
}

function printTls(
  line: (label: string, text: string) => void,
  settings: HostSettings,
  tls: TlsSight | undefined,
): void {
  if (tls === undefined) {
    line("tls", "none");
    return;
  }
  const allowed = settings.tls.allowInvalidCerts ? "allowed by tls.allow-invalid-certs" : "relaypost will not use it";
  line("tls", `${tls.version}, ${tls.cipher}`);
  line(
    "verified",
    tls.isVerified
      ? `yes, ${settings.tls.fingerprints === undefined ? `for ${settings.tls.serverName}` : "by tls.fingerprints"}`
      : `no: ${tls.reason} (${allowed})`,
  );
  if (tls.certificate === undefined) {
    return;
  }
  const { subject, names, issuer, validFrom, validTo, fingerprint, fingerprints } = tls.certificate;
  line("certificate", subject);
  line("  names", names.join(", "));
  line("  issuer", issuer);
  line("  valid", `${validFrom} to ${validTo}`);
  line("  sha-256", fingerprint);
  // Ready to paste. The first ends with the certificate, the second lives as long as its key.
  line("  trust it", `tls.fingerprints = ["${fingerprints[0]}"]`);
  line("  or its key", `tls.fingerprints = ["${fingerprints[1]}"]`);
}
