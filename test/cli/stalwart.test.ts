/** check --stalwart: the examples of the feature's reference, translated into what check itself takes. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { jsonLines, relaypost } from "./command-line.js";

const STALWART = `
[server.listener."smtp"]
bind = ["0.0.0.0:25"]

[remote."lmtp"]
address = "localhost"
port = 24
protocol = "lmtp"
timeout = "1m"
lookup = true
colour = "blue"

[remote."lmtp".cache]
entries = 1000
ttl = {positive = "1d", negative = "1h"}

[remote."lmtp".tls]
implicit = false
allow-invalid-certs = true

[remote."lmtp".auth]
username = "relay_server"
secret = "swordfish"

[remote."imap"]
address = "mail.example.org"
port = 143
protocol = "imap"
lookup = true
`;

describe("relaypost check --stalwart", { timeout: 30_000 }, () => {
  const folder = mkdtempSync(join(tmpdir(), "relaypost-stalwart-"));
  after(() => rmSync(folder, { recursive: true }));
  const write = (name: string, text: string): string => {
    const file = join(folder, name);
    writeFileSync(file, text);
    return file;
  };

  it("prints a file that check takes, without the secret, and says what is different", async () => {
    const file = write("stalwart.toml", STALWART);
    const { code, stdout } = await relaypost(["check", "--stalwart", file]);
    assert.equal(code, 0);
    assert.ok(!stdout.includes("swordfish"));
    assert.match(stdout, /^auth\.secret = "" # copy it from .*stalwart\.toml, line 23$/m);
    for (const difference of [
      /^# remote\.lmtp\.colour is not known here/m,
      /^# remote\.lmtp: STARTTLS is required/m,
      /^# remote\.lmtp: a right password is remembered for 5m, not 1d/m,
      /^# remote\.imap: in-list = "remote\/imap" cannot be asked/m,
      /^# not read, .*: server$/m,
    ]) {
      assert.match(stdout, difference);
    }
    const translated = write("relaypost.toml", stdout.replace(/^auth\.secret = ""/m, 'auth.secret = "x"'));
    const checked = await relaypost(["check", "--json", translated]);
    assert.equal(checked.code, 0, checked.stdout);
    const [report] = jsonLines<{ hosts: { id: string; cacheEntries: number; tls: string }[] }>(checked);
    const { hosts } = report!;
    assert.deepEqual(
      hosts.map(({ id }) => id),
      ["lmtp", "imap"],
    );
    assert.equal(hosts[0]!.cacheEntries, 1000);
    assert.equal(hosts[0]!.tls, "starttls require");
  });

  it("says where a secret stands that Stalwart finds in a variable or a file, and reads neither", async () => {
    const host = (id: string, secret: string) =>
      `[remote."${id}"]\naddress = "localhost"\nport = 24\nprotocol = "lmtp"\nauth = {username = "%{env:WHO}%", secret = "${secret}"}\n`;
    const file = write(
      "macros.toml",
      host("env", "%{env:NAME}%") +
        host("file", "%{file:/etc/x}%") +
        host("url", "file:///etc/y") +
        host("mixed", "a%{env:B}%"),
    );
    const { code, stdout } = await relaypost(["check", "--stalwart", file]);
    assert.equal(code, 0);
    for (const line of [
      /^auth\.secret-env = "NAME"$/m,
      /^auth\.secret-file = "\/etc\/x"$/m,
      /^auth\.secret-file = "\/etc\/y"$/m,
      /^auth\.secret = "" # copy it from .*macros\.toml, line 20$/m,
      /^# remote\.env\.auth\.secret-env: NAME has to be set for relaypost, too$/m,
      /^# remote\.mixed\.auth\.secret refers to a variable or a file, which is not replaced here/m,
      /^# remote\.env\.auth\.username refers to a variable/m,
    ]) {
      assert.match(stdout, line);
    }
    const [{ remote }] = jsonLines<{ remote: Record<string, { auth: object }> }>(
      await relaypost(["check", "--stalwart", "--json", file]),
    ) as [{ remote: Record<string, { auth: object }> }];
    assert.deepEqual(remote.env?.auth, { username: "%{env:WHO}%", "secret-env": "NAME" });
    assert.deepEqual(remote.mixed?.auth, { username: "%{env:WHO}%" });
  });

  it("finds the lines behind ids with dots", async () => {
    const file = write("dots.toml", '[remote."my.relay"]\naddress = "localhost"\nport = 0\nprotocol = "smtp"\n');
    const ran = await relaypost(["check", "--stalwart", "--json", file]);
    assert.equal(ran.code, 2);
    const [{ problems }] = jsonLines(ran) as [{ problems: { key: string; line: number }[] }];
    assert.deepEqual(
      problems.map(({ key, line }) => [key, line]),
      [
        ['remote."my.relay"', 1],
        ['remote."my.relay".port', 3],
      ],
    );
  });

  it("names the lines of what relaypost would not take", async () => {
    const file = write("wrong.toml", '[remote.pop]\naddress = "localhost"\nport = 110\nprotocol = "pop3"\n');
    const { code, stdout } = await relaypost(["check", "--stalwart", "--json", file]);
    assert.equal(code, 2);
    const [{ problems }] = jsonLines({ code, stdout, stderr: "" }) as [{ problems: { key: string; line: number }[] }];
    assert.deepEqual(
      problems.map(({ key, line }) => [key, line]),
      [["remote.pop.protocol", 4]],
    );
  });
});
