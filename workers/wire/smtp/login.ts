/** A user's password or token, tried by AUTH. What a reply means: the AUTH row of "Meaning of replies" in docs/replies.md. */
import type { Reply } from "../../../src/api.js";
import type { Failure } from "../../../src/errors.js";
import { chooseExchange } from "../sasl/choose.js";
import { AuthDialogue } from "./auth.js";
import type { SmtpSession, Work } from "./session.js";
import type { LoginTask } from "./tasks.js";

/** Mechanism not known, too weak, or in need of TLS (RFC 4954 6). */
const OTHER_MEANING = new Set([504, 534, 538]);

export class Login implements Work {
  private dialogue: AuthDialogue | undefined;
  private isSettled = false;

  constructor(
    private readonly session: SmtpSession,
    private readonly task: LoginTask,
  ) {}

  begin(): void {
    const { session } = this;
    const { settings, randomBytes } = session.options;
    const exchange = chooseExchange(session.extensions.auth, this.task.credentials, {
      isSecure: session.isSecure,
      allowPlaintext: settings.allowPlaintextAuth,
      randomBytes,
      host: settings.address,
      port: settings.port,
    });
    if ("code" in exchange) {
      session.done(this);
      session.taskUnsent();
      this.task.failed(exchange, false);
      return;
    }
    this.dialogue = new AuthDialogue(session, exchange, this.task.credentials, {
      accepted: (reply) => this.accepted(reply),
      refused: (reply) => this.refused(reply),
      failed: (failure) => {
        session.errors++;
        this.settle(() => this.task.failed(failure, false));
      },
    });
    this.dialogue.begin();
  }

  lost(failure: Failure): void {
    if (this.isSettled) {
      return;
    }
    const isRetrySafe = this.session.isReused && this.dialogue?.hasShownCredentials !== true;
    this.settle(() => this.task.failed(failure, isRetrySafe));
  }

  private accepted(reply: Reply): void {
    // RFC 4954 4: no second AUTH after a successful one; and a user's session serves nobody else.
    this.session.retire();
    this.settle(() => this.task.answered({ found: true, values: [], reply }));
  }

  private refused(reply: Reply): void {
    if (reply.code === 421) {
      // Ended here, since this reply is without the credentials that the peer may repeat.
      this.session.fail({ code: "HOST_UNAVAILABLE", message: "The peer is closing the connection (421).", reply });
      return;
    }
    this.session.errors++;
    // A refusal of the command itself, before anything was shown, is no verdict on the credentials.
    if (this.dialogue?.hasShownCredentials === true && isVerdict(reply)) {
      this.settle(() => this.task.answered({ found: false, values: [], reply }));
      return;
    }
    const code = reply.code < 500 ? "REPLY_TRANSIENT" : "REPLY_PERMANENT";
    const failure: Failure = {
      code,
      message: `The host gave no verdict on the credentials: ${reply.code} ${reply.text}`,
      reply,
    };
    this.settle(() => this.task.failed(failure, false));
  }

  private settle(tell: () => void): void {
    this.isSettled = true;
    this.session.done(this);
    this.session.taskSettled();
    tell();
  }
}

/** 535, or the enhanced code of "credentials invalid" (RFC 4954 6) where no other basic code says what it is instead. */
function isVerdict({ code, enhanced }: Reply): boolean {
  return code === 535 || (enhanced === "5.7.8" && !OTHER_MEANING.has(code));
}
