/** AUTH over SMTP and LMTP (RFC 4954): base64 lines around a SASL exchange. For the connection's own account and for users' logins. */
import type { Reply } from "../../../src/api.js";
import type { Failure } from "../../../src/errors.js";
import type { UserCredentials } from "../../../src/messages/contract.js";
import { isRefusal, readChallenge, type SaslExchange } from "../sasl/exchange.js";
import { withholdCredentials } from "../sasl/withhold.js";
import type { Channel } from "./channel.js";
import { goodbye } from "./failures.js";
import type { ReplyView } from "./reply.js";
import type { ReplyHandler } from "./reply-queue.js";

const CHALLENGE = 0;
const CANCELLED = 1;
/** No mechanism here has more steps; a peer that asks for more wants to keep us. */
const MAX_STEPS = 6;
/** RFC 5321 4.5.3.1.4: servers older than RFC 4954 read command lines of 512 octets. */
const MAX_COMMAND_OCTETS = 500;

export interface AuthOutcome {
  /** 235, and the peer has proved itself where the mechanism lets it. */
  accepted(reply: Reply): void;
  /** Any other final reply; `complaint`: what the server said beside it, see {@link SaslExchange.complaint}. */
  refused(reply: Reply, complaint: string | undefined): void;
  /** The exchange was broken off in good order with `*`; the connection may go on. */
  failed(failure: Failure): void;
}

export class AuthDialogue implements ReplyHandler {
  /** A credential octet was written: from then on the attempt is never repeated by itself. */
  hasShownCredentials = false;
  /** A reply was read. */
  isAnswered = false;
  private steps = 0;
  /** The initial response, kept for the first challenge where it did not fit the command. */
  private heldResponse: Uint8Array | null = null;
  private cancelled = "";
  /** What was written, lest a peer repeat it in a reply. */
  readonly #sent: string[] = [];
  readonly #credentials: UserCredentials;

  constructor(
    private readonly channel: Channel,
    private readonly exchange: SaslExchange,
    credentials: UserCredentials,
    private readonly outcome: AuthOutcome,
  ) {
    this.#credentials = credentials;
  }

  begin(): void {
    const { mechanism } = this.exchange;
    const response = this.exchange.initialResponse();
    const encoded = response === null ? null : response.length === 0 ? "=" : toBase64(response);
    if (encoded !== null && mechanism.length + encoded.length + 8 > MAX_COMMAND_OCTETS) {
      this.heldResponse = response;
      this.say(`AUTH ${mechanism}\r\n`);
    } else {
      this.hasShownCredentials = encoded !== null;
      if (encoded !== null) {
        this.#sent.push(encoded);
      }
      this.say(encoded === null ? `AUTH ${mechanism}\r\n` : `AUTH ${mechanism} ${encoded}\r\n`);
    }
  }

  replied(reply: ReplyView, tag: number): void {
    this.isAnswered = true;
    if (tag === CANCELLED) {
      this.outcome.failed({
        code: "REMOTE_PROTOCOL",
        scope: "transaction",
        message: `The login was broken off: ${this.cancelled}.`,
      });
    } else if (reply.code === 334) {
      this.challenged(reply);
    } else if (reply.code === 235) {
      this.succeeded(reply);
    } else if (reply.code >= 400) {
      const { complaint } = this.exchange;
      const shown = complaint && withholdCredentials(complaint, this.#credentials, this.#sent);
      this.outcome.refused(this.withheld(reply), shown);
    } else {
      this.channel.fail({
        code: "REMOTE_PROTOCOL",
        message: "The peer's reply to AUTH makes no sense.",
        reply: this.withheld(reply),
      });
    }
  }

  closing(reply: ReplyView): Failure {
    return goodbye(this.withheld(reply));
  }

  private withheld(view: ReplyView): Reply {
    const reply = view.copy();
    return { ...reply, text: withholdCredentials(reply.text, this.#credentials, this.#sent) };
  }

  private succeeded(reply: ReplyView): void {
    if (this.heldResponse === null && this.exchange.acceptSuccess(null)) {
      this.outcome.accepted(this.withheld(reply));
      return;
    }
    this.channel.fail({
      code: "REMOTE_PROTOCOL",
      message: `The peer claimed success in ${this.exchange.mechanism} before it was due; it is not believed.`,
    });
  }

  private challenged(reply: ReplyView): void {
    const lines = reply.lines();
    if (++this.steps > MAX_STEPS || lines.length !== 1) {
      return this.cancel("the server sends challenges without end");
    }
    const challenge = readChallenge(lines[0]!.trim(), this.exchange);
    if (isRefusal(challenge)) {
      return this.cancel(challenge.refusal);
    }
    const response = this.respond(challenge);
    if (isRefusal(response)) {
      return this.cancel(response.refusal);
    }
    this.hasShownCredentials = true;
    const encoded = toBase64(response);
    this.#sent.push(encoded);
    this.say(`${encoded}\r\n`);
  }

  private respond(challenge: Uint8Array): ReturnType<SaslExchange["respond"]> {
    const { heldResponse } = this;
    if (heldResponse === null) {
      return this.exchange.respond(challenge);
    }
    this.heldResponse = null;
    // The empty challenge is what asks for the initial response (RFC 4954 4).
    return challenge.length === 0 ? heldResponse : { refusal: "the server sent a challenge where none was due" };
  }

  private cancel(why: string): void {
    this.cancelled = why;
    this.channel.sendLast("*\r\n", this, CANCELLED, this.channel.settings.timeouts.commandMs);
  }

  private say(line: string): void {
    this.channel.sendLast(line, this, CHALLENGE, this.channel.settings.timeouts.commandMs);
  }
}

function toBase64(octets: Uint8Array): string {
  return Buffer.from(octets.buffer, octets.byteOffset, octets.length).toString("base64");
}
