/** How dialogues about messages begin and end. Serves the tests of SMTP and LMTP sessions. */
import assert from "node:assert/strict";
import { greeted, type SmtpDialogue } from "./smtp-dialogue.js";

export const two = { recipients: ["u@example.net", "v@example.net"] };

export const grouped = greeted(["PIPELINING"]);

export const single = greeted([]);

export const envelope = (name: string, ...recipients: string[]) => [
  `C: MAIL FROM:<${name}@example.org>`,
  ...(recipients.length === 0 ? ["u"] : recipients).map((r) => `C: RCPT TO:<${r}@example.net>`),
  "C: DATA",
];

export const body = ["C: hi", "C: ."];

export const settledTwice = ({ session }: SmtpDialogue) => assert.ok(session.isIdle, "the session should rest");
