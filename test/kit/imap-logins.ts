/** Plays transcripts of IMAP logins, whole and at every split. Serves the tests of IMAP sessions. */
import assert from "node:assert/strict";
import type { UserCredentials } from "../../src/messages/contract.js";
import type { ImapSession } from "../../workers/wire/imap/session.js";
import { type ImapScript, imapScript, type RecordingOwner } from "./imap-dialogue.js";
import { type Played, replayEverySplit } from "./transcript.js";

export const tim: UserCredentials = { username: "tim", secret: "tanstaaftanstaaf", isToken: false };

export const PLAIN = "AHRpbQB0YW5zdGFhZnRhbnN0YWFm";

export const HELLO = "S: * OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=PLAIN] hello";

export type Options = Parameters<typeof imapScript>[1];

/** Replays at every split; the owner must be told exactly `events`. The last replay is handed back. */
export function plays(steps: ImapScript["steps"], options: Options, events: readonly string[]): RecordingOwner {
  let script: ImapScript | undefined;
  replayEverySplit(
    () => {
      script = imapScript(steps, options);
      return script;
    },
    (_played: Played<ImapSession>) => assert.deepEqual(script?.owner.events, events),
  );
  return script!.owner;
}

/** A login over TLS: the dialogue after its command. */
export function answers(reply: readonly string[], events: readonly string[]): RecordingOwner {
  const steps = [HELLO, `C: $a AUTHENTICATE PLAIN ${PLAIN}`, ...reply];
  return plays(steps, { isSecure: true, logins: [tim] }, ["ready", ...events]);
}
