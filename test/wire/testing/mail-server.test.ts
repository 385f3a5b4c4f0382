/** The judge is judged: the ledger server of relaypost/testing against a client that says exactly what it is told. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { listenMail, makeCertificate } from "../../../src/testing/index.js";
import { RawClient } from "../../kit/raw-client.js";

const codes = (replies: string[]) => replies.map((reply) => reply.slice(0, 3)).join(" ");

test("a pipelined transaction is entered whole, dots un-stuffed", async () => {
  await using server = await listenMail();
  await using client = await RawClient.connect(server.port);
  assert.match((await client.replies(1))[0]!, /^220 .*ESMTP$/);
  assert.match(await client.ask("EHLO me.example"), /PIPELINING/);
  client.write("MAIL FROM:<a@x.example> BODY=8BITMIME\r\nRCPT TO:<b@y.example>\r\nRCPT TO:<c@y.example>\r\nDATA\r\n");
  assert.equal(codes(await client.replies(4)), "250 250 250 354");
  client.write("Subject: x\r\n\r\n..one\r\n...\r\n.\r\nQUIT\r\n");
  assert.equal(codes(await client.replies(2)), "250 221");
  assert.equal(await client.rest(), "");
  const [transaction] = server.ledger.transactions;
  assert.equal(transaction!.content.toString(), "Subject: x\r\n\r\n.one\r\n..\r\n");
  assert.equal(transaction!.isTerminated, true);
  assert.deepEqual(transaction!.finalReplies, ["250 2.0.0 stored"]);
  assert.equal(server.ledger.deliveries.length, 2);
  assert.deepEqual(server.ledger.violations, []);
  assert.equal(server.ledger.connections[0]!.saidGoodbye, true);
});

test("every split of the mail data gives the same content", async () => {
  const stuffed = "..a\r\n.\rb\r\nc\r\r\n...\r\n\r\n.\r\n";
  const wanted = ".a\r\n\rb\r\nc\r\r\n..\r\n\r\n";
  await using server = await listenMail();
  await using client = await RawClient.connect(server.port);
  await client.replies(1);
  await client.ask("EHLO me.example");
  for (let cut = 1; cut < stuffed.length; cut++) {
    client.write("MAIL FROM:<>\r\nRCPT TO:<b@y.example>\r\nDATA\r\n");
    await client.replies(3);
    client.write(stuffed.slice(0, cut));
    const part = cut;
    await server.ledger.until(({ transactions }) => {
      const last = transactions.at(-1)!;
      return last.sizeOctets > 0 || part < 3 || last.isTerminated;
    });
    client.write(stuffed.slice(cut));
    await client.replies(1);
    assert.equal(server.ledger.transactions.at(-1)!.content.toString(), wanted, `cut at ${cut}`);
  }
});

test("only CRLF dot CRLF ends the data; bare newlines are violations and can be refused", async () => {
  for (const refuseBareNewlines of [false, true]) {
    await using server = await listenMail({ refuseBareNewlines });
    await using client = await RawClient.connect(server.port);
    await client.replies(1);
    await client.ask("EHLO me.example");
    client.write("MAIL FROM:<>\r\nRCPT TO:<b@y.example>\r\nDATA\r\n");
    await client.replies(3);
    client.write("a\n.\nb\r\n.\nc\n.\r\nd\r\n.\r\n");
    assert.equal(codes(await client.replies(1)), refuseBareNewlines ? "550" : "250");
    assert.equal(server.ledger.transactions[0]!.content.toString(), "a\n.\nb\r\n\nc\n.\r\nd\r\n");
    assert.deepEqual(server.ledger.violations, ["connection 1: bare LF in content"]);
  }
});

test("LMTP answers once for each accepted RCPT, duplicates included, in their order", async () => {
  await using server = await listenMail({
    protocol: "lmtp",
    recipients: ["a@x.example", "b@x.example"],
    overrides: [{ on: "delivery", match: /^b@/, reply: "452 4.2.2 full" }],
  });
  await using client = await RawClient.connect(server.port);
  await client.replies(1);
  assert.match(await client.ask("EHLO me.example"), /^500/);
  await client.ask("LHLO me.example");
  client.write("MAIL FROM:<>\r\n");
  for (const name of ["a", "nobody", "b", "a"]) {
    client.write(`RCPT TO:<${name}@x.example>\r\n`);
  }
  client.write("DATA\r\n");
  assert.equal(codes(await client.replies(6)), "250 250 550 250 250 354");
  client.write("x\r\n.\r\n");
  assert.equal(codes(await client.replies(3)), "250 452 250");
  assert.deepEqual(
    server.ledger.transactions[0]!.recipients.map(({ address, finalReply }) => `${address} ${finalReply?.slice(0, 3)}`),
    ["a@x.example 250", "nobody@x.example undefined", "b@x.example 452", "a@x.example 250"],
  );
  assert.equal(server.ledger.deliveryCount, 2);
});

test("an LMTP server ends in the middle of its replies when a delivery's order says so", async () => {
  await using server = await listenMail({
    protocol: "lmtp",
    overrides: [{ on: "delivery", match: /^b@/, afterwards: "close" }],
  });
  await using client = await RawClient.connect(server.port);
  await client.replies(1);
  await client.ask("LHLO me.example");
  client.write("MAIL FROM:<>\r\n");
  for (const name of ["a", "b", "c"]) {
    client.write(`RCPT TO:<${name}@x.example>\r\n`);
  }
  client.write("DATA\r\n");
  await client.replies(5);
  client.write("x\r\n.\r\n");
  assert.equal(codes((await client.rest()).split("\r\n").slice(0, -1)), "250");
  const [transaction] = server.ledger.transactions;
  assert.deepEqual(
    transaction!.recipients.map(({ finalReply }) => finalReply),
    ["250 2.0.0 stored <a@x.example>", undefined, undefined],
  );
  assert.equal(transaction!.isTerminated, true);
  assert.equal(server.ledger.deliveryCount, 1);
});

test("BDAT takes octets as they are; a failed chunk fails the rest until RSET", async () => {
  await using server = await listenMail({
    capabilities: { chunking: true, binaryMime: true },
    overrides: [{ on: "BDAT", nth: 2, reply: "452 4.3.1 no room" }],
  });
  await using client = await RawClient.connect(server.port);
  await client.replies(1);
  await client.ask("EHLO me.example");
  client.write("MAIL FROM:<> BODY=BINARYMIME\r\nRCPT TO:<b@y.example>\r\n");
  await client.replies(2);
  client.write("BDAT 5\r\n.\r\n\n.BDAT 3 LAST\r\nxyz");
  assert.equal(codes(await client.replies(2)), "250 250");
  assert.equal(server.ledger.transactions[0]!.content.toString(), ".\r\n\n.xyz");
  client.write("MAIL FROM:<>\r\nRCPT TO:<b@y.example>\r\n");
  await client.replies(2);
  client.write("BDAT 1\r\naBDAT 1 LAST\r\nbRSET\r\n");
  assert.equal(codes(await client.replies(3)), "452 503 250");
  assert.equal(server.ledger.messageCount, 1);
  assert.deepEqual(server.ledger.violations, []);
});

test("what a client may not do is noted", async () => {
  const cases: [string, string, RegExp][] = [
    ["octets behind DATA", "MAIL FROM:<>\r\nRCPT TO:<b@y.example>\r\nDATA\r\nx", /octets behind DATA before its reply/],
    ["octets behind EHLO", "EHLO again.example\r\nMAIL FROM:<>\r\n", /octets behind EHLO/],
    ["a parameter that was not offered", "MAIL FROM:<> SIZE=3\r\n", /SIZE=3 was not offered/],
    ["a space behind the colon", "MAIL FROM: <a@x.example>\r\n", /501/],
    ["MAIL inside a transaction", "MAIL FROM:<>\r\nMAIL FROM:<>\r\n", /503/],
    ["BDAT without CHUNKING", "MAIL FROM:<>\r\nRCPT TO:<b@y.example>\r\nBDAT 1 LAST\r\nx", /CHUNKING was not offered/],
    ["STARTTLS not offered", "STARTTLS\r\n", /STARTTLS was not offered/],
    ["an unknown verb", "XYZZY\r\n", /no such command/],
    ["a bare LF", "NOOP\n", /bare LF/],
    ["non-ASCII without SMTPUTF8", "MAIL FROM:<ä@x.example>\r\n", /5\.6\.7/],
  ];
  for (const [name, bytes, violation] of cases) {
    await using server = await listenMail();
    await using client = await RawClient.connect(server.port);
    await client.replies(1);
    await client.ask("EHLO me.example");
    client.write(bytes);
    await server.ledger.until(({ violations }) => violations.length > 0);
    assert.match(server.ledger.violations.join("\n"), violation, name);
  }
});

test("without PIPELINING a second command before the reply is noted", async () => {
  await using server = await listenMail({ capabilities: { pipelining: false } });
  await using client = await RawClient.connect(server.port);
  await client.replies(1);
  await client.ask("EHLO me.example");
  client.write("MAIL FROM:<>\r\nRCPT TO:<b@y.example>\r\n");
  await client.replies(2);
  assert.match(server.ledger.violations.join(), /PIPELINING was not offered/);
});

test("octets behind STARTTLS are noted and never read", async () => {
  const certificate = await makeCertificate();
  await using server = await listenMail({ startTls: certificate });
  await using client = await RawClient.connect(server.port);
  await client.replies(1);
  await client.ask("EHLO me.example");
  client.write("STARTTLS\r\nMAIL FROM:<>\r\n");
  await client.replies(1);
  await client.startTls(certificate.ca);
  assert.match(await client.ask("EHLO me.example"), /^250/);
  assert.match(server.ledger.violations.join(), /14 octets behind STARTTLS/);
  assert.deepEqual(server.ledger.transactions, []);
});

test("STARTTLS forgets what was said before", async () => {
  const certificate = await makeCertificate({ kind: "own-ca" });
  for (const octetReplies of [false, true]) {
    await using server = await listenMail({
      startTls: certificate,
      users: { u: "p" },
      authNeedsTls: true,
      octetReplies,
    });
    await using client = await RawClient.connect(server.port);
    await client.replies(1);
    const hello = await client.ask("EHLO me.example");
    assert.match(hello, /STARTTLS/);
    assert.doesNotMatch(hello, /AUTH/);
    assert.match(await client.ask("STARTTLS"), /^220/);
    await client.startTls(certificate.ca);
    assert.match(await client.ask("MAIL FROM:<>"), /^503/);
    const again = await client.ask("EHLO me.example");
    assert.match(again, /AUTH PLAIN LOGIN/);
    assert.doesNotMatch(again, /STARTTLS/);
    const plain = Buffer.from("\0u\0p").toString("base64");
    assert.match(await client.ask(`AUTH PLAIN ${plain}`), /^235/);
    assert.match(await client.ask(`AUTH PLAIN ${plain}`), /^503/);
    assert.deepEqual(server.ledger.connections[0]!.logins, [
      { mechanism: "PLAIN", username: "u", isAccepted: true, isSecure: true },
    ]);
  }
});

test("AUTH LOGIN and a cancelled exchange", async () => {
  await using server = await listenMail({ users: { u: "p" } });
  await using client = await RawClient.connect(server.port);
  await client.replies(1);
  await client.ask("EHLO me.example");
  assert.equal(await client.ask("AUTH LOGIN"), "334 VXNlcm5hbWU6");
  assert.match(await client.ask("*"), /^501/);
  await client.ask("AUTH LOGIN");
  assert.equal(await client.ask(Buffer.from("u").toString("base64")), "334 UGFzc3dvcmQ6");
  assert.match(await client.ask(Buffer.from("wrong").toString("base64")), /^535/);
  assert.match(await client.ask("AUTH CRAM-MD5"), /^504/);
});

test("orders: the nth, silence, a reply of one's own, a late one, and the end", async () => {
  let release = () => {};
  const released = new Promise<void>((resolve) => {
    release = resolve;
  });
  await using server = await listenMail({
    overrides: [
      { on: "RCPT", nth: 3, reply: "452 4.5.3 too many" },
      { on: "NOOP", times: 1, reply: [] },
      { on: "VRFY", waitFor: released },
      { on: "terminator", reply: "250 2.0.0 mine", afterwards: "close" },
    ],
  });
  await using client = await RawClient.connect(server.port);
  await client.replies(1);
  await client.ask("EHLO me.example");
  client.write("NOOP\r\n");
  assert.match(await client.ask("NOOP"), /^250/);
  client.write("VRFY a\r\n");
  await server.ledger.until(({ commands }) => commands.includes("VRFY a"));
  release();
  assert.match((await client.replies(1))[0]!, /^252/);
  client.write("MAIL FROM:<>\r\n");
  for (let i = 0; i < 4; i++) {
    client.write("RCPT TO:<b@y.example>\r\n");
  }
  assert.equal(codes(await client.replies(5)), "250 250 250 452 250");
  assert.match(await client.ask("DATA"), /^354/);
  client.write(".\r\n");
  assert.equal(await client.rest(), "250 2.0.0 mine\r\n");
  assert.equal(server.ledger.deliveryCount, 3);
});

test("a refused recipient gets no delivery and RCPT refusals can be written out", async () => {
  await using server = await listenMail({
    recipients: (address) => (address.startsWith("a") ? true : "450 4.2.0 greylisted"),
    mailboxes: { ann: "Ann <ann@x.example>" },
    lists: { staff: ["<a@x.example>", "<b@x.example>"] },
  });
  await using client = await RawClient.connect(server.port);
  await client.replies(1);
  await client.ask("EHLO me.example");
  assert.equal(await client.ask("VRFY ann"), "250 2.1.5 Ann <ann@x.example>");
  assert.match(await client.ask("VRFY bob"), /^550/);
  assert.equal(await client.ask("EXPN staff"), "250-2.1.5 <a@x.example>\r\n250 2.1.5 <b@x.example>");
  await client.ask("MAIL FROM:<>");
  assert.equal(await client.ask("RCPT TO:<b@x.example>"), "450 4.2.0 greylisted");
  assert.match(await client.ask("DATA"), /^554/);
});

test("peak counts connections open at the same time", async () => {
  await using server = await listenMail();
  for (let i = 0; i < 5; i++) {
    await using client = await RawClient.connect(server.port);
    await client.replies(1);
    await client.ask("QUIT");
    await client.rest();
  }
  assert.equal(server.peak, 1);
  const clients = await Promise.all([1, 2, 3].map(() => RawClient.connect(server.port)));
  for (const client of clients) {
    await client.replies(1);
  }
  assert.equal(server.peak, 3);
  for (const client of clients) {
    await client[Symbol.asyncDispose]();
  }
});

test("a message whose reply waits while the client goes is entered once, and whole", async () => {
  let release!: () => void;
  const released = new Promise<void>((resolve) => {
    release = resolve;
  });
  await using server = await listenMail({ keep: "digest", overrides: [{ on: "terminator", waitFor: released }] });
  const entered: (string | undefined)[] = [];
  server.ledger.onTransaction = ({ digest }) => entered.push(digest);
  {
    await using client = await RawClient.connect(server.port);
    await client.replies(1);
    await client.ask("EHLO me.example");
    client.write("MAIL FROM:<>\r\nRCPT TO:<b@y.example>\r\nDATA\r\n");
    await client.replies(3);
    client.write("Subject: x\r\n\r\n.\r\n");
    await server.ledger.until(({ transactions }) => transactions[0]?.isTerminated === true);
  }
  await server.ledger.until(({ connections }) => connections[0]!.isClosed);
  assert.equal(entered.length, 0);
  release();
  await server.ledger.until(({ messageCount }) => messageCount === 1);
  assert.deepEqual(
    entered.map((digest) => digest?.length),
    [64],
  );
});
