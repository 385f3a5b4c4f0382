/** VRFY and EXPN. Each ends its group (RFC 2920 3.1). */
import type { Reply } from "../../../src/api.js";
import type { Failure } from "../../../src/errors.js";
import { isAscii } from "./ascii.js";
import type { ReplyView } from "./reply.js";
import type { ReplyHandler } from "./reply-queue.js";
import type { SmtpSession, Work } from "./session.js";
import type { LookupTask } from "./tasks.js";

export class Query implements ReplyHandler, Work {
  private isSettled = false;

  constructor(
    private readonly session: SmtpSession,
    private readonly task: LookupTask,
  ) {}

  begin(): void {
    const { kind, value } = this.task;
    const { session } = this;
    if (!isAscii(value) && !session.extensions.smtputf8) {
      this.settle(() =>
        this.task.failed(
          {
            code: "MISSING_EXTENSION",
            message: "The address is not ASCII and the host does not offer SMTPUTF8.",
          },
          false,
        ),
      );
      return;
    }
    session.allowList(kind === "expn");
    // RFC 6531 3.7.4.2: the parameter is needed for an address that is not ASCII.
    const parameter = isAscii(value) ? "" : " SMTPUTF8";
    session.command(
      `${kind.toUpperCase()} ${value}${parameter}\r\n`,
      this,
      0,
      session.options.settings.timeouts.commandMs,
    );
    session.endGroup();
  }

  replied(view: ReplyView): void {
    const { code } = view;
    if (code === 421) {
      return; // the session ends, and lost() follows
    }
    const reply = view.copy();
    this.session.allowList(false);
    if (code === 250 || (code === 251 && this.task.kind === "vrfy")) {
      this.settle(() => this.task.answered({ found: true, values: mailboxes(reply), reply }, false));
    } else if (code === 550 || code === 551 || code === 553) {
      this.session.errors++;
      this.settle(() => this.task.answered({ found: false, values: [], reply }, false));
    } else {
      if (code >= 400) {
        this.session.errors++;
      }
      this.settle(() => this.task.failed(noAnswer(this.task.kind, reply), false));
    }
  }

  lost(failure: Failure): void {
    const { isReused } = this.session;
    if (!this.isSettled) {
      this.settle(() => this.task.failed(failure, isReused));
    }
  }

  private settle(tell: () => void): void {
    this.isSettled = true;
    this.session.done(this);
    this.session.taskSettled();
    tell();
  }
}

/** 252 says that the host will not tell; 500 and 502 that it does not know the command. Neither is a verdict. */
function noAnswer(kind: string, reply: Reply): Failure {
  const command = kind.toUpperCase();
  if (reply.code === 252) {
    return {
      code: "REPLY_PERMANENT",
      message: `The host does not tell by ${command} (252). Ask with verifyRecipient().`,
      reply,
    };
  }
  if (reply.code === 500 || reply.code === 502) {
    return {
      code: "NOT_SUPPORTED",
      scope: "host",
      message: `The host does not know ${command} (${reply.code}).`,
      reply,
    };
  }
  const code = reply.code >= 500 ? "REPLY_PERMANENT" : reply.code >= 400 ? "REPLY_TRANSIENT" : "REMOTE_PROTOCOL";
  return { code, message: `The host gave no answer to ${command}: ${reply.code} ${reply.text.slice(0, 200)}`, reply };
}

/** RFC 5321 3.5.2: each line names a mailbox, in angle brackets when something stands before it. */
function mailboxes(reply: Reply): string[] {
  return reply.text
    .split("\n")
    .map((line) => /<([^<>]*)>/.exec(line)?.[1] ?? line.trim())
    .filter((mailbox) => mailbox !== "");
}
