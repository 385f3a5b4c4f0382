/** What the testing kit's mail server tells of its mailboxes and lists: VRFY and EXPN (RFC 5321 3.5). Serves mail-dialogue.ts. */
import type { MailSessionOptions } from "./mail-options.js";
import { plainly, type Verdict } from "./verdict.js";

export function verifyMailbox({ mailboxes }: MailSessionOptions, name: string): Verdict {
  if (mailboxes === undefined) {
    return plainly("VRFY", "252 2.5.2 send some mail, I'll try my best", true);
  }
  const found = Object.hasOwn(mailboxes, name) ? mailboxes[name] : undefined;
  return plainly("VRFY", found === undefined ? "550 5.1.1 no such mailbox" : `250 2.1.5 ${found}`, true);
}

export function expandList({ lists }: MailSessionOptions, name: string): Verdict {
  if (lists === undefined) {
    return plainly("EXPN", "502 5.5.1 not implemented", true);
  }
  const members = Object.hasOwn(lists, name) ? lists[name] : undefined;
  if (members === undefined || members.length === 0) {
    return plainly("EXPN", "550 5.1.1 no such list", true);
  }
  const replies = members.map((member, at) => `250${at === members.length - 1 ? " " : "-"}2.1.5 ${member}`);
  return { stage: "EXPN", replies, endsGroup: true };
}
