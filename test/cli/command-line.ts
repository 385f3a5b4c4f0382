/** Runs the compiled command as a user would, for the tests of this folder. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { fileURLToPath } from "node:url";
import { listenImap, listenMail, type StrictServer } from "../../src/testing/index.js";

export const MAIN = fileURLToPath(new URL("../../src/cli/main.js", import.meta.url));

/** How a run ended. */
export interface Ran {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Starts `relaypost`. */
export function start(...args: string[]): ChildProcess {
  return spawn(process.execPath, [MAIN, ...args], { stdio: ["pipe", "pipe", "pipe"] });
}

/** Waits for a run's end. */
export async function finish(child: ChildProcess): Promise<Ran> {
  const [stdout, stderr, [code]] = await Promise.all([
    child.stdout === null ? "" : text(child.stdout),
    child.stderr === null ? "" : text(child.stderr),
    once(child, "close") as Promise<[number | null]>,
  ]);
  return { code, stdout, stderr };
}

/** Runs `relaypost` with this on standard input. */
export function relaypost(args: string[], input = ""): Promise<Ran> {
  const child = start(...args);
  child.stdin?.on("error", () => {}); // it may end without reading
  child.stdin?.end(input);
  return finish(child);
}

/** The values of a `--json` run. */
export function jsonLines<T = Record<string, unknown>>({ stdout }: Ran): T[] {
  return stdout
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line));
}

/** Servers, a configuration that names them, and a folder for files; all gone with {@link close}. */
export class Site implements AsyncDisposable {
  private constructor(
    readonly folder: string,
    readonly smtp: StrictServer,
    readonly lmtp: StrictServer,
    readonly imap: StrictServer,
  ) {}

  static async open(): Promise<Site> {
    const users = { "anna@example.org": "blue heron" };
    const recipients = ["anna@example.org", "bo@example.org"];
    const lists = { staff: ["<anna@example.org>", "<bo@example.org>"] };
    const site = new Site(
      await mkdtemp(join(tmpdir(), "relaypost-")),
      await listenMail({ recipients, lists, users }),
      await listenMail({ protocol: "lmtp", recipients }),
      await listenImap({ users }),
    );
    const plain = 'tls = { implicit = false, starttls = "disable" }\nauth = { allow-plaintext = true }\nlookup = true';
    const host = (id: string, { port }: { port: number }) =>
      `[remote.${id}]\naddress = "127.0.0.1"\nport = ${port}\nprotocol = "${id === "down" ? "smtp" : id}"\n${plain}\n`;
    const closed = await listenMail();
    await closed.close();
    await site.write(
      "remotes.toml",
      `[runtime]\nhostname = "gateway.example.net"\n${host("smtp", site.smtp)}${host("lmtp", site.lmtp)}${host("imap", site.imap)}${host("down", closed)}`,
    );
    return site;
  }

  get config(): string {
    return this.path("remotes.toml");
  }

  path(name: string): string {
    return join(this.folder, name);
  }

  async write(name: string, content: string): Promise<string> {
    await writeFile(this.path(name), content);
    return this.path(name);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([this.smtp.close(), this.lmtp.close(), this.imap.close()]);
    await rm(this.folder, { recursive: true });
  }
}
