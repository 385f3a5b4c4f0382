/**
 * The reference gateway: receives SMTP or LMTP; mail-transactions.ts decides about each message and relays it. The client is told 250 only
 * when the host has said so. Made by listener.ts.
 */
import { SMTPServer, type SMTPServerAuthentication, type SMTPServerOptions, type SMTPServerSession } from "smtp-server";
import { answerToTheEnd, connectionOf } from "../adapters/half-open.js";
import { clientOf } from "../adapters/session-client.js";
import type { LookupAnswer } from "../api.js";
import { RelaypostError } from "../errors.js";
import { bind } from "./bind.js";
import { disabledInClear, optionsOf, senderMistake } from "./gateway-envelope.js";
import { GatewayFront } from "./gateway-front.js";
import { describeListenAddress, type ListenAddress } from "./listen-address.js";
import { type GatewaySources, LOOKUP_TIMEOUT_MS, MailTransactions, RefusedWith } from "./mail-transactions.js";
import type { GatewaySettings } from "./settings.js";
import type { GatewayReply } from "./verdict.js";
import { hostWords, logged } from "./wording.js";

const LOGIN_FIRST: GatewayReply = { code: 530, text: "5.7.0 authentication required" };

/** One listener. */
export class Gateway {
  readonly #server: SMTPServer;
  readonly #settings: GatewaySettings;
  readonly #sources: GatewaySources;
  readonly #transactions: MailTransactions;
  /** Where clients come through proxies. */
  readonly #front: GatewayFront | undefined;

  constructor(settings: GatewaySettings, sources: GatewaySources) {
    this.#settings = settings;
    this.#sources = sources;
    this.#transactions = new MailTransactions(settings, sources);
    this.#server = answerToTheEnd(new SMTPServer({ ...optionsOf(settings), ...this.#handlers() }));
    if (settings.proxyFrom.length > 0) {
      this.#front = new GatewayFront(settings.proxyFrom, settings.clients, this.#server, (error) => {
        sources.throttle.warn("serve-client-broken", `a client's connection was closed: ${logged(error.message)}`);
      });
    }
    // smtp-server counts them too, and says 421 past the limit.
    this.#server.server.on("connection", () => {
      if (this.#server.connections.size < settings.clients) {
        return;
      }
      const message = `a client was turned away: there are ${settings.clients} (limits.clients)`;
      this.#sources.throttle.warn("serve-clients-limit", message);
    });
    this.#server.on("error", (error: NodeJS.ErrnoException) => {
      // A place that cannot be listened on is no client's doing: bind.ts says so.
      if (error.syscall === "listen") {
        return;
      }
      this.#sources.throttle.warn("serve-client-broken", `a client's connection failed: ${logged(error.message)}`);
    });
  }

  /** What becomes of each step of a client's session. */
  #handlers(): SMTPServerOptions {
    const settings = this.#settings;
    return {
      onAuth: (auth, session, done) => {
        this.#authenticate(auth, session).then(
          (user) => done(null, { user }),
          (error: Error) => done(error),
        );
      },
      onConnect: (session, done) => {
        const connection = this.#front === undefined ? undefined : connectionOf(this.#server, session);
        if (connection !== undefined) {
          this.#front!.introduce(connection);
        }
        if (!session.secure) {
          session.disabledCommands = disabledInClear(settings);
        }
        done();
      },
      onSecure: (_socket, session, done) => {
        session.disabledCommands = settings.auth === undefined ? ["AUTH"] : [];
        done();
      },
      onMailFrom: (address, session, done) => {
        const mustLogIn = settings.auth?.isRequired === true && typeof session.user !== "string";
        const mistake = mustLogIn ? LOGIN_FIRST : senderMistake(address.address);
        if (mistake === undefined) {
          this.#transactions.begin(address);
        }
        done(mistake === undefined ? null : new RefusedWith(mistake));
      },
      onRcptTo: (address, session, done) => {
        this.#transactions.accept(address, session).then(() => done(), done);
      },
      onData: (stream, session, done) => {
        this.#transactions.relay(stream, session).then(
          (replies) => answer(replies, settings.protocol, done),
          (error: Error) => done(error),
        );
      },
    };
  }

  /** Clients now. */
  get count(): number {
    return this.#server.connections.size;
  }

  /** Messages answered so far. */
  get answers(): number {
    return this.#transactions.answers;
  }

  /** Logins refused so far. */
  get refusedLogins(): number {
    return this.#sources.logins.count;
  }

  listen(): Promise<ListenAddress> {
    return bind(this.#front?.server ?? this.#server.server, this.#settings.listen, this.#settings.mode);
  }

  /** Stops listening, waits at most `drainMs` for messages on their way, then says 421 to everybody. */
  async close(drainMs: number): Promise<void> {
    if (this.#front === undefined) {
      this.#server.server.close();
    }
    this.#front?.close();
    const sayGoodbye = (): void => {
      for (const connection of this.#server.connections) {
        if (!this.#transactions.isRelaying(connection.session)) {
          connection.send(421, "4.3.2 closing down, try again later");
        }
      }
    };
    sayGoodbye();
    await this.#transactions.quiet(drainMs);
    // The reply to the last message goes out first.
    await new Promise((resolve) => setImmediate(resolve));
    sayGoodbye();
    for (const connection of this.#server.connections) {
      connection.close();
    }
    this.#sources.logins.close();
  }

  async #authenticate(auth: SMTPServerAuthentication, session: SMTPServerSession): Promise<string> {
    const { username = "", password, accessToken, authzid, method } = auth;
    const hostId = this.#settings.auth?.host ?? "";
    const client = session.remoteAddress || describeListenAddress(this.#settings.listen);
    const login = { user: username, client, mechanism: method };
    const refuse = (reason: string): never => {
      this.#sources.logins.refused({ ...login, reason }, hostId);
      throw new RefusedWith({ code: 535, text: "5.7.8 authentication credentials invalid" });
    };
    if (authzid !== undefined && authzid !== "" && authzid !== username) {
      refuse("the authorization identity is another one than the user");
    }
    const credentials = accessToken === undefined ? { username, secret: password ?? "" } : { username, accessToken };
    let answer: LookupAnswer;
    try {
      answer = await this.#sources.remotes
        .host(hostId)
        .authenticate(credentials, { timeoutMs: LOOKUP_TIMEOUT_MS, ...clientOf(session) });
    } catch (error) {
      if (error instanceof RelaypostError && error.code === "INVALID_ARGUMENT") {
        return refuse(error.message);
      }
      this.#sources.tellFailure(hostId, error);
      throw new RefusedWith({ code: 454, text: "4.7.0 temporary authentication failure" });
    }
    if (!answer.found) {
      return refuse(hostWords(answer.reply, this.#sources.remotes.host(hostId).protocol));
    }
    this.#sources.logins.accepted(login, hostId);
    return username;
  }
}

/** An array has a reply for each recipient in LMTP; smtp-server takes one message for SMTP. */
function answer(
  replies: readonly GatewayReply[],
  protocol: GatewaySettings["protocol"],
  done: Parameters<NonNullable<SMTPServerOptions["onData"]>>[2],
): void {
  const worded = replies.map((reply) => (reply.code === 250 ? reply.text : new RefusedWith(reply)));
  if (protocol === "lmtp") {
    done(null, worded);
  } else if (worded[0] instanceof Error) {
    done(worded[0]);
  } else {
    done(null, worded[0] as string);
  }
}
