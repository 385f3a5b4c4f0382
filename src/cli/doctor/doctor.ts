/** `relaypost doctor`: connects to hosts, tries what may be tried without harm, and says what to write into the configuration. */
import type { ProbeReport } from "../../../workers/probe/probe.js";
import { type ProbedPlace, probePlaces } from "../../../workers/probe/probe-places.js";
import { systemWorld } from "../../../workers/world.js";
import type { ConfigWarning, HostSettings, Settings } from "../../config/settings.js";
import { shown } from "../../serve/wording.js";
import type { CommandContext } from "../command.js";
import { EXIT, type ExitCode } from "../exit-codes.js";
import { hostsOf } from "../hosts.js";
import { mechanismsOf } from "../mechanisms.js";
import type { Output } from "../terminal.js";
import { answerFindings, enduranceFindings } from "./answer-findings.js";
import { type AskingOptions, ask, tryEndurance } from "./asking.js";
import { connectionFindings } from "./connection-findings.js";
import type { Answers, Endurance, Finding } from "./finding.js";
import { offerFindings } from "./offer-findings.js";
import { type Pace, paceFindings, paceFor } from "./pace.js";

/** Options of `relaypost doctor`. */
export interface DoctorOptions {
  json?: boolean;
  /** An address that exists there. */
  recipient?: string;
  probeLimits?: boolean;
  /** Messages a second that are wanted. */
  rate?: number;
}

/** All about one host. */
interface Record {
  readonly probe: ProbeReport;
  readonly answers?: Answers;
  readonly endurance?: Endurance;
  readonly pace?: Pace;
  readonly findings: readonly Finding[];
}

/** 0: nothing breaks mail; 1: something does. */
export async function doctor(
  { output, signal }: CommandContext,
  file: string,
  id: string | undefined,
  options: DoctorOptions,
): Promise<ExitCode> {
  const settings = await hostsOf(file, id);
  let isBroken = false;
  for await (const { host, reports } of placesOf(settings)) {
    const record = await examine(settings, host, reports.at(-1)!, options, signal);
    if (signal.aborted) {
      return EXIT.interrupted;
    }
    isBroken ||= record.findings.some(({ severity }) => severity === "error");
    if (options.json === true) {
      const { id: name, protocol, address, port } = host;
      const { probe, ...rest } = record;
      output.json({ id: name, protocol, address, port, mechanisms: mechanismsOf(probe), ...probe, ...rest });
    } else {
      print(output, host, record);
    }
  }
  return isBroken ? EXIT.no : EXIT.yes;
}

/** Each host, at each of its addresses. */
async function* placesOf({ hosts, runtime }: Settings): AsyncGenerator<ProbedPlace> {
  for (const host of hosts.values()) {
    yield* probePlaces(host, runtime.hostname, systemWorld());
  }
}

async function examine(
  settings: Settings,
  host: HostSettings,
  probe: ProbeReport,
  options: DoctorOptions,
  signal: AbortSignal,
): Promise<Record> {
  const findings = [...warningsOf(settings, host), ...connectionFindings(host, probe, Date.now())];
  const { extensions } = probe;
  const isUsable = findings.every(({ severity }) => severity !== "error") && extensions !== undefined;
  if (!isUsable) {
    return { probe, findings };
  }
  findings.push(
    ...offerFindings(host, { extensions, mechanisms: mechanismsOf(probe), isSecure: probe.tls !== undefined }),
  );
  if (host.protocol === "imap") {
    return { probe, findings };
  }
  const asking = askingOptions(host, options, signal);
  const answers = await ask(settings, host, asking);
  findings.push(...answerFindings(host, answers));
  const isServed = answers.unknown.kind !== "no-answer";
  const endurance = options.probeLimits === true && isServed ? await tryEndurance(settings, host, asking) : undefined;
  if (endurance !== undefined) {
    findings.push(...enduranceFindings(host, endurance));
  }
  const exchangeMs = answers.lookupMs;
  if (options.rate === undefined || exchangeMs === undefined) {
    return { probe, answers, ...(endurance === undefined ? {} : { endurance }), findings };
  }
  const isPipelining = extensions.some((extension) => extension.toUpperCase() === "PIPELINING");
  const pace = paceFor(options.rate, host.concurrency, { exchangeMs, isPipelining, endurance });
  findings.push(...paceFindings(host, options.rate, pace));
  return { probe, answers, ...(endurance === undefined ? {} : { endurance }), pace, findings };
}

/** What `relaypost check` warns of, too. */
function warningsOf({ warnings }: Settings, { id }: HostSettings): Finding[] {
  const isAbout = ({ key }: ConfigWarning) => key.startsWith(`remote.${id}.`);
  return warnings
    .filter(isAbout)
    .map(({ key, message }) => ({ severity: "warning", topic: "connection", message: `${key} ${message}` }));
}

/** Where nobody is asked for: a domain of the host's, as far as it can be told. */
function askingOptions(host: HostSettings, { recipient }: DoctorOptions, signal: AbortSignal): AskingOptions {
  if (recipient !== undefined) {
    return { recipient, domain: recipient.slice(recipient.lastIndexOf("@") + 1), signal };
  }
  const isName = /[a-z][^:]*\.[^:]*[a-z]/i.test(host.address) && host.socketPath === undefined;
  // store.example.org serves example.org; of a name of two words nothing can be left out.
  const parent = host.address.replace(/^[^.]+\.(?=[^.]+\.)/, "");
  return { domain: isName ? parent : "example.org", signal };
}

const ORDER: readonly Finding["severity"][] = ["error", "warning", "note"];

function print(output: Output, host: HostSettings, { probe, answers, findings }: Record): void {
  const line = (label: string, text: string) => output.line(`  ${label.padEnd(12)}${shown(text)}`);
  const place = host.port === 0 ? host.address : `${host.address}:${host.port}`;
  output.line(`${host.id}: ${host.protocol} to ${shown(place)}`);
  if (probe.greeting !== undefined) {
    line("greeting", probe.greeting);
  }
  if (probe.tls !== undefined) {
    const { version, cipher, certificate, isVerified } = probe.tls;
    line("tls", `${version}, ${cipher}, ${isVerified ? "trusted" : "not trusted"}`);
    if (certificate !== undefined) {
      line(
        "certificate",
        `${certificate.names.join(", ")}; issued by ${certificate.issuer}; until ${certificate.validTo}`,
      );
      line("its key", certificate.fingerprints[1]);
    }
  }
  if (probe.extensions !== undefined) {
    line("offers", probe.extensions.join(", "));
    line("mechanisms", mechanismsOf(probe).join(", ") || "none");
  }
  const { hello } = probe.timingsMs;
  const asked = answers?.lookupMs === undefined ? "" : `, a lookup ${answers.lookupMs.toFixed(1)} ms`;
  if (hello !== undefined) {
    line("round trip", `${hello.toFixed(1)} ms${asked}`);
  }
  for (const severity of ORDER) {
    for (const { message, put } of findings.filter((finding) => finding.severity === severity)) {
      line(severity, message);
      if (put !== undefined) {
        line("", `in [remote.${host.id}]: ${put}`);
      }
    }
  }
  output.line("");
}
