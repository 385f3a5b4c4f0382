/** Where secrets may stand: in the file, in another file, in the environment, in a systemd credential; and what is said of each that is wrong. */
import assert from "node:assert/strict";
import { createPrivateKey } from "node:crypto";
import { chmod, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { generate } from "selfsigned";
import { loadSettings, parseSettings } from "../../../src/config/load.js";
import type { Settings } from "../../../src/config/settings.js";
import { ConfigError, type ConfigProblem } from "../../../src/errors.js";
import { RemoteHosts } from "../../../src/index.js";
import { recordLogger } from "../../../src/runtime/loggers.js";
import { loadFile } from "../../../src/serve/load.js";

const HOST = '[remote.x]\naddress = "mail.example.org"\nport = 25\nprotocol = "smtp"\n';
const SECRET = "correct horse, bättery";
const VARIABLE = "RELAYPOST_TEST_SECRET";

let folder = "";
const at = (name: string): string => join(folder, name);

async function write(name: string, content: string | Buffer, mode = 0o600): Promise<string> {
  await writeFile(at(name), content);
  await chmod(at(name), mode);
  return at(name);
}

before(async () => {
  folder = await mkdtemp(join(tmpdir(), "relaypost-"));
  await write("secret", `${SECRET}\n`);
  process.env[VARIABLE] = SECRET;
  process.env.CREDENTIALS_DIRECTORY = folder;
});
after(async () => {
  delete process.env[VARIABLE];
  delete process.env.CREDENTIALS_DIRECTORY;
  await rm(folder, { recursive: true });
});

function parse(keys: string): Promise<Settings> {
  // A name of its own: that of the machine may be worth a warning.
  return parseSettings(`${HOST}${keys}\n[runtime]\nhostname = "gw.example.org"\n`, { file: at("remotes.toml") });
}

async function problemsOf(keys: string): Promise<readonly ConfigProblem[]> {
  try {
    await parse(keys);
  } catch (error) {
    assert.ok(error instanceof ConfigError, String(error));
    return error.problems;
  }
  return [];
}

describe("a secret", () => {
  for (const [where, key] of [
    ["in the file", `auth.secret = "${SECRET}"`],
    ["in another file", 'auth.secret-file = "secret"'],
    ["in the environment", `auth.secret-env = "${VARIABLE}"`],
    ["in a systemd credential", 'auth.secret-credential = "secret"'],
  ] as const) {
    test(`may stand ${where}`, async () => {
      const settings = await parse(`auth.username = "u"\n${key}`);
      assert.deepEqual(settings.hosts.get("x")?.auth, { username: "u", secret: SECRET });
      assert.deepEqual(settings.warnings, []);
    });
  }

  test("ends before the newline of its file, whatever the newline is", async () => {
    for (const [content, secret] of [
      ["s", "s"],
      ["s\r\n", "s"],
      [" s \n", " s "],
    ]) {
      const file = await write("newline", content!);
      const { hosts } = await parse(`auth = {username = "u", secret-file = "${file}"}`);
      assert.equal(hosts.get("x")?.auth?.secret, secret);
    }
  });

  test("is refused where it is not there or cannot be right, with the line and without any of it", async () => {
    await write("empty", "\n");
    await write("lines", `${SECRET}\nmore\n`);
    await write("nul", `${SECRET}\0`);
    await write("latin1", Buffer.from("b\xe4ttery", "latin1"));
    await write("large", "x".repeat(70_000));
    const cases: [keys: string, key: string, message: RegExp][] = [
      ['auth.secret-file = "none"', "secret-file", /names a file that does not exist/],
      [`auth.secret-file = "${folder}"`, "secret-file", /is a directory/],
      ['auth.secret-file = "empty"', "secret-file", /names a file that is empty/],
      ['auth.secret-file = "lines"', "secret-file", /more than one line/],
      ['auth.secret-file = "nul"', "secret-file", /NUL/],
      ['auth.secret-file = "latin1"', "secret-file", /not UTF-8/],
      ['auth.secret-file = "large"', "secret-file", /larger than 64 KiB/],
      ['auth.secret-env = "RELAYPOST_TEST_NOTHING"', "secret-env", /environment variable that is not set/],
      ['auth.secret-env = "A-B"', "secret-env", /the name of an environment variable/],
      ['auth.secret-credential = "none"', "secret-credential", /does not exist/],
      ['auth.secret-credential = "../secret"', "secret-credential", /without a path/],
      [
        `auth.secret = "s"\nauth.secret-env = "${VARIABLE}"`,
        "secret-env",
        /stands beside auth\.secret; a secret stands in one place/,
      ],
    ];
    for (const [keys, key, message] of cases) {
      const problems = await problemsOf(`auth.username = "u"\n${keys}`);
      assert.equal(problems.length, 1, keys);
      assert.equal(problems[0]?.key, `remote.x.auth.${key}`);
      assert.equal(problems[0]?.line, 5 + keys.split("\n").length);
      assert.match(problems[0]?.message ?? "", message);
      assert.ok(!JSON.stringify(problems).includes("correct horse"), keys);
    }
  });

  test("needs its user beside it, and a user needs a secret, wherever that stands", async () => {
    assert.match((await problemsOf('auth.secret-file = "secret"'))[0]?.message ?? "", /needs auth\.username/);
    assert.match(
      (await problemsOf('auth.username = "u"'))[0]?.message ?? "",
      /needs auth\.secret beside it, or auth\.secret-file/,
    );
  });

  test("is no business of an IMAP host, wherever it stands", async () => {
    const toml = `${HOST.replace("smtp", "imap")}auth.secret-file = "secret"\n`;
    await assert.rejects(
      parseSettings(toml, { file: at("remotes.toml") }),
      (error) => error instanceof ConfigError && /for SMTP and LMTP hosts only/.test(error.problems[0]?.message ?? ""),
    );
  });

  test("needs a directory of credentials, which systemd names", async () => {
    delete process.env.CREDENTIALS_DIRECTORY;
    try {
      const [problem] = await problemsOf('auth = {username = "u", secret-credential = "secret"}');
      assert.match(problem?.message ?? "", /needs \$CREDENTIALS_DIRECTORY, which systemd sets/);
    } finally {
      process.env.CREDENTIALS_DIRECTORY = folder;
    }
  });

  test("in a file that everybody may read is warned of, and so is one that looks like a reference", async () => {
    const file = await write("open", SECRET, 0o644);
    const { warnings } = await parse(`auth = {username = "%{env:USER}%", secret-file = "${file}"}`);
    assert.deepEqual(
      warnings.map(({ key }) => key),
      ["remote.x.auth.username", "remote.x.auth.secret-file"],
    );
    assert.match(warnings[1]?.message ?? "", /every user of this machine may read/);
    for (const value of ["%{env:NAME}%", "%{file:/etc/x}%", "file:///etc/x"]) {
      const { warnings, hosts } = await parse(`auth = {username = "u", secret = "${value}"}`);
      assert.match(warnings[0]?.message ?? "", /taken as it stands; auth\.secret-env = "NAME"/);
      assert.equal(hosts.get("x")?.auth?.secret, value);
    }
    assert.deepEqual((await parse('auth = {username = "u", secret = "100%{env}"}')).warnings, []);
  });

  test("is read again by a reload, and the log says once what everybody may read", async () => {
    const file = await write("rotated", "first\n", 0o604);
    await write("hosts.toml", `${HOST}auth = {username = "u", secret-file = "rotated"}\n`);
    const events: string[] = [];
    const logger = recordLogger(({ event, msg }) => events.push(`${event}: ${msg}`));
    await using hosts = await RemoteHosts.open(at("hosts.toml"), { logger });
    assert.deepEqual((await hosts.reload(at("hosts.toml"))).unchanged, ["x"]);
    await writeFile(file, "second\n");
    assert.deepEqual((await hosts.reload(at("hosts.toml"))).changed, ["x"]);
    assert.equal((await loadSettings(at("hosts.toml"))).hosts.get("x")?.auth?.secret, "second");
    const told = events.filter((event) => event.includes("auth.secret-file"));
    assert.equal(told.length, 1);
    assert.match(told[0] ?? "", /^config-warning: remote\.x\.auth\.secret-file names a file that every user/);
  });
});

describe("the passphrase of a private key", () => {
  let encrypted: string | Buffer = "";

  before(async () => {
    const pair = await generate([{ name: "commonName", value: "localhost" }], { keySize: 2048 });
    const key = createPrivateKey(pair.private);
    const hidden = { format: "pem", cipher: "aes-256-cbc", passphrase: "open sesame" } as const;
    encrypted = key.export({ type: "pkcs8", ...hidden });
    await write("cert.pem", pair.cert);
    await write("key.pem", encrypted);
    await write("legacy.pem", key.export({ type: "pkcs1", ...hidden }));
    await write("passphrase", "open sesame\n");
    process.env.RELAYPOST_TEST_PASSPHRASE = "open sesame";
  });
  after(() => {
    delete process.env.RELAYPOST_TEST_PASSPHRASE;
  });

  const tls = (key: string, ...rest: string[]) => [`tls.key = "${key}"`, 'tls.cert = "cert.pem"', ...rest].join("\n");

  for (const key of [
    'tls.key-passphrase = "open sesame"',
    'tls.key-passphrase-file = "passphrase"',
    'tls.key-passphrase-env = "RELAYPOST_TEST_PASSPHRASE"',
    'tls.key-passphrase-credential = "passphrase"',
  ]) {
    test(`decrypts it: ${key.slice(0, key.indexOf(" "))}`, async () => {
      for (const file of ["key.pem", "legacy.pem"]) {
        const { hosts } = await parse(tls(file, key));
        assert.match(hosts.get("x")?.tls.key ?? "", /^-----BEGIN PRIVATE KEY-----/);
      }
    });
  }

  test("is missing, wrong, or without a key", async () => {
    assert.match(
      (await problemsOf(tls("key.pem")))[0]?.message ?? "",
      /encrypted private key; tls\.key-passphrase-file/,
    );
    const wrong = await problemsOf(tls("key.pem", 'tls.key-passphrase = "open barley"'));
    assert.deepEqual(
      wrong.map(({ key, message }) => [key, message]),
      [["remote.x.tls.key", "names a file that tls.key-passphrase does not decrypt"]],
    );
    const alone = await problemsOf('tls.key-passphrase-file = "passphrase"');
    assert.deepEqual(
      alone.map(({ key, message }) => [key, message]),
      [["remote.x.tls.key-passphrase-file", "needs tls.key beside it"]],
    );
  });

  test("opens a listener's key too, and a key that everybody may read is warned of", async () => {
    await write("open-key.pem", encrypted, 0o644);
    const listener = `[serve.in]\nprotocol = "smtp"\nlisten = "127.0.0.1:0"\nhost = "x"\n${tls("open-key.pem", 'tls.key-passphrase-file = "passphrase"')}\n`;
    await write("serve.toml", `${HOST}${listener}`);
    const { serve } = await loadFile(at("serve.toml"));
    const settings = serve.listeners.get("in");
    assert.ok(settings?.protocol === "smtp");
    assert.match(settings.tls?.key ?? "", /^-----BEGIN PRIVATE KEY-----/);
    assert.deepEqual(
      serve.warnings.map(({ key }) => key),
      ["serve.in.tls.key"],
    );
  });
});
