/** A real Haraka 3 with the example's configuration: installed once from the example's package.json, run between a client and servers on loopback. */
import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { cpSync, existsSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { listenImap, listenMail, type StrictServer } from "../../src/testing/index.js";
import { RawClient } from "../kit/raw-client.js";
import { atEnd, freePorts, makeFolder, untilListening } from "./kit/sandbox.js";

const ROOT = fileURLToPath(new URL("../../../", import.meta.url));
const EXAMPLE = join(ROOT, "examples/haraka");
/** Kept between runs: it takes its time. */
const INSTALLED = join(ROOT, "dist/interop/haraka");

/** Why Haraka is not there, or `false`. */
function install(): string | false {
  const modules = join(INSTALLED, "node_modules");
  if (!existsSync(join(modules, "Haraka/bin/haraka"))) {
    mkdirSync(INSTALLED, { recursive: true });
    const { Haraka } = JSON.parse(readFileSync(join(EXAMPLE, "package.json"), "utf8")).dependencies;
    writeFileSync(join(INSTALLED, "package.json"), JSON.stringify({ private: true, dependencies: { Haraka } }));
    const options = ["install", "--omit=optional", "--ignore-scripts", "--no-audit", "--no-fund", "--no-package-lock"];
    const { status, stderr } = spawnSync("npm", options, { cwd: INSTALLED, encoding: "utf8", timeout: 300_000 });
    if (status !== 0) {
      if (process.env.RELAYPOST_INTEROP === "required") {
        throw new Error(stderr);
      }
      return "Haraka could not be installed";
    }
  }
  rmSync(join(modules, "relaypost"), { force: true, recursive: true });
  symlinkSync(ROOT, join(modules, "relaypost"));
  return false;
}

const login = (user: string, secret: string) => `AUTH PLAIN ${Buffer.from(`\0${user}\0${secret}`).toString("base64")}`;

describe("relaypost/haraka in a real Haraka", { skip: install(), timeout: 120_000 }, () => {
  const folder = makeFolder("haraka");
  let store: StrictServer;
  let imap: StrictServer;
  let port: number;
  let log = "";
  let stop: () => void;

  before(async () => {
    store = await listenMail({
      protocol: "lmtp",
      recipients: (address) => !address.startsWith("nobody"),
      overrides: [
        { on: "RCPT", match: /later@/, reply: "450 4.2.1 later" },
        { on: "delivery", match: /^full/, reply: "552 5.2.2 over quota" },
        { on: "delivery", match: /^busy/, reply: "452 4.2.2 busy" },
      ],
    });
    imap = await listenImap({
      users: { ann: "right" },
      overrides: [{ on: "login", match: /^bob/, reply: "{tag} NO [UNAVAILABLE] later" }],
    });
    [port] = (await freePorts(1)) as [number];
    cpSync(EXAMPLE, folder.path, { recursive: true });
    symlinkSync(join(INSTALLED, "node_modules"), join(folder.path, "node_modules"));
    const config = (name: string, text: string) => writeFileSync(join(folder.path, "config", name), text);
    config("smtp.ini", `listen = 127.0.0.1:${port}\nnodes = 0\n`);
    config(
      "relaypost.ini",
      "recipients = store\nusers = accounts\ninsecure_auth = true\nqueue = store\nqueue_outbound = store\n",
    );
    const host = ({ address, port: at }: StrictServer, protocol: string) =>
      `address = "${address}"\nport = ${at}\nprotocol = "${protocol}"\nlookup = true\ntls = { implicit = false, starttls = "disable" }\n`;
    config(
      "relaypost.toml",
      // A mailbox that was full for one message is asked about anew for the next, so that the store's own verdict is seen.
      `[remote.store]\n${host(store, "lmtp")}cache = { learn = false }\n[remote.accounts]\n${host(imap, "imap")}auth = { allow-plaintext = true }\n`,
    );
    const haraka = spawn(process.execPath, [join(INSTALLED, "node_modules/Haraka/bin/haraka"), "-c", folder.path]);
    stop = atEnd(() => haraka.kill("SIGKILL"));
    for (const stream of [haraka.stdout, haraka.stderr]) {
      stream.on("data", (data) => {
        log += data;
      });
    }
    await untilListening(port, () => log);
  });

  after(async () => {
    stop?.();
    await store?.close();
    await imap?.close();
    folder.remove();
  });

  async function connect(): Promise<RawClient> {
    const client = await RawClient.connect(port);
    await client.replies(1);
    assert.match(await client.ask("EHLO me.example.org"), /AUTH PLAIN LOGIN/);
    return client;
  }

  async function send(client: RawClient, content: string, ...to: string[]): Promise<string> {
    assert.match(await client.ask("MAIL FROM:<me@example.org>"), /^250/, log);
    for (const address of to) {
      assert.match(await client.ask(`RCPT TO:<${address}>`), /^250/, log);
    }
    assert.match(await client.ask("DATA"), /^354/);
    return client.ask(`${content}\r\n.`);
  }

  it("asks the store about recipients", async () => {
    await using client = await connect();
    await client.ask("MAIL FROM:<me@example.org>");
    assert.match(await client.ask("RCPT TO:<nobody@example.org>"), /^550 5\.1\.1 /, log);
    assert.match(await client.ask("RCPT TO:<later@example.org>"), /^451 4\.4\.3 /);
    assert.match(await client.ask("RCPT TO:<ann@example.org>"), /^250/);
  });

  it("asks the accounts about passwords, and says 454 when these do not say", async () => {
    await using client = await connect();
    assert.match(await client.ask(login("bob", "secret")), /^454 4\.7\.0 /, log);
    assert.match(await client.ask(login("ann", "wrong")), /^535 5\.7\.8 /);
    assert.match(await client.ask(login("ann", "right")), /^235 /);
  });

  it("queues a message by handing it to the store, as it came", async () => {
    await using client = await connect();
    const lines = Array.from({ length: 5000 }, (_, at) => `..line ${at} ${"x".repeat(60)}`);
    const content = `Subject: hi\r\n\r\n${lines.join("\r\n")}`;
    assert.match(await send(client, content, "ann@example.org", "bob@example.org"), /^250 2\./, log);
    const [ann, bob] = store.ledger.deliveries;
    assert.equal(ann!.address, "ann@example.org");
    assert.equal(bob!.address, "bob@example.org");
    const delivered = ann!.content.toString();
    assert.match(delivered, /^Received: /);
    assert.ok(delivered.endsWith(`\r\n\r\n${lines.map((line) => line.slice(1)).join("\r\n")}\r\n`));
    assert.deepEqual(store.ledger.violations, []);
  });

  it("tells the client what became of the recipients", async () => {
    await using client = await connect();
    assert.match(await send(client, "x: y\r\n\r\nz", "full@example.org"), /^550 5\.2\.2 over quota/, log);
    assert.match(await send(client, "x: y\r\n\r\nz", "ann@example.org", "busy@example.org"), /^450 4\.2\.2 busy/);
    assert.match(
      await send(client, "x: y\r\n\r\nz", "ann@example.org", "full@example.org"),
      /^550 5\.2\.2 Refused for <full@example.org>; delivered to <ann@example.org>/,
    );
    store.order({ on: "terminator", times: 1, afterwards: "reset" });
    assert.match(await send(client, "x: y\r\n\r\nz", "lost@example.org"), /^450 4\.4\.2 Delivery is uncertain/);
  });

  it("queues mail of users, too, and does not ask about their recipients", async () => {
    await using client = await connect();
    assert.match(await client.ask(login("ann", "right")), /^235 /);
    assert.match(await send(client, "x: y\r\n\r\nz", "ann@elsewhere.example"), /^250/, log);
  });

  it("does not start with hosts that are wrong, and says why", async () => {
    writeFileSync(join(folder.path, "config/smtp.ini"), `listen = 127.0.0.1:${(await freePorts(1))[0]}\nnodes = 0\n`);
    writeFileSync(join(folder.path, "config/relaypost.toml"), '[remote.store]\nadress = "127.0.0.1"\n');
    const haraka = spawn(process.execPath, [join(INSTALLED, "node_modules/Haraka/bin/haraka"), "-c", folder.path]);
    const end = atEnd(() => haraka.kill("SIGKILL"));
    let said = "";
    haraka.stdout.on("data", (data) => {
      said += data;
    });
    const [code] = await once(haraka, "exit");
    end();
    assert.notEqual(code, 0);
    assert.match(said, /remote\.store\.adress/);
  });
});
