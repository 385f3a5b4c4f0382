/** check, probe and lookup, as a script sees them: output and exit codes. */
import assert from "node:assert/strict";
import { chmod, readFile } from "node:fs/promises";
import { after, before, test } from "node:test";
import { jsonLines, relaypost, Site } from "./command-line.js";

let site: Site;
before(async () => {
  site = await Site.open();
});
after(() => site[Symbol.asyncDispose]());

test("every command explains itself, with examples", async () => {
  for (const command of ["check", "probe", "doctor", "lookup", "relay", "serve", "top", "ctl", "demo"]) {
    const { code, stdout } = await relaypost([command, "--help"]);
    assert.equal(code, 0, command);
    assert.match(stdout, /Examples:\n {2}relaypost /, command);
    assert.match(stdout, /Exit codes: 0 yes or done, 1 no/, command);
  }
  assert.match((await relaypost(["--version"])).stdout, /^\d+\.\d+\.\d+/);
});

test("misuse ends with 2 and says what is right", async () => {
  assert.equal((await relaypost([])).code, 2);
  const nonsense = await relaypost(["nonsense"]);
  assert.equal(nonsense.code, 2);
  assert.match(nonsense.stderr, /COMMAND --help/);
  assert.match((await relaypost(["relay", site.config, "smtp"])).stderr, /--from <address>/);
  const { code, stderr } = await relaypost(["lookup", site.config, "smtp", "whois", "x"]);
  assert.equal(code, 2);
  assert.match(stderr, /Allowed choices are rcpt, vrfy, expn, auth/);
});

test("the list of commands has a line for each", async () => {
  const { stdout } = await relaypost(["--help"]);
  const list = stdout.slice(stdout.indexOf("Commands:"), stdout.indexOf("Examples:")).split("\n");
  for (const line of list) {
    assert.ok(line.length <= 80, line);
  }
});

test("check prints every mistake with file, line and key, and ends with 2", async () => {
  const file = await site.write(
    "bad.toml",
    '[remote.a]\nadress = "x"\nport = 70000\nprotocol = "pop3"\nsecret = "swordfish"\n',
  );
  const { code, stdout } = await relaypost(["check", file]);
  assert.equal(code, 2);
  for (const place of [":2: remote.a.adress", ":3: remote.a.port", ":4: remote.a.protocol"]) {
    assert.ok(stdout.includes(file + place), place);
  }
  assert.ok(!stdout.includes("swordfish"));
  const report = jsonLines<{ ok: boolean; problems: { line: number; key: string }[] }>(
    await relaypost(["check", "--json", file]),
  )[0];
  assert.equal(report?.ok, false);
  assert.ok(report?.problems.some(({ line, key }) => line === 3 && key === "remote.a.port"));
});

test("check remarks on implicit TLS where servers speak STARTTLS, and on a file that does nothing", async () => {
  const host = (id: string, protocol: string, port: number) =>
    `[remote.${id}]\naddress = "localhost"\nport = ${port}\nprotocol = "${protocol}"\n`;
  const hosts = [host("a", "smtp", 25), host("b", "lmtp", 24), host("c", "imap", 143), host("d", "smtp", 587)];
  const wrong = await relaypost(["check", await site.write("ports.toml", hosts.join(""))]);
  assert.equal(wrong.code, 0);
  assert.equal(wrong.stdout.match(/servers speak STARTTLS there \(tls\.implicit = false\)/g)?.length, 4);
  const right = [
    '[runtime]\nhostname = "gateway.example.net"\n',
    host("a", "smtp", 465),
    host("b", "imap", 993),
    `${hosts[0]}tls = { implicit = false }\n`.replace("a]", "c]"),
  ];
  assert.doesNotMatch((await relaypost(["check", await site.write("right.toml", right.join(""))])).stdout, /warning/);
  const empty = await relaypost(["check", await site.write("empty.toml", "# nothing yet\n")]);
  assert.match(empty.stdout, /^warning: there is no \[remote\.<id>\] and no \[serve\.<name>\]/m);
});

test("serve with nothing to serve is misuse", async () => {
  const { code, stderr } = await relaypost(["serve", site.config]);
  assert.equal(code, 2);
  assert.match(stderr, /has no \[serve\.<name>\]/);
});

test("check finds the mistakes of rules too", async () => {
  const rule = '[rule.known]\nif = "rcpt"\nin-list = "remote/nowhere"\n';
  const host = '[remote.a]\naddress = "x"\nport = 25\nprotocol = "smtp"\nlookup = true\n';
  const { code, stdout } = await relaypost(["check", await site.write("rules.toml", host + rule)]);
  assert.equal(code, 2);
  assert.match(stdout, /rules\.toml:8: rule\.known/);
});

test("check, probe and lookup warn once of a secret that everybody may read", async () => {
  await site.write("secret", "s\n");
  await chmod(site.path("secret"), 0o644);
  const auth = 'auth = { username = "u", secret-file = "secret" }';
  const toml = (await readFile(site.config, "utf8")).replace(/^auth = .*allow-plaintext.*$/m, auth);
  const file = await site.write("secrets.toml", toml);
  const key = "remote\\.smtp\\.auth\\.secret-file names a file that every user of this machine may read";
  const warning = new RegExp(`^warning: ${key}`, "gm");
  assert.equal((await relaypost(["check", file])).stdout.match(warning)?.length, 1);
  assert.equal((await relaypost(["probe", file, "smtp"])).stderr.match(warning)?.length, 1);
  const lookup = await relaypost(["lookup", file, "smtp", "rcpt", "anna@example.org"]);
  assert.equal(lookup.stderr.match(warning)?.length, 1);
  assert.equal((await relaypost(["probe", file, "lmtp"])).stderr, "", "it is no business of another host");
});

test("check summarises a good configuration", async () => {
  const { code, stdout } = await relaypost(["check", site.config]);
  assert.equal(code, 0);
  assert.match(stdout, /lmtp +lmtp +127\.0\.0\.1:/);
  assert.match(stdout, /4 hosts, no mistakes/);
  const report = jsonLines<{ hosts: { id: string }[] }>(await relaypost(["check", "--json", site.config]))[0];
  assert.deepEqual(
    report?.hosts.map(({ id }) => id),
    ["smtp", "lmtp", "imap", "down"],
  );
});

test("lookup answers with its exit code", async () => {
  const lookup = (...args: string[]) => relaypost(["lookup", site.config, ...args]);
  assert.equal((await lookup("lmtp", "rcpt", "anna@example.org")).code, 0);
  const unknown = await lookup("lmtp", "rcpt", "<eve@example.org>");
  assert.equal(unknown.code, 1);
  assert.match(unknown.stdout, /^not found\n {2}lmtp said: 550/);
  const members = await lookup("smtp", "expn", "staff");
  assert.equal(members.code, 0);
  assert.match(members.stdout, /anna@example\.org\n.*bo@example\.org/);
  // Its VRFY answers 252: no definite answer, and never a "no".
  assert.equal((await lookup("smtp", "vrfy", "anna")).code, 75);
  assert.equal((await lookup("down", "rcpt", "anna@example.org")).code, 75);
  assert.equal((await lookup("nowhere", "rcpt", "anna@example.org")).code, 2);
  assert.equal((await lookup("imap", "rcpt", "anna@example.org")).code, 2);
  const [answer] = jsonLines(await lookup("lmtp", "rcpt", "anna@example.org", "--json"));
  assert.equal(answer?.found, true);
  assert.equal(answer?.source, "remote");
  const [failed] = jsonLines<{ error: { code: string } }>(await lookup("down", "rcpt", "anna@example.org", "--json"));
  assert.equal(failed?.error.code, "CONNECT_FAILED");
});

test("lookup auth takes the secret from standard input and shows it nowhere", async () => {
  const auth = (id: string, input: string) => relaypost(["lookup", site.config, id, "auth", "anna@example.org"], input);
  for (const id of ["imap", "smtp"]) {
    assert.equal((await auth(id, "blue heron\n")).code, 0, id);
    assert.equal((await auth(id, "blue heron")).code, 0, id);
    const wrong = await auth(id, "grey heron\r\nblue heron\n");
    assert.equal(wrong.code, 1, id);
    assert.ok(!`${wrong.stdout}${wrong.stderr}`.includes("grey"), id);
  }
  assert.match((await auth("imap", "blue heron\n")).stdout, /^ {2}imap said: OK /m);
  assert.match((await auth("imap", "grey heron\n")).stdout, /^ {2}imap said: NO \[AUTHENTICATIONFAILED\] /m);
  const none = await auth("imap", "");
  assert.equal(none.code, 2);
  assert.match(none.stderr, /no secret on standard input/);
});

test("probe shows what a host offers, without credentials or mail", async () => {
  const { code, stdout } = await relaypost(["probe", site.config, "smtp"]);
  assert.equal(code, 0);
  assert.match(stdout, /^greeting +220 /m);
  assert.match(stdout, /^extensions +.*PIPELINING/m);
  assert.match(stdout, /^mechanisms +PLAIN, LOGIN$/m);
  assert.match(stdout, /^timings +dns .* tcp .* greeting .* hello /m);
  const [imap] = jsonLines(await relaypost(["probe", site.config, "imap", "--json"]));
  assert.deepEqual(imap?.mechanisms, ["PLAIN"]);
  assert.equal((await relaypost(["probe", site.config, "down"])).code, 75);
  assert.equal((await relaypost(["probe", site.config, "nowhere"])).code, 2);
});

test("probe says nothing of TLS where there is no connection", async () => {
  const { code, stdout } = await relaypost(["probe", site.config, "down"]);
  assert.equal(code, 75);
  assert.match(stdout, /^failed +CONNECT_FAILED/m);
  assert.doesNotMatch(stdout, /^tls /m);
});
