/**
 * Reads a secret from wherever its key says that it stands: in the configuration, in a file, in the environment, in a systemd credential.
 * Serves host.ts, and the daemon's listeners. Read anew with each configuration, so that a reload brings a changed secret.
 */
import { readFile, stat } from "node:fs/promises";
import { join, resolve } from "node:path";
import { type Schema, SECRET_PLACES } from "./key-spec.js";
import { describeFailure } from "./pem-file.js";
import type { Problems } from "./problems.js";
import type { TableReading } from "./read-table.js";
import type { KeyPath } from "./toml.js";

const MOST_OCTETS = 64 * 1024;
/** Others than the owner and the group may read it. */
const OTHERS_READ = 0o004;
/** `%{env:NAME}%` and `file:///…`, which other mail servers replace. */
const MACRO = /^(?:%\{[a-z]+:.*\}%|file:\/\/.*)$/s;

/** Where a table stands, and what it says. */
export interface SecretSurroundings {
  readonly reading: TableReading<Schema>;
  /** The path of the table. */
  readonly path: KeyPath;
  /** Relative file names start from it. */
  readonly directory: string;
  readonly problems: Problems;
}

/** The keys of a table that tell one secret, such as `auth.secret` and `auth.secret-file`, and that were given. */
export function givenSecretKeys({ given }: Pick<TableReading<Schema>, "given">, key: string): string[] {
  return SECRET_PLACES.map((place) => `${key}${place}`).filter((each) => given.has(each));
}

/** The secret of `key`, or `undefined` where none is given or where something is wrong with it, which is a problem then. */
export async function readSecret(key: string, around: SecretSurroundings): Promise<string | undefined> {
  const { reading, path, directory, problems } = around;
  const [given, other] = givenSecretKeys(reading, key);
  if (given === undefined) {
    return undefined;
  }
  if (other !== undefined) {
    problems.add([...path, ...other.split(".")], `stands beside ${given}; a secret stands in one place`);
    return undefined;
  }
  const value = reading.values[given];
  if (typeof value !== "string") {
    return undefined;
  }
  const at = [...path, ...given.split(".")];
  switch (given.slice(key.length)) {
    case "-file":
      await warnIfReadable(resolve(directory, value), at, problems);
      return await readSecretFile(resolve(directory, value), at, problems);
    case "-env":
      return checked(process.env[value], "names an environment variable", at, problems);
    case "-credential": {
      const folder = process.env.CREDENTIALS_DIRECTORY;
      if (folder === undefined || folder === "") {
        problems.add(at, "needs $CREDENTIALS_DIRECTORY, which systemd sets for a service with LoadCredential=");
        return undefined;
      }
      return await readSecretFile(join(folder, value), at, problems);
    }
    default:
      warnOfMacro(value, given, at, problems);
      return value;
  }
}

/** Says that every user of the machine may read a file with a secret. */
export async function warnIfReadable(file: string, at: KeyPath, problems: Problems): Promise<void> {
  // Windows knows no such bits, and Node makes some up.
  const mode =
    process.platform === "win32"
      ? 0
      : await stat(file).then(
          ({ mode }) => mode,
          () => 0,
        );
  if ((mode & OTHERS_READ) !== 0) {
    problems.warn(at, "names a file that every user of this machine may read; chmod o-r makes it a secret");
  }
}

/** Says that a text is taken as it stands. */
export function warnOfMacro(value: string | undefined, key: string, at: KeyPath, problems: Problems): void {
  if (value === undefined || !MACRO.test(value)) {
    return;
  }
  const instead = key.endsWith("username") ? "" : `; ${key}-env = "NAME" and ${key}-file = "PATH" say where it stands`;
  problems.warn(at, `looks like a reference to a variable or a file, and is taken as it stands${instead}`);
}

/** One line of a file, without its newline. */
async function readSecretFile(file: string, at: KeyPath, problems: Problems): Promise<string | undefined> {
  let bytes: Uint8Array;
  try {
    const stats = await stat(file);
    if (stats.isFile() && stats.size > MOST_OCTETS) {
      problems.add(at, "names a file that is larger than 64 KiB");
      return undefined;
    }
    bytes = await readFile(file, { signal: AbortSignal.timeout(10_000) });
  } catch (error) {
    problems.add(at, `names a file that ${describeFailure(error)}`);
    return undefined;
  }
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    problems.add(at, "names a file that is not UTF-8");
    return undefined;
  }
  return checked(text.replace(/\r?\n$/, ""), "names a file", at, problems);
}

function checked(text: string | undefined, what: string, at: KeyPath, problems: Problems): string | undefined {
  const mistake =
    text === undefined
      ? "is not set"
      : text === ""
        ? "is empty"
        : /[\r\n\0]/.test(text)
          ? "holds more than one line, or a NUL"
          : undefined;
  if (mistake === undefined) {
    return text;
  }
  problems.add(at, `${what} that ${mistake}`);
  return undefined;
}
