/**
 * What a strict SMTP or LMTP server (RFC 5321, 2033) answers to each command, without any I/O: mail-session.ts hands in lines
 * and sends what comes out, unless an override says otherwise. State changes only by the reply that was really given.
 */
import { type Ledger, type LedgerConnection, type LedgerTransaction, newTransaction } from "./ledger.js";
import { MailClient } from "./mail-client.js";
import { expandList, verifyMailbox } from "./mail-directory.js";
import { MailLogin } from "./mail-login.js";
import { ehloLines, type MailSessionOptions, recipientTest } from "./mail-options.js";
import { faultOfAddress, faultOfData, faultOfMail, faultOfParameters, parameterOf, parsePath } from "./mail-syntax.js";
import { MessageStore } from "./message-store.js";
import { is2yz, plainly, type Verdict, wholeReplies } from "./verdict.js";

type Handler = (argument: string) => Verdict;

/** One connection's dialogue. */
export class MailDialogue {
  /** The message that is being sent, from an accepted MAIL to its end. */
  transaction: LedgerTransaction | undefined;
  user: string | undefined;
  isSecure = false;

  readonly #options: MailSessionOptions;
  readonly #ledger: Ledger;
  readonly #record: LedgerConnection;
  readonly #isLmtp: boolean;
  readonly #knows: (address: string) => boolean | string;
  readonly #handlers: Record<string, Handler>;
  readonly #login: MailLogin;
  #hello: "HELO" | "EHLO" | undefined;
  readonly #client: MailClient;
  #failedChunk = false;
  readonly #store: MessageStore;
  /** Set by the session: content as RFC 5321 does not allow it. */
  contentFault: string | undefined;

  constructor(options: MailSessionOptions, ledger: Ledger, record: LedgerConnection) {
    this.#options = options;
    this.#ledger = ledger;
    this.#record = record;
    this.#isLmtp = options.protocol === "lmtp";
    this.#store = new MessageStore(options.keep ?? "content", ledger);
    this.#knows = recipientTest(options.recipients);
    this.#login = new MailLogin(options, record, (username) => {
      this.user = username;
    });
    this.#client = new MailClient(options.capabilities ?? {}, record, () => {
      this.#hello = undefined;
      this.user = undefined;
    });
    this.#handlers = {
      HELO: (argument) => this.#sayHello("HELO", argument),
      EHLO: (argument) => this.#sayHello("EHLO", argument),
      LHLO: (argument) => this.#sayHello("LHLO", argument),
      MAIL: (argument) => this.#mail(argument),
      RCPT: (argument) => this.#rcpt(argument),
      DATA: (argument) => this.#data(argument),
      RSET: () => this.#rset(),
      NOOP: () => plainly("NOOP", "250 2.0.0 OK", true),
      HELP: () => plainly("HELP", "214 2.0.0 see RFC 5321", true),
      QUIT: () => this.#quit(),
      VRFY: (argument) => this.#ask("VRFY", verifyMailbox, argument),
      EXPN: (argument) => this.#ask("EXPN", expandList, argument),
      STARTTLS: (argument) => this.#startTls(argument),
      AUTH: (argument) => this.#auth(argument),
      XCLIENT: (argument) => this.#client.tell("XCLIENT", argument, this.#isAtRest),
      XFORWARD: (argument) => this.#client.tell("XFORWARD", argument, this.#isAtRest),
    };
  }

  get hasPipelining(): boolean {
    return this.#hello === "EHLO" && (this.#options.capabilities?.pipelining ?? true);
  }

  get #isAtRest(): boolean {
    return this.#hello === "EHLO" && this.transaction === undefined;
  }

  /** The greeting. */
  greet(): Verdict {
    const protocol = this.#isLmtp ? "LMTP" : "ESMTP";
    return plainly("greeting", `220 ${this.#options.hostname ?? "peer.relaypost.test"} ${protocol}`, true);
  }

  /** One command line, without CRLF. BDAT goes to {@link chunk}. */
  respond(line: string): Verdict {
    const space = line.indexOf(" ");
    const verb = (space < 0 ? line : line.slice(0, space)).toUpperCase();
    const handler = Object.hasOwn(this.#handlers, verb) ? this.#handlers[verb] : undefined;
    if (handler === undefined) {
      return this.#object(verb, "500 5.5.2 no such command");
    }
    return handler(space < 0 ? "" : line.slice(space + 1));
  }

  /** TLS stands: everything that was said before is forgotten (RFC 3207 4.2). */
  secured(): void {
    this.isSecure = true;
    this.#hello = undefined;
    this.end("STARTTLS");
  }

  /** The transaction in hand, if any, is over without a message. */
  end(how: string): void {
    const { transaction } = this;
    this.transaction = undefined;
    this.#failedChunk = false;
    if (transaction === undefined) {
      return;
    }
    transaction.endedBy = how;
    // Its final reply waits for an order: it is stored already, and reported with that reply.
    if (transaction.isTerminated) {
      return;
    }
    this.#store.close(transaction);
    this.#ledger.onTransaction?.(transaction);
  }

  /** An answer that also notes a violation. */
  #object(verb: string, reply: string, endsGroup = false): Verdict {
    this.#record.violations.push(`${reply} (${verb})`);
    return plainly(verb, reply, endsGroup);
  }

  #sayHello(verb: "HELO" | "EHLO" | "LHLO", argument: string): Verdict {
    if (this.#isLmtp !== (verb === "LHLO")) {
      return this.#object(verb, "500 5.5.1 wrong protocol", true);
    }
    if (!/^[^\s]+$/.test(argument)) {
      return this.#object(verb, "501 5.5.4 a name is needed", true);
    }
    const lines = [this.#options.hostname ?? "peer.relaypost.test"];
    if (verb !== "HELO") {
      lines.push(...ehloLines(this.#options, this.isSecure));
    }
    return {
      stage: verb,
      replies: lines.map((line, at) => `250${at === lines.length - 1 ? " " : "-"}${line}`),
      endsGroup: true,
      commit: (code) => {
        if (code === 250) {
          this.end(verb);
          this.#hello = verb === "HELO" ? "HELO" : "EHLO";
        }
        return "command";
      },
    };
  }

  #mail(argument: string): Verdict {
    if (this.#hello === undefined) {
      return this.#object("MAIL", "503 5.5.1 say hello first");
    }
    if (this.transaction !== undefined) {
      return this.#object("MAIL", "503 5.5.1 a transaction is open");
    }
    if (this.#options.requireAuth && this.user === undefined) {
      return plainly("MAIL", "530 5.7.0 authentication required");
    }
    const path = parsePath(argument, "FROM:<");
    if (path === undefined) {
      return this.#object("MAIL", "501 5.5.4 MAIL FROM:<reverse-path> [parameters]");
    }
    const fault = faultOfMail(path, this.#hello === "HELO", this.#options, this.isSecure);
    if (fault !== undefined) {
      return this.#object("MAIL", fault);
    }
    const limit = this.#options.capabilities?.size;
    const isTooBig = typeof limit === "number" && Number(parameterOf(path.parameters, "SIZE") ?? 0) > limit;
    return {
      stage: "MAIL",
      replies: [isTooBig ? "552 5.3.4 message is too big" : "250 2.1.0 OK"],
      endsGroup: false,
      commit: (code) => {
        if (is2yz(code)) {
          this.#open(path.address, path.parameters);
        }
        return "command";
      },
    };
  }

  #open(from: string, parameters: readonly string[]): void {
    this.contentFault = undefined;
    this.transaction = newTransaction({
      connection: this.#record.number,
      from,
      parameters,
      isSecure: this.isSecure,
      authenticatedAs: this.user,
      client: this.#client.ofMessage(),
    });
    this.#store.begin(this.transaction);
  }

  #rcpt(argument: string): Verdict {
    // Behind a refused MAIL this is what pipelining brings, and no fault of the client.
    const { transaction } = this;
    if (transaction === undefined) {
      return plainly("RCPT", "503 5.5.1 MAIL first");
    }
    if (transaction.via !== undefined) {
      return this.#object("RCPT", "503 5.5.1 RCPT behind a chunk");
    }
    const path = parsePath(argument, "TO:<");
    if (path === undefined) {
      return this.#object("RCPT", "501 5.5.4 RCPT TO:<forward-path> [parameters]");
    }
    const allowsUtf8 = parameterOf(transaction.parameters, "SMTPUTF8") !== undefined;
    const fault =
      faultOfParameters("RCPT", path.parameters, this.#options, this.isSecure) ??
      faultOfAddress(path.address, allowsUtf8);
    if (fault !== undefined) {
      return this.#object("RCPT", fault);
    }
    const known = this.#knows(path.address);
    const reply =
      typeof known === "string" ? known : known ? "250 2.1.5 OK" : `550 5.1.1 <${path.address}>: no such mailbox`;
    return {
      stage: "RCPT",
      replies: [reply],
      endsGroup: false,
      commit: (code, given) => {
        const { address, parameters } = path;
        transaction.recipients.push({ address, parameters, reply: given.join("\n"), isAccepted: is2yz(code) });
        return "command";
      },
    };
  }

  #data(argument: string): Verdict {
    const { transaction } = this;
    const fault = faultOfData(argument, transaction);
    if (fault !== undefined) {
      return this.#object("DATA", fault, true);
    }
    const isReady = transaction?.recipients.some(({ isAccepted }) => isAccepted) ?? false;
    return {
      stage: "DATA",
      replies: [
        isReady ? "354 go on" : this.#isLmtp ? "503 5.5.1 no valid recipients" : "554 5.5.1 no valid recipients",
      ],
      endsGroup: true,
      commit: (code) => {
        if (code !== 354) {
          return "command";
        }
        if (this.transaction === undefined) {
          this.#open("", []);
        }
        this.transaction!.via = "DATA";
        return "data";
      },
    };
  }

  /** Content octets, un-stuffed. */
  take(part: Buffer): void {
    const { transaction } = this;
    if (transaction === undefined) {
      return;
    }
    this.#store.take(transaction, part);
  }

  /** A whole chunk has come; its octets were taken. */
  chunk(isLast: boolean): Verdict {
    const { transaction } = this;
    if (!this.#options.capabilities?.chunking) {
      return this.#object("BDAT", "500 5.5.2 CHUNKING was not offered");
    }
    if (
      transaction === undefined ||
      this.#failedChunk ||
      !transaction.recipients.some(({ isAccepted }) => isAccepted)
    ) {
      const reply =
        transaction === undefined || this.#failedChunk ? "503 5.5.1 no transaction" : "554 5.5.1 no valid recipients";
      if (transaction !== undefined) {
        this.#failedChunk = true;
      }
      return plainly("BDAT", reply);
    }
    transaction.via = "BDAT";
    if (isLast) {
      return this.complete();
    }
    return {
      stage: "BDAT",
      replies: [`250 2.0.0 ${transaction.sizeOctets} octets`],
      endsGroup: false,
      commit: (code) => {
        if (!is2yz(code)) {
          this.#failedChunk = true;
        }
        return "command";
      },
    };
  }

  /** The message is complete. */
  complete(): Verdict {
    const transaction = this.transaction!;
    transaction.isTerminated = true;
    this.#store.close(transaction);
    const accepted = transaction.recipients.filter(({ isAccepted }) => isAccepted);
    const limit = this.#options.capabilities?.size;
    let reply = this.contentFault ?? "250 2.0.0 stored";
    if (typeof limit === "number" && transaction.sizeOctets > limit) {
      reply = "552 5.3.4 message is too big";
    }
    if (accepted.length === 0) {
      reply = "554 5.5.1 no valid recipients";
    }
    return {
      stage: "terminator",
      subject: transaction.from,
      replies: this.#isLmtp ? accepted.map(({ address }) => `${reply} <${address}>`) : [reply],
      endsGroup: false,
      commit: (_code, given) => {
        const replies = wholeReplies(given);
        transaction.finalReplies.push(...replies);
        accepted.forEach((recipient, at) => {
          const final = replies[this.#isLmtp ? at : 0];
          if (final !== undefined) {
            recipient.finalReply = final;
          }
        });
        this.#store.count(transaction);
        this.transaction = undefined;
        this.#ledger.onTransaction?.(transaction);
        return "command";
      },
    };
  }

  #rset(): Verdict {
    return {
      stage: "RSET",
      replies: ["250 2.0.0 OK"],
      endsGroup: false,
      commit: (code) => {
        if (is2yz(code)) {
          this.end("RSET");
        }
        return "command";
      },
    };
  }

  #quit(): Verdict {
    this.#record.saidGoodbye = true;
    return {
      stage: "QUIT",
      replies: ["221 2.0.0 goodbye"],
      endsGroup: true,
      commit: () => {
        this.end("QUIT");
        return "quit";
      },
    };
  }

  #ask(verb: string, answer: (options: MailSessionOptions, argument: string) => Verdict, argument: string): Verdict {
    return this.#options.requireAuth && this.user === undefined
      ? plainly(verb, "530 5.7.0 authentication required", true)
      : answer(this.#options, argument);
  }

  #auth(argument: string): Verdict {
    if (!this.#isAtRest) {
      return this.#object("AUTH", "503 5.5.1 say hello first, and end the transaction", true);
    }
    if (this.user !== undefined) {
      return this.#object("AUTH", "503 5.5.1 already authenticated", true);
    }
    return this.#login.begin(argument, this.isSecure);
  }

  /** One line that answers a challenge. */
  respondToChallenge(line: string): Verdict {
    return this.#login.respond(line);
  }

  #startTls(argument: string): Verdict {
    if (this.#options.startTls === undefined || this.isSecure) {
      return this.#object("STARTTLS", "503 5.5.1 STARTTLS was not offered", true);
    }
    if (argument !== "") {
      return this.#object("STARTTLS", "501 5.5.4 STARTTLS takes no argument", true);
    }
    return {
      stage: "STARTTLS",
      replies: ["220 2.0.0 go ahead"],
      endsGroup: true,
      commit: (code) => (code === 220 ? "tls" : "command"),
    };
  }
}
