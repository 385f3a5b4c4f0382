/** A real Dovecot on loopback: IMAP and LMTP, in the clear with STARTTLS and with implicit TLS, and SASL for Postfix. Serves the interop tests. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, chownSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import {
  ACCOUNTS,
  atEnd,
  freePorts,
  killWithChildren,
  makeFolder,
  pathOf,
  RECIPIENTS,
  signalWithChildren,
  untilListening,
  writeCertificate,
} from "./sandbox.js";

/** Mechanisms that it offers. */
export const MECHANISMS = [
  "PLAIN",
  "LOGIN",
  "CRAM-MD5",
  "SCRAM-SHA-1",
  "SCRAM-SHA-256",
  "XOAUTH2",
  "OAUTHBEARER",
] as const;

/** The one good access token, and whose it is. */
export const TOKEN = { username: "ann", accessToken: "ya29.a-token~with+all/kinds-_of==" };

/** Debian's nobody:nogroup, the owner of the mailboxes. */
const NOBODY = { uid: 65_534, gid: 65_534 };

interface DovecotOptions {
  /** What it offers; by default all. */
  readonly mechanisms?: readonly string[];
  /** Whether what Debian's package has by default is switched off where tests would take long: see docs/testing.md. Default: true. */
  readonly isTuned?: boolean;
  /** Who knows which access tokens are good (RFC 7662). By default a server of its own, which knows {@link TOKEN}. */
  readonly introspectionUrl?: string;
  /** Lines behind the others. */
  readonly more?: string;
}

/** What makes tests quick, and is not how Dovecot is run: no delay for wrong passwords, many sessions of one user from one address. */
const TUNED = `
auth_failure_delay = 0
mail_max_userip_connections = 1000
service anvil {
  unix_listener anvil-auth-penalty {
    mode = 0
  }
}
`;

/** A running Dovecot. */
export class Dovecot implements AsyncDisposable {
  private constructor(
    readonly folder: string,
    readonly ports: Readonly<Record<"imap" | "imaps" | "lmtp" | "lmtps", number>>,
    /** PEM of the authority that signed its certificate. */
    readonly ca: string,
    private readonly tokens: Server,
    private readonly remove: () => void,
  ) {}

  private child!: ChildProcess;
  private end: () => void = () => {};

  /** Where Postfix asks whether a password is right. */
  get authSocket(): string {
    return join(this.folder, "auth");
  }

  /** Starts it and waits until it serves. */
  static async start(options: DovecotOptions = {}): Promise<Dovecot> {
    const { path: folder, remove } = makeFolder("dovecot");
    const [imap, imaps, lmtp, lmtps] = (await freePorts(4)) as [number, number, number, number];
    const ports = { imap, imaps, lmtp, lmtps };
    const { certFile, keyFile, ca } = await writeCertificate(folder);
    const tokens = await serveTokens();
    writePasswords(folder);
    const { introspectionUrl = `http://127.0.0.1:${(tokens.address() as AddressInfo).port}/introspect` } = options;
    writeFileSync(join(folder, "oauth2.conf"), oauth2Configuration(introspectionUrl));
    const file = join(folder, "dovecot.conf");
    writeFileSync(file, configuration(folder, ports, certFile, keyFile, options));
    const dovecot = new Dovecot(folder, ports, ca, tokens, remove);
    try {
      await dovecot.begin();
    } catch (error) {
      await dovecot.stop();
      throw error;
    }
    return dovecot;
  }

  /** Starts its processes, again if they were killed. */
  async begin(): Promise<void> {
    const file = join(this.folder, "dovecot.conf");
    const child = spawn(pathOf("dovecot") ?? "dovecot", ["-F", "-c", file], { stdio: ["ignore", "ignore", "inherit"] });
    this.child = child;
    await once(child, "spawn");
    this.end = atEnd(() => child.kill("SIGTERM"));
    for (const port of Object.values(this.ports)) {
      await untilListening(port, () => this.log);
    }
  }

  /** Everything it logged. */
  get log(): string {
    const file = join(this.folder, "dovecot.log");
    return existsSync(file) ? readFileSync(file, "utf8") : "";
  }

  /** The messages in somebody's Maildir, as they were stored. */
  mailbox(user: string): Buffer[] {
    const folder = join(this.folder, "mail", user, "new");
    if (!existsSync(folder)) {
      return [];
    }
    return readdirSync(folder).map((name) => readFileSync(join(folder, name)));
  }

  /** Stops all of its processes, which go on where they were with `SIGCONT`. Its sockets take connections meanwhile. */
  signal(signal: "SIGSTOP" | "SIGCONT"): void {
    signalWithChildren(this.child.pid!, signal);
  }

  /** Kills all of its processes. */
  async kill(): Promise<void> {
    const { exited } = this;
    killWithChildren(this.child.pid!);
    await exited;
  }

  async stop(): Promise<void> {
    const { exited } = this;
    this.end();
    await exited;
    this.tokens.close();
    this.tokens.closeAllConnections();
    this.remove();
  }

  private get exited(): Promise<unknown> | undefined {
    const hasExited = this.child.exitCode !== null || this.child.signalCode !== null;
    return hasExited ? undefined : once(this.child, "exit");
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }
}

function writePasswords(folder: string): void {
  const lines: string[] = [];
  for (const user of new Set([...Object.keys(ACCOUNTS), ...RECIPIENTS])) {
    // Recipients without a password of their own can receive, and nobody can log in as them.
    const secret = ACCOUNTS[user] ?? crypto.randomUUID();
    lines.push(`${user}:{PLAIN}${secret}:${NOBODY.uid}:${NOBODY.gid}::${folder}/mail/${user}`);
  }
  const file = join(folder, "passwd");
  writeFileSync(file, `${lines.join("\n")}\n`);
  chmodSync(file, 0o644);
  mkdirSync(join(folder, "mail"));
  chownSync(join(folder, "mail"), NOBODY.uid, NOBODY.gid);
}

function configuration(
  folder: string,
  ports: Record<"imap" | "imaps" | "lmtp" | "lmtps", number>,
  certFile: string,
  keyFile: string,
  { mechanisms = MECHANISMS, isTuned = true, more = "" }: DovecotOptions,
): string {
  const listener = (name: string, port: number, isTls: boolean) =>
    `  inet_listener ${name} {\n    address = 127.0.0.1 ::1\n    port = ${port}\n    ssl = ${isTls ? "yes" : "no"}\n  }`;
  return `
base_dir = ${folder}/run
state_dir = ${folder}/state
log_path = ${folder}/dovecot.log
protocols = imap lmtp
mail_location = maildir:${folder}/mail/%n
mail_save_crlf = yes
first_valid_uid = 1
auth_mechanisms = ${mechanisms.map((mechanism) => mechanism.toLowerCase()).join(" ")}
auth_username_chars =
auth_username_format = %n
auth_verbose = yes
disable_plaintext_auth = no
ssl = yes
ssl_cert = <${certFile}
ssl_key = <${keyFile}
lmtp_rcpt_check_quota = no
passdb {
  driver = oauth2
  mechanisms = xoauth2 oauthbearer
  args = ${folder}/oauth2.conf
}
passdb {
  driver = passwd-file
  mechanisms = plain login cram-md5 scram-sha-1 scram-sha-256
  args = scheme=PLAIN ${folder}/passwd
}
userdb {
  driver = passwd-file
  args = ${folder}/passwd
}
service imap-login {
  unix_listener ${folder}/imap {
    mode = 0666
  }
${listener("imap", ports.imap, false)}
${listener("imaps", ports.imaps, true)}
}
service lmtp {
  unix_listener ${folder}/lmtp {
    mode = 0666
  }
${listener("lmtp", ports.lmtp, false)}
${listener("lmtps", ports.lmtps, true)}
}
service auth {
  unix_listener ${folder}/auth {
    mode = 0666
  }
}
${isTuned ? TUNED : ""}${more}
`;
}

function oauth2Configuration(introspectionUrl: string): string {
  return `introspection_mode = post
introspection_url = ${introspectionUrl}
username_attribute = username
active_attribute = active
active_value = true
`;
}

/** What tells Dovecot whether an access token is good (RFC 7662). */
async function serveTokens(): Promise<Server> {
  const server = createServer((request, response) => {
    let body = "";
    request.setEncoding("utf8");
    request.on("data", (part: string) => {
      body += part;
    });
    request.on("end", () => {
      const isGood = new URLSearchParams(body).get("token") === TOKEN.accessToken;
      response.setHeader("content-type", "application/json");
      response.end(JSON.stringify(isGood ? { active: true, username: TOKEN.username } : { active: false }));
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return server;
}
