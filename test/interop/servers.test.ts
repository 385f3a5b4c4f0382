/** The real servers start, greet and offer what the other interop tests build on; without this a skipped extension would look like a passed test. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { RawClient } from "../kit/raw-client.js";
import { Dovecot, MECHANISMS } from "./kit/dovecot.js";
import { Postfix } from "./kit/postfix.js";
import { ACCOUNTS, reasonToSkip } from "./kit/sandbox.js";

const skip = reasonToSkip("dovecot", "postfix");
const base64 = (text: string) => Buffer.from(text).toString("base64");

test("Dovecot and Postfix serve on every port and know their accounts", { skip }, async () => {
  await using dovecot = await Dovecot.start();
  await using postfix = await Postfix.start(dovecot);

  await using imap = await RawClient.connect(dovecot.ports.imap);
  const [greeting] = await imap.replies(1);
  for (const mechanism of MECHANISMS) {
    assert.match(greeting!, new RegExp(` AUTH=${mechanism}\\b`));
  }
  assert.match(await imap.ask("a LOGIN ann wrong"), /^a NO \[AUTHENTICATIONFAILED\]/);
  assert.match(await imap.ask(`b LOGIN ann "${ACCOUNTS.ann}"`), /OK|\* CAPABILITY/);

  await using lmtp = await RawClient.connect(dovecot.ports.lmtps, { ca: dovecot.ca });
  await lmtp.replies(1);
  assert.match(await lmtp.ask("LHLO me.test"), /CHUNKING[\s\S]*PIPELINING/);

  await using smtp = await RawClient.connect(postfix.ports.smtp);
  await smtp.replies(1);
  const hello = await smtp.ask("EHLO me.test");
  assert.match(hello, /STARTTLS[\s\S]*AUTH[\s\S]*CHUNKING/);
  assert.match(await smtp.ask(`AUTH PLAIN ${base64(`\0ann\0${ACCOUNTS.ann}`)}`), /^235/);
  await smtp.ask("MAIL FROM:<>");
  assert.match(await smtp.ask("RCPT TO:<ann@example.test>"), /^250/);
  assert.match(await smtp.ask("RCPT TO:<nobody@example.test>"), /^550 5\.1\.1/);

  await using smtps = await RawClient.connect(postfix.ports.smtps, { ca: postfix.ca });
  assert.match((await smtps.replies(1))[0]!, /^220 postfix\.example\.test/);
});
