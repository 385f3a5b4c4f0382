/** AUTH (RFC 4954) as a strict SMTP or LMTP server conducts it. Serves mail-dialogue.ts, which knows when it is allowed. */
import type { LedgerConnection } from "./ledger.js";
import { type MailSessionOptions, offeredMechanisms } from "./mail-options.js";
import { beginSasl, type SaslExchange, type SaslState } from "./sasl-server.js";
import { plainly, type Verdict } from "./verdict.js";

/** The logins of one connection. */
export class MailLogin {
  readonly #options: MailSessionOptions;
  readonly #record: LedgerConnection;
  readonly #welcome: (username: string) => void;
  #sasl: { readonly mechanism: string; readonly next: SaslExchange } | undefined;

  constructor(options: MailSessionOptions, record: LedgerConnection, welcome: (username: string) => void) {
    this.#options = options;
    this.#record = record;
    this.#welcome = welcome;
  }

  #object(verb: string, reply: string): Verdict {
    this.#record.violations.push(`${reply} (${verb})`);
    return plainly(verb, reply, true);
  }

  /** The argument of AUTH. */
  begin(argument: string, isSecure: boolean): Verdict {
    const [mechanism = "", initial, ...rest] = argument.split(" ");
    const offered = offeredMechanisms(this.#options, isSecure);
    if (!offered.includes(mechanism.toUpperCase()) || rest.length > 0) {
      return this.#object("AUTH", "504 5.5.4 mechanism was not offered");
    }
    // RFC 4954 4: "=" is an initial response of no octets.
    const bytes = initial === undefined ? undefined : initial === "=" ? Buffer.alloc(0) : decodeBase64(initial);
    if (bytes === null) {
      return this.#object("AUTH", "501 5.5.2 bad base64");
    }
    const begun = beginSasl(mechanism, bytes, this.#options);
    if (begun === undefined) {
      return this.#object("AUTH", "504 5.5.4 unknown mechanism");
    }
    this.#sasl = { mechanism: mechanism.toUpperCase(), next: begun.next };
    return this.#judge("AUTH", begun.state);
  }

  /** One line that answers a challenge. */
  respond(line: string): Verdict {
    const { mechanism, next } = this.#sasl!;
    if (line === "*") {
      this.#sasl = undefined;
      return plainly("challenge", "501 5.7.0 cancelled", true);
    }
    const response = decodeBase64(line);
    if (response === null) {
      return this.#object(`${mechanism} response`, "501 5.5.2 bad base64");
    }
    return this.#judge("challenge", next(response));
  }

  #judge(stage: string, state: SaslState): Verdict {
    const { mechanism } = this.#sasl!;
    if (state.kind === "challenge") {
      return {
        stage,
        replies: [`334 ${state.data.toString("base64")}`],
        endsGroup: true,
        commit: (code) => (code === 334 ? "sasl" : "command"),
      };
    }
    if (state.kind === "malformed") {
      return this.#object(`${mechanism} response`, "501 5.5.2 cannot be read");
    }
    const isAccepted = state.kind === "accepted";
    return {
      stage,
      replies: [isAccepted ? "235 2.7.0 welcome" : "535 5.7.8 authentication failed"],
      endsGroup: true,
      login: { mechanism, username: state.username, isAccepted },
      commit: (code) => {
        if (code === 334) {
          return "sasl";
        }
        if (code === 235) {
          this.#welcome(state.username ?? "");
        }
        return "command";
      },
    };
  }
}

function decodeBase64(text: string): Buffer | null {
  return /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/.test(text)
    ? Buffer.from(text, "base64")
    : null;
}
