/** The XFORWARD commands in front of one MAIL, sent as far as there is room. Serves rcpt-batch.ts and transaction.ts. */
import type { MailChannel } from "./channel.js";
import type { ReplyHandler } from "./reply-queue.js";

export class Forwards {
  private sent = 0;

  constructor(
    private readonly channel: MailChannel,
    private readonly commands: readonly string[],
  ) {}

  /** Sends those that there is room for; returns how many. */
  send(handler: ReplyHandler, tag: number): number {
    const { channel, commands } = this;
    const before = this.sent;
    while (this.sent < commands.length && channel.window > 0) {
      channel.send(commands[this.sent++]!, handler, tag, channel.settings.timeouts.commandMs);
    }
    return this.sent - before;
  }

  get areSent(): boolean {
    return this.sent === this.commands.length;
  }
}
