/** A real Exim on loopback: one that asks a Dovecot socket about passwords, and one that Debian's package configures. Its program is unpacked by .ci/get-exim. Serves the interop tests. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { chownSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type PackagedSettings, packagedConfiguration } from "./packaged-exim.js";
import { atEnd, freePorts, makeFolder, run, untilListening, writeCertificate } from "./sandbox.js";

/** Why there is none here, or `false`. */
export function reasonWithoutExim(): string | false {
  if (process.env.RELAYPOST_INTEROP === "required") {
    return false;
  }
  return process.env.RELAYPOST_EXIM === undefined ? "RELAYPOST_EXIM does not say where Exim is (.ci/get-exim)" : false;
}

/** Where Exim's program is. */
export function programOfExim(): string {
  return process.env.RELAYPOST_EXIM ?? "exim4";
}

/** A running Exim. */
export class Exim implements AsyncDisposable {
  private constructor(
    readonly folder: string,
    readonly port: number,
    /** PEM of the authority that signed its certificate. */
    readonly ca: string,
    private readonly child: ChildProcess,
    private readonly cleanups: readonly (() => void)[],
  ) {}

  /**
   * It takes mail from nobody without a login.
   *
   * @param authenticators what stands behind `begin authenticators`
   */
  static async start(authenticators: string): Promise<Exim> {
    const place = makeEximFolder();
    const { ca, certFile, keyFile } = await writeCertificate(place.path);
    chownSync(keyFile, place.owner.uid, place.owner.gid);
    const file = join(place.path, "exim.conf");
    writeFileSync(file, `${configuration(place.path, certFile, keyFile)}${authenticators}`);
    return Exim.run(place, file, ca);
  }

  /** As Debian's package has it, on a port of its own. What it accepts stays in its queue, since the mailboxes are this machine's. */
  static async startPackaged(settings: PackagedSettings): Promise<Exim> {
    const place = makeEximFolder();
    return Exim.run(place, packagedConfiguration(programOfExim(), place.path, settings), "", "-odq");
  }

  private static async run(
    { path: folder, remove }: ReturnType<typeof makeEximFolder>,
    file: string,
    ca: string,
    ...options: readonly string[]
  ): Promise<Exim> {
    const [port] = (await freePorts(1)) as [number];
    const words = ["-C", file, "-bdf", "-oX", String(port), ...options];
    const child = spawn(programOfExim(), words, { stdio: "ignore" });
    await once(child, "spawn");
    const exim = new Exim(folder, port, ca, child, [atEnd(() => child.kill("SIGTERM")), remove]);
    try {
      await untilListening(port, () => exim.log);
    } catch (error) {
      await exim.stop();
      throw error;
    }
    return exim;
  }

  /** Everything it logged. */
  get log(): string {
    const file = join(this.folder, "log", "mainlog");
    return existsSync(file) ? readFileSync(file, "utf8") : "";
  }

  /** The contents of the messages in its queue, by Exim's ids, with newlines as Exim keeps them; headers stand elsewhere. */
  get queue(): ReadonlyMap<string, Buffer> {
    const folder = join(this.folder, "spool", "input");
    const names = existsSync(folder) ? readdirSync(folder).filter((name) => name.endsWith("-D")) : [];
    return new Map(
      names.map((name) => {
        const stored = readFileSync(join(folder, name));
        return [name.slice(0, -2), stored.subarray(stored.indexOf(10) + 1)];
      }),
    );
  }

  async stop(): Promise<void> {
    const hasExited = this.child.exitCode !== null || this.child.signalCode !== null;
    const exited = hasExited ? undefined : once(this.child, "exit");
    this.cleanups[0]?.();
    await exited;
    this.cleanups[1]?.();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }
}

/** A folder with places for what Exim writes, as the user that it becomes. */
export function makeEximFolder() {
  const folder = makeFolder("exim");
  const owner = { uid: Number(run("id", "-u", "Debian-exim")), gid: Number(run("id", "-g", "Debian-exim")) };
  for (const name of ["spool", "log"]) {
    mkdirSync(join(folder.path, name));
    chownSync(join(folder.path, name), owner.uid, owner.gid);
  }
  return { ...folder, owner };
}

/** PLAIN and LOGIN by a Dovecot socket, without TLS too. */
export function authenticatorsAt(authSocket: string): string {
  return ["PLAIN", "LOGIN"]
    .map(
      (name) => `${name.toLowerCase()}:
  driver = dovecot
  public_name = ${name}
  server_socket = ${authSocket}
  server_set_id = $auth1
`,
    )
    .join("");
}

function configuration(folder: string, certFile: string, keyFile: string): string {
  return `spool_directory = ${folder}/spool
log_file_path = ${folder}/log/%slog
pid_file_path = ${folder}/exim.pid
primary_hostname = exim.example.test
local_interfaces = 127.0.0.1
keep_environment =
tls_advertise_hosts = *
tls_certificate = ${certFile}
tls_privatekey = ${keyFile}
auth_advertise_hosts = *
acl_smtp_rcpt = check_rcpt
begin acl
check_rcpt:
  accept authenticated = *
  deny
begin authenticators
`;
}
