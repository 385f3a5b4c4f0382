/** How dialogues of lookups begin and end. Serves the tests of SMTP sessions. */
import assert from "node:assert/strict";
import type { SmtpDialogue } from "./smtp-dialogue.js";

export const MAIL = "C: MAIL FROM:<>";

export const rcpt = (name: string) => `C: RCPT TO:<${name}@example.net>`;

/** One step that asks about each of these names. */
export const ask = (d: SmtpDialogue, ...names: string[]) => {
  const questions = names.map((name) => d.rcpt(`${name}@example.net`));
  return (session: SmtpDialogue["session"]) => {
    for (const question of questions) {
      question(session);
    }
  };
};

export const check = (test: (session: SmtpDialogue["session"]) => boolean) => (session: SmtpDialogue["session"]) =>
  assert.ok(test(session));

export const told = (name: string, what: string) => `rcpt ${name}@example.net: ${what}`;

export const isIdle = ({ session }: SmtpDialogue) => assert.ok(session.isIdle, "the session should rest");
