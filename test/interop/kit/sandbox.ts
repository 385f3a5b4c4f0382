/**
 * What real servers need around them: a folder of their own under os.tmpdir(), free ports, a certificate in files, and an end
 * that comes whatever happens to the test. Serves dovecot.ts and postfix.ts.
 */
import { spawnSync } from "node:child_process";
import { once } from "node:events";
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { type AddressInfo, connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { type Certificate, makeCertificate } from "../../../src/testing/index.js";

/** Whoever may log in, and receive mail, on the real servers. */
export const ACCOUNTS: Readonly<Record<string, string>> = {
  ann: "correct horse",
  bob: 'q"uo\\te d',
  cäsar: "pässwörd",
};

/** Local parts that only receive mail. */
export const RECIPIENTS: readonly string[] = ["ann", "bob", ...Array.from({ length: 40 }, (_, at) => `user${at}`)];

/** The domain of all of them. */
export const DOMAIN = "example.test";

/** An address of the local domain. */
export function addressOf(user: string): string {
  return `${user}@${DOMAIN}`;
}

const cleanups = new Set<() => void>();
process.on("exit", () => {
  for (const cleanup of cleanups) {
    cleanup();
  }
});
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
  process.on(signal, () => process.exit(1));
}

/** Runs `cleanup` when the process ends, unless the function returned has run it before. It must be synchronous. */
export function atEnd(cleanup: () => void): () => void {
  const once = () => {
    if (cleanups.delete(once)) {
      cleanup();
    }
  };
  cleanups.add(once);
  return once;
}

/**
 * Why the tests of these programs cannot run here, or `false`. With RELAYPOST_INTEROP=required nothing is a reason, so that a
 * missing program fails the tests.
 */
export function reasonToSkip(...programs: readonly string[]): string | false {
  if (process.env.RELAYPOST_INTEROP === "required") {
    return false;
  }
  const missing = programs.filter((program) => pathOf(program) === undefined);
  if (missing.length > 0) {
    return `not installed: ${missing.join(", ")}`;
  }
  return process.getuid?.() === 0 ? false : "Postfix and Dovecot can only be started by root";
}

/** Where a program is; sbin, and what Dovecot starts, are looked into too. */
export function pathOf(program: string): string | undefined {
  const folders = [
    ...(process.env.PATH ?? "").split(delimiter),
    "/usr/sbin",
    "/usr/local/sbin",
    "/sbin",
    "/usr/lib/dovecot",
  ];
  return folders.map((folder) => join(folder, program)).find((path) => existsSync(path));
}

/** A folder that everybody may enter, gone when the process ends. */
export function makeFolder(name: string): { readonly path: string; remove(): void } {
  const path = mkdtempSync(join(tmpdir(), `relaypost-${name}-`));
  chmodSync(path, 0o755);
  return { path, remove: atEnd(() => rmSync(path, { recursive: true, force: true })) };
}

/** Free ports on loopback. Between this and their use somebody may take one; nobody does on a machine that runs tests. */
export async function freePorts(count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => createServer().listen(0, "127.0.0.1"));
  await Promise.all(servers.map((server) => once(server, "listening")));
  const ports = servers.map((server) => (server.address() as AddressInfo).port);
  await Promise.all(servers.map((server) => once(server.close(), "close")));
  return ports;
}

/** A certificate for the loopback addresses, in files that only root reads. */
export async function writeCertificate(folder: string): Promise<Certificate & { certFile: string; keyFile: string }> {
  const certificate = await makeCertificate({ kind: "own-ca" });
  const [certFile, keyFile] = [join(folder, "cert.pem"), join(folder, "key.pem")];
  writeFileSync(certFile, certificate.cert);
  writeFileSync(keyFile, certificate.key, { mode: 0o600 });
  return { ...certificate, certFile, keyFile };
}

/** Runs a command to its end; throws what it printed when it fails. */
export function run(command: string, ...args: readonly string[]): string {
  const path = pathOf(command);
  if (path === undefined) {
    throw new Error(`${command} is not installed`);
  }
  // Daemons that are left behind would hold a pipe open.
  const { status, stdout, stderr, error } = spawnSync(path, args, { encoding: "utf8", timeout: 60_000 });
  if (error !== undefined) {
    throw error;
  }
  if (status !== 0) {
    throw new Error(`${command} ${args.join(" ")} ended with ${status}: ${stdout}${stderr}`);
  }
  return stdout;
}

/** Signals a daemon that has a process for each client or service; the first one first, so that it starts no others. */
export function signalWithChildren(pid: number, signal: "SIGSTOP" | "SIGCONT"): void {
  process.kill(pid, signal);
  signalAll(childrenOf(pid), signal);
}

/** Ends such a daemon at once, all of it. */
export function killWithChildren(pid: number): void {
  signalWithChildren(pid, "SIGSTOP");
  signalAll([...childrenOf(pid), pid], "SIGKILL");
}

function childrenOf(pid: number): number[] {
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8");
  return children.trim().split(/\s+/).filter(Boolean).map(Number);
}

function signalAll(pids: readonly number[], signal: NodeJS.Signals): void {
  for (const pid of pids) {
    try {
      process.kill(pid, signal);
    } catch (error) {
      // One that had been served when its parent was stopped may have ended since.
      if ((error as NodeJS.ErrnoException).code !== "ESRCH") {
        throw error;
      }
    }
  }
}

/** Resolves when something accepts connections there; there is no event for another program's listen(). */
export async function untilListening(port: number, logOf: () => string): Promise<void> {
  for (let attempt = 0; attempt < 400; attempt++) {
    const socket = connect(port, "127.0.0.1");
    const isUp = await Promise.race([
      once(socket, "connect").then(() => true),
      once(socket, "close").then(() => false),
    ]).catch(() => false);
    socket.destroy();
    if (isUp) {
      return;
    }
    await sleep(50);
  }
  throw new Error(`nothing listens on port ${port}:\n${logOf()}`);
}

/** Whether ::1 can be bound here. */
export async function hasIpv6(): Promise<boolean> {
  const server = createServer();
  server.listen(0, "::1");
  return Promise.race([
    once(server, "listening").then(() => {
      server.close();
      return true;
    }),
    once(server, "error").then(() => false),
  ]).catch(() => false);
}
