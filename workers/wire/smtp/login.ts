/** A user's password or token, tried by AUTH. What a reply means: the AUTH row of "Meaning of replies" in docs/replies.md. */
import type { Reply } from "../../../src/api.js";
import { type Failure, isFailure } from "../../../src/errors.js";
import { chooseExchange } from "../sasl/choose.js";
import { AuthDialogue } from "./auth.js";
import type { Channel } from "./channel.js";
import { noAnswer } from "./failures.js";
import { TaskWork } from "./task-work.js";
import type { LoginTask } from "./tasks.js";

/** Mechanism not known, too weak, or in need of TLS (RFC 4954 6). */
const OTHER_MEANING = new Set([504, 534, 538]);

export class Login extends TaskWork<Channel> {
  private dialogue: AuthDialogue | undefined;

  constructor(
    channel: Channel,
    private readonly task: LoginTask,
  ) {
    super(channel);
  }

  begin(): void {
    const { channel } = this;
    const { settings } = channel;
    const exchange = chooseExchange(channel.extensions.auth, this.task.credentials, {
      isSecure: channel.isSecure,
      allowPlaintext: settings.allowPlaintextAuth,
      randomBytes: channel.randomBytes,
      host: settings.address,
      port: settings.port,
    });
    if (isFailure(exchange)) {
      this.leaveUnsent(() => this.task.failed(exchange));
      return;
    }
    this.dialogue = new AuthDialogue(channel, exchange, this.task.credentials, {
      accepted: (reply) => this.accepted(reply),
      refused: (reply) => this.refused(reply),
      failed: (failure) => {
        channel.refused();
        this.conclude(() => this.task.failed(failure));
      },
    });
    this.dialogue.begin();
  }

  lost(failure: Failure): void {
    const { isReused } = this.channel;
    const shown = this.dialogue?.hasShownCredentials === true ? "credentials" : "command";
    this.settle(() => this.task.lost(failure, { isReused, isAnswered: this.dialogue?.isAnswered === true, shown }));
  }

  private accepted(reply: Reply): void {
    // RFC 4954 4: no second AUTH after a successful one; and a user's session serves nobody else.
    this.channel.retire();
    this.conclude(() => this.task.answered({ found: true, values: [], reply }));
  }

  private refused(reply: Reply): void {
    this.channel.refused();
    // A refusal of the command itself, before anything was shown, is no verdict on the credentials.
    if (this.dialogue?.hasShownCredentials === true && this.isVerdict(reply)) {
      this.conclude(() => this.task.answered({ found: false, values: [], reply }));
      return;
    }
    this.conclude(() => this.task.failed(noAnswer("The host gave no verdict on the credentials", reply)));
  }

  private isVerdict(reply: Reply): boolean {
    const meaning = this.channel.replyRules?.meaning("auth", reply);
    return meaning === undefined ? isWrongCredentials(reply) : meaning === "not-found";
  }
}

/** 535, or the enhanced code of "credentials invalid" (RFC 4954 6) where no other basic code says what it is instead. */
function isWrongCredentials({ code, enhanced }: Reply): boolean {
  return code === 535 || (enhanced === "5.7.8" && !OTHER_MEANING.has(code));
}
