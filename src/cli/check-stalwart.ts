/**
 * `relaypost check --stalwart`: reads the `remote.*` tables of a Stalwart SMTP configuration, prints them as relaypost takes them, and says
 * what behaves differently here. Secrets stay where they are. Called by main.ts.
 */
import { loadTables, readText } from "../config/load.js";
import { parseToml, type TomlDocument } from "../config/toml.js";
import { ConfigError, describeProblem } from "../errors.js";
import type { CommandContext } from "./command.js";
import { EXIT, type ExitCode } from "./exit-codes.js";
import { holdsMacro, secretPlaceOf } from "./stalwart-secret.js";

type Value = string | number | boolean;
type Table = Readonly<Record<string, unknown>>;

/** What Stalwart's remote hosts know. All of it has the same name and meaning here. */
const KEYS = [
  "address",
  "port",
  "protocol",
  "concurrency",
  "timeout",
  "lookup",
  "tls.implicit",
  "tls.allow-invalid-certs",
  "auth.username",
  "auth.secret",
  "limits.errors",
  "limits.requests",
  "cache.entries",
  "cache.ttl.positive",
  "cache.ttl.negative",
];

/** Tables of the same file that relaypost reads, too. */
const SHARED_TABLES = ["list", "rule"];

interface Host {
  readonly id: string;
  readonly values: ReadonlyMap<string, Value>;
}

/** What was found in a file. */
interface Translation {
  readonly hosts: readonly Host[];
  /** What is different here, and what was left out. */
  readonly remarks: readonly string[];
}

/** Reports on standard output: a file for relaypost, with the remarks as comments. */
export async function checkStalwart(
  { output }: CommandContext,
  file: string,
  options: { json?: boolean },
): Promise<ExitCode> {
  const document = parseToml(await readText(file), file);
  const { hosts, remarks } = translate(document);
  const problems = await problemsOf(hosts, document, file);
  if (options.json) {
    const remote = Object.fromEntries(hosts.map(({ id, values }) => [id, nested(withoutSecret(values))]));
    output.json({ ok: problems.length === 0, remote, remarks, problems });
  } else {
    for (const line of asToml(hosts, document, file)) {
      output.line(line);
    }
    for (const remark of remarks) {
      output.line(`# ${remark}`);
    }
    for (const problem of problems) {
      output.remark(describeProblem(problem));
    }
    output.remark(`${file}: ${hosts.length === 1 ? "1 remote host" : `${hosts.length} remote hosts`}`);
  }
  return problems.length === 0 ? EXIT.yes : EXIT.misuse;
}

function translate({ root }: TomlDocument): Translation {
  const remarks: string[] = [];
  const tables = asTable((root as Table).remote);
  const hosts = Object.entries(tables).map(([id, table]): Host => {
    const values = new Map<string, Value>();
    for (const [key, value] of flatten(asTable(table))) {
      if (!KEYS.includes(key)) {
        remarks.push(`remote.${id}.${key} is not known here and was left out`);
      } else {
        values.set(key, value);
        remarks.push(...remarksOfMacros(`remote.${id}`, key, value));
      }
    }
    remarks.push(...differences(id, values));
    return { id, values };
  });
  const others = Object.keys(root as Table).filter((name) => name !== "remote" && !SHARED_TABLES.includes(name));
  if (others.length > 0) {
    remarks.push(`not read, since relaypost keeps remote hosts only: ${others.join(", ")}`);
  }
  if (hosts.length > 0) {
    remarks.push(
      "no answer is an error here, never a 'no': in-list and the lookups do not take a host that is down for an unknown recipient",
    );
    remarks.push(
      "timeout limits DNS, TCP and TLS; each command has its own limit (remote.<id>.timeouts, RFC 5321 4.5.3.2)",
    );
  }
  return { hosts, remarks };
}

/** What Stalwart replaces by a variable or a file. */
function remarksOfMacros(host: string, key: string, value: Value): string[] {
  if (!holdsMacro(value)) {
    return [];
  }
  const place = key === "auth.secret" ? secretPlaceOf(value) : undefined;
  return [
    place === undefined
      ? `${host}.${key} refers to a variable or a file, which is not replaced here: write the value out`
      : `${host}.${place.key}: ${place.remark}`,
  ];
}

/** What the same keys do otherwise. */
function differences(id: string, values: ReadonlyMap<string, Value>): string[] {
  const key = `remote.${id}`;
  const found: string[] = [];
  const isImap = values.get("protocol") === "imap";
  const isLookup = values.get("lookup") === true;
  if (values.get("tls.implicit") === false) {
    found.push(`${key}: STARTTLS is required; for a host on loopback without TLS set tls.starttls = "disable"`);
  }
  if (values.get("tls.allow-invalid-certs") === true) {
    found.push(
      `${key}: any certificate is accepted, with a warning at each start; tls.ca = "ca.pem" trusts one CA instead`,
    );
  }
  if (isLookup) {
    found.push(
      `${key}: a right password is remembered for 5m, not ${values.get("cache.ttl.positive") ?? "1d"} (cache.ttl.auth)`,
    );
    if (!isImap) {
      const errors = values.get("limits.errors") ?? 3;
      found.push(
        `${key}: at most ${errors} lookups are in flight on one connection (limits.errors); raise it where the host tolerates more`,
      );
      found.push(
        `${key}: refusals that speak of the gateway (5.7.x, 554, 521) are not remembered as unknown recipients`,
      );
    }
  }
  if (isImap && isLookup) {
    found.push(`${key}: in-list = "remote/${id}" cannot be asked of an IMAP host`);
  }
  if (isImap && (values.has("auth.username") || values.has("auth.secret"))) {
    found.push(`${key}.auth: connections to an IMAP host have no account of their own; remove it`);
  }
  return found;
}

/** What relaypost says to the translated hosts, with the lines of the file that they come from. */
async function problemsOf(hosts: readonly Host[], { lineOf }: TomlDocument, file: string) {
  const remote = Object.fromEntries(hosts.map(({ id, values }) => [id, nested(values)]));
  try {
    await loadTables({ remote } as never, { name: file, lineOf });
    return [];
  } catch (error) {
    if (!(error instanceof ConfigError)) {
      throw error;
    }
    return error.problems;
  }
}

function* asToml(hosts: readonly Host[], { lineOf }: TomlDocument, file: string): Generator<string> {
  for (const { id, values } of hosts) {
    yield `[remote.${JSON.stringify(id)}]`;
    for (const [key, value] of values) {
      const place = key === "auth.secret" ? secretPlaceOf(value) : undefined;
      if (place !== undefined) {
        yield `${place.key} = ${JSON.stringify(place.value)}`;
      } else if (key === "auth.secret") {
        yield `${key} = "" # copy it from ${file}, line ${lineOf(["remote", id, "auth", "secret"])}`;
      } else {
        yield `${key} = ${JSON.stringify(value)}`;
      }
    }
    yield "";
  }
}

/** Where it stands is no secret. */
function withoutSecret(values: ReadonlyMap<string, Value>): ReadonlyMap<string, Value> {
  const place = secretPlaceOf(values.get("auth.secret"));
  const others = [...values].filter(([key]) => key !== "auth.secret");
  return new Map(place === undefined ? others : [...others, [place.key, place.value]]);
}

/** `{ tls: { implicit: false } }` as `["tls.implicit", false]`. */
function* flatten(table: Table, prefix = ""): Generator<[string, Value]> {
  for (const [name, value] of Object.entries(table)) {
    if (typeof value === "object" && value !== null && !Array.isArray(value)) {
      yield* flatten(value as Table, `${prefix}${name}.`);
    } else {
      yield [`${prefix}${name}`, value as Value];
    }
  }
}

function nested(values: ReadonlyMap<string, Value>): Record<string, unknown> {
  const root: Record<string, unknown> = {};
  for (const [key, value] of values) {
    const names = key.split(".");
    const last = names.pop()!;
    let table = root;
    for (const name of names) {
      table[name] ??= {};
      table = table[name] as Record<string, unknown>;
    }
    table[last] = value;
  }
  return root;
}

function asTable(value: unknown): Table {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Table) : {};
}
