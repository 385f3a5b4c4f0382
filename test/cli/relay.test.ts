/** relay: every kind of source arrives byte for byte, every verdict is printed, and the exit code sums it up. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdir } from "node:fs/promises";
import { after, before, beforeEach, test } from "node:test";
import { finish, jsonLines, relaypost, Site, start } from "./command-line.js";

let site: Site;
before(async () => {
  site = await Site.open();
});
after(() => site[Symbol.asyncDispose]());
beforeEach(() => {
  site.smtp.ledger.transactions.length = 0;
  site.lmtp.ledger.transactions.length = 0;
});

const FROM = ["--from", "me@example.net"];
const TO = ["--to", "anna@example.org"];

const SEPARATOR = "From a@example.org Thu Jan  1 00:00:00 1970\n";

function received(): string[] {
  return site.smtp.ledger.deliveries.map(({ content }) => content.toString("latin1")).sort();
}

test("files, a folder, a Maildir and an mbox arrive byte for byte", async () => {
  for (const folder of ["letters", "maildir/new", "maildir/cur"]) {
    await mkdir(site.path(folder), { recursive: true });
  }
  const paths = [
    await site.write("one.eml", "Subject: 1\n\n.dot\n"),
    await site.write("letters/two.eml", "Subject: 2\r\n\r\nno newline").then(() => site.path("letters")),
    await site.write("maildir/new/1.host", "Subject: 3\n\n").then(() => site.path("maildir")),
    await site.write(
      "archive",
      `${SEPARATOR}Subject: 4\n\n>From here\n\n${SEPARATOR}Subject: 5\n\n${"x".repeat(400_000)}\n`,
    ),
  ];
  const ran = await relaypost(["relay", site.config, "smtp", ...FROM, ...TO, ...paths]);
  assert.deepEqual({ code: ran.code, stderr: ran.stderr }, { code: 0, stderr: "" });
  assert.match(ran.stdout, /^5 messages in .* recipients: 5 delivered, 0 refused, 0 deferred, 0 uncertain/);
  assert.deepEqual(received(), [
    "Subject: 1\r\n\r\n.dot\r\n",
    "Subject: 2\r\n\r\nno newline\r\n",
    "Subject: 3\r\n\r\n",
    "Subject: 4\r\n\r\nFrom here\r\n",
    `Subject: 5\r\n\r\n${"x".repeat(400_000)}\r\n`,
  ]);
  assert.deepEqual(site.smtp.ledger.violations, []);
});

test("standard input is relayed, with the null reverse-path where it is wanted", async () => {
  const { code } = await relaypost(
    ["relay", site.config, "smtp", "--from", "<>", ...TO, "-"],
    "Subject: in\n\nhello\n",
  );
  assert.equal(code, 0);
  assert.deepEqual(received(), ["Subject: in\r\n\r\nhello\r\n"]);
  assert.equal(site.smtp.ledger.transactions[0]?.from, "");
});

test("refused recipients are printed with their reply, and end with 1", async () => {
  const ran = await relaypost(
    ["relay", site.config, "lmtp", ...FROM, ...TO, "--to", "eve@example.org"],
    "Subject: x\n\n",
  );
  assert.equal(ran.code, 1);
  assert.match(ran.stdout, /^refused +eve@example\.org +- +550 /m);
  assert.match(ran.stdout, /1 delivered, 1 refused/);
});

test("deferred recipients end with 75, and JSON holds every recipient", async () => {
  using _ = { [Symbol.dispose]: site.lmtp.order({ on: "delivery", match: /^bo@/, reply: "452 4.2.2 mailbox full" }) };
  const args = [
    "relay",
    site.config,
    "lmtp",
    "--json",
    ...FROM,
    ...TO,
    "--to",
    "bo@example.org",
    "--to",
    "eve@example.org",
  ];
  const ran = await relaypost(args, "Subject: x\n\n");
  assert.equal(ran.code, 75);
  const [message, summary] = jsonLines(ran) as [
    { recipients: { address: string; status: string; reply: { code: number; enhanced: string } }[] },
    { summary: { recipients: Record<string, number> } },
  ];
  assert.deepEqual(
    message.recipients.map(({ address, status, reply }) => [address, status, reply.code]),
    [
      ["anna@example.org", "delivered", 250],
      ["bo@example.org", "deferred", 452],
      ["eve@example.org", "refused", 550],
    ],
  );
  assert.deepEqual(summary.summary.recipients, { delivered: 1, refused: 1, deferred: 1, uncertain: 0 });
});

test("a host that is down ends with 75 and says that nobody received the message", async () => {
  const ran = await relaypost(["relay", site.config, "down", ...FROM, ...TO], "Subject: x\n\n");
  assert.equal(ran.code, 75);
  assert.match(ran.stdout, /^failed +- +CONNECT_FAILED/m);
});

test("a connection lost behind the final dot makes the recipient uncertain", async () => {
  using _ = { [Symbol.dispose]: site.smtp.order({ on: "terminator", afterwards: "cut", times: 1 }) };
  const ran = await relaypost(["relay", site.config, "smtp", ...FROM, ...TO], "Subject: x\n\n");
  assert.equal(ran.code, 75);
  assert.match(ran.stdout, /^uncertain +anna@example\.org/m);
});

test("what is wrong with the call is said before anything is sent", async () => {
  const relay = (...args: string[]) => relaypost(["relay", site.config, ...args], "Subject: x\n\n");
  assert.equal((await relay("smtp", ...FROM, ...TO, "missing.eml")).code, 2);
  assert.equal((await relay("imap", ...FROM, ...TO)).code, 2);
  assert.equal((await relay("nowhere", ...FROM, ...TO)).code, 2);
  assert.equal((await relay("smtp", ...FROM, "--to", "no address")).code, 2);
  assert.equal(site.smtp.ledger.transactions.length, 0);
});

test("a reader that leaves early does not stop the work", async () => {
  const mbox = Array.from({ length: 300 }, (_, index) => `${SEPARATOR}Subject: ${index}\n\n`).join("\n");
  const child = start("relay", site.config, "smtp", "--json", ...FROM, ...TO, await site.write("many", mbox));
  child.stdout?.once("data", () => child.stdout?.destroy());
  const [code] = await once(child, "close");
  assert.equal(code, 0);
  assert.equal(received().length, 300);
});

test("an interrupt gives up cleanly and reports what is uncertain", async () => {
  using _ = { [Symbol.dispose]: site.smtp.order({ on: "terminator", reply: [] }) };
  const child = start("relay", site.config, "smtp", "--json", ...FROM, ...TO, site.path("one.eml"));
  const ended = finish(child);
  await site.smtp.ledger.until(({ transactions }) => transactions.some(({ isTerminated }) => isTerminated));
  child.kill("SIGINT");
  const ran = await ended;
  assert.equal(ran.code, 130);
  const [message] = jsonLines(ran) as [{ recipients: { status: string }[] }];
  assert.deepEqual(
    message.recipients.map(({ status }) => status),
    ["uncertain"],
  );
});

test("a host that cannot be reached is warned of once for one cause", async () => {
  const letters = await Promise.all(["1.eml", "2.eml", "3.eml"].map((name) => site.write(name, "Subject: x\r\n\r\n")));
  const { code, stdout, stderr } = await relaypost(["relay", site.config, "down", ...FROM, ...TO, ...letters]);
  assert.equal(code, 75);
  assert.equal(stdout.match(/^failed /gm)?.length, 3);
  assert.equal(stderr.match(/^warning: /gm)?.length, 1);
});

test("what is skipped is said and counted, and a byte-order mark is removed with a word", async () => {
  await mkdir(site.path("mixed"), { recursive: true });
  await site.write("mixed/empty.eml", "\n");
  await site.write("mixed/marked.eml", "\ufeffSubject: x\n\n");
  await site.write("mixed/notes.txt", "no message");
  const ran = await relaypost(["relay", site.config, "smtp", ...FROM, ...TO, site.path("mixed")]);
  assert.equal(ran.code, 0);
  assert.match(ran.stdout, /^skipped {4}.*mixed {2}1 name in it is no \.eml file: notes\.txt$/m);
  assert.match(ran.stdout, /^skipped {4}.*empty\.eml {2}it is empty/m);
  assert.match(ran.stdout, /^note {7}.*marked\.eml {2}a UTF-8 byte-order mark/m);
  assert.match(ran.stdout, /^1 message in .*; skipped: 2$/m);
  assert.deepEqual(received(), ["Subject: x\r\n\r\n"]);
  const json = jsonLines(await relaypost(["relay", site.config, "smtp", "--json", ...FROM, ...TO, site.path("mixed")]));
  assert.deepEqual(
    json.map(({ skipped, notes, summary }) => [
      typeof skipped,
      Array.isArray(notes),
      (summary as { skipped: number })?.skipped,
    ]),
    [
      ["string", false, undefined],
      ["string", false, undefined],
      ["undefined", true, undefined],
      ["undefined", false, 2],
    ],
  );
});

test("an empty file, and a file that is no mbox, end with 2 before anything is sent", async () => {
  const right = await site.write("right.eml", "Subject: x\n\n");
  for (const [name, text] of [
    ["empty.eml", "\n\n"],
    ["prose.txt", "From the desk of Bo\n"],
  ] as const) {
    const ran = await relaypost(["relay", site.config, "smtp", ...FROM, ...TO, right, await site.write(name, text)]);
    assert.equal(ran.code, 2, ran.stdout);
    assert.match(ran.stderr, new RegExp(name));
  }
  assert.deepEqual(received(), []);
  await mkdir(site.path("hollow"), { recursive: true });
  await site.write("hollow/empty.eml", "");
  assert.equal((await relaypost(["relay", site.config, "smtp", ...FROM, ...TO, site.path("hollow")])).code, 2);
});
