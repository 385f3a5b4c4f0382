/** `relaypost doctor`: connects to hosts, tries what may be tried without harm, and says what to write into the configuration. */
import type { ProbeReport } from "../../../workers/probe/probe.js";
import { type ProbedPlace, probePlaces } from "../../../workers/probe/probe-places.js";
import { systemWorld } from "../../../workers/world.js";
import type { ConfigWarning, HostSettings, Settings } from "../../config/settings.js";
import { isLoginOnly } from "../../messages/protocols.js";
import { shown } from "../../serve/wording.js";
import type { CommandContext } from "../command.js";
import { EXIT, type ExitCode } from "../exit-codes.js";
import { hostsOf } from "../hosts.js";
import { mechanismsOf } from "../mechanisms.js";
import type { Output } from "../terminal.js";
import { answerFindings, enduranceFindings } from "./answer-findings.js";
import { type AskingOptions, ask, tryRecipients } from "./asking.js";
import { connectionFindings } from "./connection-findings.js";
import type { Answers, Endurance, Finding, LoginAnswers } from "./finding.js";
import { askLogins, tryPasswords } from "./login-asking.js";
import { loginFindings } from "./login-findings.js";
import { offerFindings } from "./offer-findings.js";
import { loginPaceFindings, loginPaceFor, type Pace, paceFindings, paceFor } from "./pace.js";

/** The mechanism's name and challenge, then the credentials and the verdict. */
const LOGIN_EXCHANGES = 2;

/** Options of `relaypost doctor`. */
export interface DoctorOptions {
  json?: boolean;
  /** An address that exists there. */
  recipient?: string;
  probeLimits?: boolean;
  /** A user who exists there. */
  user?: string;
  /** Messages a second that are wanted; where only passwords are asked about, logins. */
  rate?: number;
}

/** All about one host. */
interface Record {
  readonly probe: ProbeReport;
  readonly answers?: Answers;
  readonly logins?: LoginAnswers;
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
  const examined = isLoginOnly(host.protocol)
    ? await examineLogins(settings, host, probe, options, signal)
    : await examineMail(settings, host, probe, options, signal);
  return { probe, ...examined, findings: [...findings, ...examined.findings] };
}

/** What a host that takes mail answers. */
async function examineMail(
  settings: Settings,
  host: HostSettings,
  { extensions = [] }: ProbeReport,
  options: DoctorOptions,
  signal: AbortSignal,
): Promise<Omit<Record, "probe">> {
  const asking = askingOptions(host, options, signal);
  const answers = await ask(settings, host, asking);
  const findings = answerFindings(host, answers);
  const isServed = answers.unknown.kind !== "no-answer";
  const endurance = options.probeLimits === true && isServed ? await tryRecipients(settings, host, asking) : undefined;
  if (endurance !== undefined) {
    findings.push(...enduranceFindings(host, endurance));
  }
  const exchangeMs = answers.lookupMs;
  if (options.rate === undefined || exchangeMs === undefined) {
    return { answers, ...(endurance === undefined ? {} : { endurance }), findings };
  }
  const isPipelining = hasExtension(extensions, "PIPELINING");
  const pace = paceFor(options.rate, host.concurrency, { exchangeMs, isPipelining, endurance });
  findings.push(...paceFindings(host, options.rate, pace));
  return { answers, ...(endurance === undefined ? {} : { endurance }), pace, findings };
}

/** What a host answers that is asked about passwords and nothing else. */
async function examineLogins(
  settings: Settings,
  host: HostSettings,
  { extensions = [], timingsMs: { hello = 0 } }: ProbeReport,
  options: DoctorOptions,
  signal: AbortSignal,
): Promise<Omit<Record, "probe">> {
  const { user } = options;
  const { domain } = askingOptions(host, user?.includes("@") === true ? { recipient: user } : {}, signal);
  const asking = { domain, signal, ...(user === undefined ? {} : { user }) };
  const logins = await askLogins(settings, host, asking);
  const findings = loginFindings(host, logins);
  const isServed = logins.stranger.outcome.kind === "not-found";
  const endurance = options.probeLimits === true && isServed ? await tryPasswords(settings, host, asking) : undefined;
  if (endurance !== undefined) {
    findings.push(...enduranceFindings(host, endurance));
  }
  const record = { logins, ...(endurance === undefined ? {} : { endurance }) };
  if (options.rate === undefined || !isServed) {
    return { ...record, findings };
  }
  // Wrong passwords are answered late on purpose: right ones take as long as any exchange.
  const loginMs = Math.min(logins.stranger.ms, hello * LOGIN_EXCHANGES);
  const isReused = hasExtension(extensions, "UNAUTHENTICATE");
  const pace = loginPaceFor(options.rate, { connectMs: logins.connectMs, loginMs, isReused });
  findings.push(...loginPaceFindings(host, options.rate, pace));
  return { ...record, pace, findings };
}

function hasExtension(extensions: readonly string[], name: string): boolean {
  return extensions.some((extension) => extension.toUpperCase() === name);
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

function print(output: Output, host: HostSettings, { probe, answers, logins, findings }: Record): void {
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
  if (hello !== undefined) {
    line("round trip", `${hello.toFixed(1)} ms${timesOf(answers, logins)}`);
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

/** How long the questions took, behind the round trip. */
function timesOf(answers: Answers | undefined, logins: LoginAnswers | undefined): string {
  const lookup = answers?.lookupMs === undefined ? "" : `, a lookup ${answers.lookupMs.toFixed(1)} ms`;
  return logins === undefined || logins.stranger.outcome.kind === "no-answer"
    ? lookup
    : `, a connection ${logins.connectMs.toFixed(1)} ms, a wrong password ${logins.stranger.ms.toFixed(1)} ms`;
}
