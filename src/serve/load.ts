/** From a file to everything that the daemon runs on: hosts, rules and listeners, with all mistakes of all three together. Serves daemon.ts and `relaypost check`. */
import { hostname } from "node:os";
import { dirname } from "node:path";
import type { RequestOptions } from "../api.js";
import { deepFreeze, freezeMap } from "../config/freeze.js";
import { isEhloName } from "../config/host-name.js";
import { parseSettings, readText } from "../config/load.js";
import { Problems } from "../config/problems.js";
import { asTable, readTable } from "../config/read-table.js";
import type { Settings } from "../config/settings.js";
import { parseToml, type TomlDocument } from "../config/toml.js";
import { ConfigError, type ConfigProblem } from "../errors.js";
import { RuleSet } from "../rules/rule-set.js";
import { describeListenAddress, isLocal } from "./listen-address.js";
import { readListener, type ServeSurroundings } from "./read-listener.js";
import { SERVE_SCHEMA } from "./schema.js";
import type { ListenerSettings, ServeSettings } from "./settings.js";

/** Names of listeners stand in logs and rules. */
const NAME = /^[A-Za-z0-9_-]{1,64}$/;

/** What stands in `[serve]` and is no listener. */
const OWN_NAMES: ReadonlySet<string> = new Set(Object.keys(SERVE_SCHEMA).map((key) => key.split(".", 1)[0]!));

/** A file for the daemon. */
export interface LoadedFile {
  readonly settings: Settings;
  readonly serve: ServeSettings;
  readonly rules: RuleSet;
}

/** How rules ask remote lists, once there are hosts. */
export type AskList = (list: string, value: string, options?: RequestOptions) => Promise<boolean>;

/**
 * Loads a file.
 *
 * @param askList called by the rules for remote lists
 * @throws ConfigError with every mistake of hosts, rules and listeners
 */
export async function loadFile(file: string, askList: AskList = async () => false): Promise<LoadedFile> {
  const text = await readText(file);
  const document = parseToml(text, file);
  const hosts = hostsOf(document.root);
  const found: ConfigProblem[] = [];
  const collect = async <T>(read: () => T | Promise<T>): Promise<T | undefined> => {
    try {
      return await read();
    } catch (error) {
      if (!(error instanceof ConfigError)) {
        throw error;
      }
      found.push(...error.problems);
      return undefined;
    }
  };
  const settings = await collect(() => parseSettings(text, { file }));
  const ids = [...hosts].filter(([, { lookup }]) => lookup).map(([id]) => id);
  const rules = await collect(() => RuleSet.parse(text, { ids, inList: askList }, { file }));
  const serve = await collect(() => readServe(document, file, hosts, settings?.runtime.hostname ?? machineName()));
  if (settings === undefined || rules === undefined || serve === undefined) {
    throw new ConfigError(inOrder(found));
  }
  return { settings, serve, rules };
}

/** Settings of listeners that are allowed and that somebody should have meant. */
export function warningsOf(serve: ServeSettings): string[] {
  return [...serve.listeners.values()].flatMap(warningsOfListener);
}

function warningsOfListener(listener: ListenerSettings): string[] {
  const key = `serve.${listener.name}`;
  const found: string[] = [];
  if (!isLocal(listener.listen)) {
    const where = describeListenAddress(listener.listen);
    if (listener.protocol === "smtp" || listener.protocol === "lmtp") {
      found.push(
        `${key}.listen = "${where}": other machines reach it, and the rules of host decide what they may send where`,
      );
    } else {
      found.push(
        `${key}.listen = "${where}": other machines reach it, and ${listener.protocol} knows no clients from strangers`,
      );
    }
  }
  if ("auth" in listener && listener.auth?.allowPlaintext === true) {
    found.push(`${key}.auth.allow-plaintext = true: passwords may travel in plain text`);
  }
  return found;
}

/** What a gateway calls itself where nothing better is known: its clients know the machine. */
function machineName(): string {
  return isEhloName(hostname()) ? hostname() : "localhost";
}

/** Both readers of the file may have found the same mistake. */
function inOrder(problems: readonly ConfigProblem[]): ConfigProblem[] {
  const seen = new Map(problems.map((problem) => [`${problem.key}\0${problem.message}`, problem]));
  return [...seen.values()].toSorted((a, b) => (a.line ?? 0) - (b.line ?? 0));
}

/** What listeners need to know of the hosts, whether or not the rest of their tables is right. */
function hostsOf(root: TomlDocument["root"]): ServeSurroundings["hosts"] {
  const remote = isTable(root.remote) ? root.remote : {};
  return new Map(
    Object.entries(remote).map(([id, host]) => {
      const table = isTable(host) ? host : {};
      return [id, { protocol: table.protocol, lookup: table.lookup === true }];
    }),
  );
}

async function readServe(
  { root, lineOf }: TomlDocument,
  file: string,
  hosts: ServeSurroundings["hosts"],
  hostname: string,
): Promise<ServeSettings> {
  const problems = new Problems(file, lineOf);
  const ruleNames = new Set(isTable(root.rule) ? Object.keys(root.rule) : []);
  const around: ServeSurroundings = { problems, directory: dirname(file), hostname, hosts, ruleNames };
  const table = root.serve === undefined ? {} : (asTable(root.serve, ["serve"], problems) ?? {});
  const isListener = ([name, value]: [string, unknown]) => isTable(value) && !OWN_NAMES.has(name);
  const entries = Object.entries(table);
  const own: Record<string, unknown> = Object.fromEntries(entries.filter((entry) => !isListener(entry)));
  if (typeof own.log === "string") {
    own.log = { level: own.log };
  }
  const { values } = readTable(own, ["serve"], SERVE_SCHEMA, problems);
  const listeners = new Map<string, ListenerSettings>();
  const places = new Map<string, string>();
  for (const [name, value] of entries.filter(isListener)) {
    if (!NAME.test(name)) {
      problems.add(["serve", name], "is no name: 1 to 64 letters A to Z, digits, hyphens and underscores");
    }
    const listener = await readListener(name, value, around);
    if (listener === undefined) {
      continue;
    }
    listeners.set(name, listener);
    const place = describeListenAddress(listener.listen);
    const other = places.get(place);
    if (other !== undefined && !place.endsWith(":0")) {
      problems.add(["serve", name, "listen"], `is where serve.${other} listens already`);
    }
    places.set(place, name);
  }
  problems.throwIfAny();
  const { warnings } = problems;
  deepFreeze([warnings, ...listeners.values()]);
  return Object.freeze({
    drainMs: values.drain,
    logLevel: values["log.level"],
    logAddresses: values["log.addresses"],
    listeners: freezeMap(listeners),
    warnings,
  });
}

function isTable(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value) && !(value instanceof Date);
}
