/**
 * XCLIENT: the session is given to another client before a task of its is begun. The host greets anew and has forgotten what was
 * said before (Postfix's XCLIENT_README), so that EHLO and the connection's own AUTH follow.
 */
import type { Failure } from "../../../src/errors.js";
import type { Progress } from "../progress.js";
import type { HandshakeChannel, MailChannel, Work } from "./channel.js";
import { xclientCommand } from "./client-commands.js";
import { goodbye, senseless } from "./failures.js";
import { Handshake } from "./handshake.js";
import type { ReplyView } from "./reply.js";
import type { ReplyHandler } from "./reply-queue.js";

const RSET = 0;
const XCLIENT = 1;

/** The task that waits for it. */
export interface IntroducedTask {
  readonly client: string;
  failed(failure: Failure): void;
  lost(failure: Failure, progress: Progress): void;
}

/** What an introduction needs of its session. */
export interface IntroductionChannel extends HandshakeChannel, MailChannel {
  /** The host has taken the session for the client's. */
  introduced(client: string): void;
}

export class Introduction implements ReplyHandler, Work {
  private greeted: Handshake | undefined;

  constructor(
    private readonly channel: IntroductionChannel,
    private readonly task: IntroducedTask,
    /** Begins the task. */
    private readonly start: () => void,
  ) {}

  begin(): void {
    const { channel } = this;
    if (channel.extensions.xclient === undefined) {
      channel.finish(this);
      channel.unsent();
      this.task.failed({
        code: "HOST_UNAVAILABLE",
        message:
          'The host does not offer XCLIENT, which client = "xclient" needs: it must trust this gateway\'s address.',
      });
      return;
    }
    if (channel.needsReset) {
      channel.sendReset(this, RSET);
      if (channel.window <= 0) {
        return;
      }
    }
    this.tell();
  }

  replied(reply: ReplyView, tag: number): void {
    if (tag === RSET) {
      this.resetAnswered(reply);
    } else if (reply.code === 220) {
      this.channel.introduced(this.task.client);
      this.greeted = new Handshake(this.channel, () => this.done());
      this.greeted.hello();
    } else if (reply.code < 400) {
      this.channel.fail(senseless("XCLIENT", reply));
    } else {
      this.refused(reply);
    }
  }

  closing(reply: ReplyView, tag: number): Failure {
    return tag === XCLIENT ? notTaken(reply) : goodbye(reply.copy());
  }

  secured(): void {
    this.greeted?.secured();
  }

  lost(failure: Failure): void {
    const { isReused } = this.channel;
    this.channel.settled();
    this.task.lost(failure, { isReused, isAnswered: false, shown: "nothing" });
  }

  private tell(): void {
    const { channel } = this;
    const { protocol, timeouts } = channel.settings;
    const line = xclientCommand(this.task.client, channel.extensions.xclient ?? [], protocol === "lmtp");
    channel.sendLast(line, this, XCLIENT, timeouts.commandMs);
  }

  private resetAnswered(reply: ReplyView): void {
    if (reply.code !== 250) {
      this.channel.fail(senseless("RSET", reply));
    } else if (this.channel.isQuiet) {
      this.tell();
    }
  }

  /** Attributes may have been taken before the one that was refused: nobody knows whose the session is now. */
  private refused(reply: ReplyView): void {
    const { channel } = this;
    channel.refused();
    channel.retire();
    channel.finish(this);
    channel.settled();
    this.task.failed(notTaken(reply));
  }

  private done(): void {
    this.channel.finish(this);
    this.start();
  }
}

function notTaken(view: ReplyView): Failure {
  const reply = view.copy();
  return {
    code: "HOST_UNAVAILABLE",
    message: `The host refused XCLIENT: ${reply.code}. Nothing was asked in the client's name.`,
    reply,
  };
}
