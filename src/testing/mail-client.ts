/** XCLIENT and XFORWARD (Postfix's XCLIENT_README, XFORWARD_README) as a strict SMTP or LMTP server takes them. Serves mail-dialogue.ts. */
import { isIPv4, isIPv6 } from "node:net";
import type { LedgerConnection } from "./ledger.js";
import type { Capabilities } from "./mail-options.js";
import { is2yz, type Next, plainly, type Verdict } from "./verdict.js";

/** RFC 3461 4. */
const XTEXT = /^(?:[!-*,-<>-~]|\+[0-9A-F]{2})+$/;
/** What stands for a value; PROTO has no such word. */
const NO_VALUE = /^\[(?:UNAVAILABLE|TEMPUNAVAIL)\]$/;

/** Attributes whose values are more than a text. */
const VALUES: Readonly<Record<string, (value: string) => boolean>> = {
  ADDR: (value) => NO_VALUE.test(value) || isIPv4(value) || (/^IPV6:/.test(value) && isIPv6(value.slice(5))),
  PORT: (value) => NO_VALUE.test(value) || /^\d{1,5}$/.test(value),
  PROTO: (value) => /^(?:E?SMTP|LMTP)$/.test(value),
};

/** The client that a connection, or its next message, was told of. */
export class MailClient {
  readonly #offered: Capabilities;
  readonly #record: LedgerConnection;
  readonly #introduced: () => void;
  #forwarded: string | undefined;

  /** @param introduced XCLIENT was taken: everything that was said before is forgotten, but TLS */
  constructor(offered: Capabilities, record: LedgerConnection, introduced: () => void) {
    this.#offered = offered;
    this.#record = record;
    this.#introduced = introduced;
  }

  /** An accepted MAIL asks whose message begins. What XFORWARD said is of this one. */
  ofMessage(): string | undefined {
    const client = this.#forwarded ?? this.#record.client;
    this.#forwarded = undefined;
    return client;
  }

  /** @param isReady EHLO was said, and no transaction is open */
  tell(verb: "XCLIENT" | "XFORWARD", argument: string, isReady: boolean): Verdict {
    const reply = isReady ? this.#faultOf(verb, argument) : `503 5.5.1 this is not the time for ${verb}`;
    if (reply !== undefined) {
      this.#record.violations.push(`${reply} (${verb})`);
      return plainly(verb, reply, verb === "XCLIENT");
    }
    return verb === "XCLIENT" ? this.#introduce(argument) : this.#forward(argument);
  }

  #introduce(argument: string): Verdict {
    return {
      stage: "XCLIENT",
      replies: ["220 peer.relaypost.test ESMTP"],
      endsGroup: true,
      commit: (code): Next => {
        if (code === 220) {
          this.#record.client = addressIn(argument, this.#record.client);
          this.#introduced();
        }
        return "command";
      },
    };
  }

  #forward(argument: string): Verdict {
    return {
      stage: "XFORWARD",
      replies: ["250 2.0.0 OK"],
      endsGroup: false,
      commit: (code): Next => {
        if (is2yz(code)) {
          this.#forwarded = addressIn(argument, this.#forwarded);
        }
        return "command";
      },
    };
  }

  #faultOf(verb: "XCLIENT" | "XFORWARD", argument: string): string | undefined {
    const offered = verb === "XCLIENT" ? this.#offered.xclient : this.#offered.xforward;
    if (offered === undefined) {
      return `500 5.5.2 ${verb} was not offered`;
    }
    const seen = new Set<string>();
    for (const attribute of argument.split(" ")) {
      const [name = "", value = "", ...rest] = attribute.split("=");
      if (!offered.includes(name) || seen.has(name)) {
        return `501 5.5.4 attribute ${name} was not offered, or stands there twice`;
      }
      if (rest.length > 0 || !XTEXT.test(value) || VALUES[name]?.(value) === false) {
        return `501 5.5.4 bad value of ${name}`;
      }
      seen.add(name);
    }
    return undefined;
  }
}

/** The client's address; undefined where it is said not to be known, `former` where nothing is said of it. */
function addressIn(argument: string, former: string | undefined): string | undefined {
  const value = /(?:^| )ADDR=(?:IPV6:)?(\S+)/.exec(argument)?.[1];
  return value === undefined ? former : NO_VALUE.test(value) ? undefined : value;
}
