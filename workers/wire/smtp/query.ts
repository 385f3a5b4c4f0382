/** VRFY and EXPN. Each ends its group (RFC 2920 3.1). */
import type { Reply } from "../../../src/api.js";
import type { Failure } from "../../../src/errors.js";
import { type AddressLookupKind, LOOKUPS } from "../../../src/lookup-kinds.js";
import { isAscii } from "../../../src/mail-domain.js";
import type { ReplyMeaning } from "../reply-rules.js";
import type { QueryChannel } from "./channel.js";
import { NEEDS_SMTPUTF8, noAnswer } from "./failures.js";
import { spellFor } from "./mail-command.js";
import type { ReplyView } from "./reply.js";
import type { ReplyHandler } from "./reply-queue.js";
import { TaskWork } from "./task-work.js";
import type { LookupTask } from "./tasks.js";

export class Query extends TaskWork<QueryChannel> implements ReplyHandler {
  constructor(
    channel: QueryChannel,
    private readonly task: LookupTask,
  ) {
    super(channel);
  }

  begin(): void {
    const { kind, value } = this.task;
    const { channel } = this;
    const spelled = spellFor(value, channel.extensions);
    if (spelled === undefined) {
      this.leaveUnsent(() => this.task.failed(NEEDS_SMTPUTF8));
      return;
    }
    channel.allowList(kind === "expn");
    // RFC 6531 3.7.4.2: the parameter is needed for an address that is not ASCII.
    const parameter = isAscii(spelled) ? "" : " SMTPUTF8";
    channel.sendLast(
      `${LOOKUPS[kind].command} ${spelled}${parameter}\r\n`,
      this,
      0,
      channel.settings.timeouts.commandMs,
    );
  }

  replied(view: ReplyView): void {
    const { code } = view;
    const reply = view.copy();
    this.channel.allowList(false);
    if (code >= 400) {
      this.channel.refused();
    }
    const meaning = this.channel.replyRules?.meaning(this.task.kind, reply) ?? meaningOf(code, this.task.kind);
    if (meaning === "found") {
      this.conclude(() => this.task.answered({ found: true, values: mailboxes(reply), reply }, false));
    } else if (meaning === "not-found") {
      this.conclude(() => this.task.answered({ found: false, values: [], reply }, false));
    } else {
      this.conclude(() => this.task.failed(whyUnanswered(this.task.kind, reply)));
    }
  }

  lost(failure: Failure): void {
    const { isReused } = this.channel;
    this.settle(() => this.task.lost(failure, { isReused, isAnswered: false, shown: "command" }));
  }
}

function meaningOf(code: number, kind: string): ReplyMeaning {
  if (code === 250 || (code === 251 && kind === "vrfy")) {
    return "found";
  }
  return code === 550 || code === 551 || code === 553 ? "not-found" : "no-answer";
}

/** 252 says that the host will not tell; 500 and 502 that it does not know the command. Neither is a verdict. */
function whyUnanswered(kind: AddressLookupKind, reply: Reply): Failure {
  const { command } = LOOKUPS[kind];
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
  return noAnswer(`The host gave no answer to ${command}`, reply);
}

/** RFC 5321 3.5.2: each line names a mailbox, in angle brackets when something stands before it. */
function mailboxes(reply: Reply): string[] {
  return reply.text
    .split("\n")
    .map((line) => /<([^<>]*)>/.exec(line)?.[1] ?? line.trim())
    .filter((mailbox) => mailbox !== "");
}
