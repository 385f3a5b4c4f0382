/**
 * Dovecot's authentication protocol 1.1 as Postfix and Exim speak it: PLAIN and LOGIN, checked on a remote host. Postfix speaks first and
 * Exim waits for the handshake, so it is sent at once, with MECH before SPID: by that order both recognise the right socket.
 */
import { randomBytes } from "node:crypto";
import type { Client } from "../api.js";
import { RelaypostError } from "../errors.js";
import type { RemoteHosts } from "../remote-hosts.js";
import { clientFrom } from "../request/client.js";
import { InputBuffer, ProtocolError } from "./input-buffer.js";
import { describeListenAddress } from "./listen-address.js";
import type { Login, LoginLog, RefusedLogin } from "./login-log.js";
import { type Answer, Hangup, type Session } from "./session.js";
import type { DovecotAuthSettings } from "./settings.js";
import { hostWords } from "./wording.js";

/** Logins of one connection that wait for a response of the client. MTAs have one. */
const MOST_LOGINS = 100;
const USERNAME_CHALLENGE = Buffer.from("Username:").toString("base64");
const PASSWORD_CHALLENGE = Buffer.from("Password:").toString("base64");
const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;

let lastClient = 0;

/** A login that waits for the client. */
interface LoginStep {
  readonly mechanism: "PLAIN" | "LOGIN";
  /** Whose login it is, as the MTA says (`rip=`): the MTA is our client, and this is the MTA's. */
  readonly client: string;
  /** The same with all that the MTA says of it; undefined: not even its address. */
  readonly onBehalfOf: Client | undefined;
  /** LOGIN, once it was said. */
  readonly username?: string;
}

/** What the host makes of credentials; `reason` in its own words. */
export type PasswordVerdict = { readonly isRight: true } | { readonly isRight: false; readonly reason: string };

/** What a session asks and tells. */
export interface DovecotAuthSources {
  /** Rejects when it is not known whether they are right. */
  check(username: string, secret: string, onBehalfOf: Client | undefined): Promise<PasswordVerdict>;
  accepted(login: Login): void;
  refused(login: RefusedLogin): void;
}

/** One client, whose credentials a host is asked about. */
export function openDovecotAuth(
  settings: DovecotAuthSettings,
  remotes: RemoteHosts,
  logins: LoginLog,
  tellFailure: (hostId: string | undefined, error: unknown) => void,
): DovecotAuthSession {
  const { host: hostId, timeoutMs, requestOctets } = settings;
  // An MTA that does not say whose login it is, has it itself.
  const mta = describeListenAddress(settings.listen);
  const ofSomebody = <T extends Login>(login: T): T => (login.client === "" ? { ...login, client: mta } : login);
  return new DovecotAuthSession(requestOctets, {
    accepted: (login) => logins.accepted(ofSomebody(login), hostId),
    refused: (login) => logins.refused(ofSomebody(login), hostId),
    async check(username, secret, client) {
      try {
        const host = remotes.host(hostId);
        const { found, reply } = await host.authenticate(
          { username, secret },
          client === undefined ? { timeoutMs } : { timeoutMs, client },
        );
        return found ? { isRight: true } : { isRight: false, reason: hostWords(reply, host.protocol) };
      } catch (error) {
        // An empty password, or one with NUL in it, opens no door.
        if (error instanceof RelaypostError && error.code === "INVALID_ARGUMENT") {
          return { isRight: false, reason: error.message };
        }
        tellFailure(hostId, error);
        throw error;
      }
    },
  });
}

/** One client, sans IO. */
export class DovecotAuthSession implements Session {
  readonly greeting: string;
  readonly #input = new InputBuffer();
  readonly #mostOctets: number;
  readonly #sources: DovecotAuthSources;
  readonly #logins = new Map<string, LoginStep>();

  constructor(mostOctets: number, sources: DovecotAuthSources) {
    this.#mostOctets = mostOctets;
    this.#sources = sources;
    lastClient++;
    this.greeting = [
      "VERSION\t1\t1",
      "MECH\tPLAIN\tplaintext",
      "MECH\tLOGIN\tplaintext",
      `SPID\t${process.pid}`,
      `CUID\t${lastClient}`,
      `COOKIE\t${randomBytes(16).toString("hex")}`,
      "DONE\n",
    ].join("\n");
  }

  receive(chunk: Buffer): void {
    this.#input.receive(chunk);
  }

  next(): Answer | undefined {
    const line = this.#input.takeLine(this.#mostOctets);
    if (line === undefined) {
      return undefined;
    }
    const [command, ...fields] = line.split("\t");
    switch (command) {
      case "VERSION":
        if (fields[0] !== "1") {
          throw new ProtocolError("the client speaks another version of the protocol");
        }
        return "";
      case "AUTH":
        return this.#begin(fields);
      case "CONT":
        return this.#continue(fields);
      case "CANCEL":
        this.#logins.delete(fields[0] ?? "");
        return "";
      default:
        // CPID, and whatever newer clients say.
        return "";
    }
  }

  #begin([id, mechanism = "", ...parameters]: readonly string[]): Answer {
    if (id === undefined || !/^[0-9]{1,10}$/.test(id)) {
      throw new ProtocolError("AUTH without the number of a request");
    }
    if (this.#logins.has(id)) {
      throw new ProtocolError("AUTH with the number of a request that is under way");
    }
    if (this.#logins.size >= MOST_LOGINS) {
      throw new ProtocolError(`more than ${MOST_LOGINS} logins are under way`);
    }
    const parameter = (name: string) => parameters.find((each) => each.startsWith(`${name}=`))?.slice(name.length + 1);
    const response = parameter("resp");
    const client = parameter("rip") ?? "";
    const name = mechanism.toUpperCase();
    if (name !== "PLAIN" && name !== "LOGIN") {
      return this.#refuse(id, { user: "", client, mechanism: name, reason: "no such mechanism here" });
    }
    const onBehalfOf = clientOf(client, parameter);
    this.#logins.set(id, { mechanism: name, client, onBehalfOf });
    // Exim always says resp=, though there may be none.
    if (response !== undefined && response !== "") {
      return this.#respond(id, response);
    }
    return name === "PLAIN" ? `CONT\t${id}\t\n` : `CONT\t${id}\t${USERNAME_CHALLENGE}\n`;
  }

  #continue([id = "", response = ""]: readonly string[]): Answer {
    // No login is under way by that number, so that none is refused.
    return this.#logins.has(id) ? this.#respond(id, response) : `FAIL\t${id.replace(/[^0-9]/g, "") || "0"}\n`;
  }

  #respond(id: string, response: string): Answer {
    const login = this.#logins.get(id)!;
    this.#logins.delete(id);
    const { mechanism, client } = login;
    const refuse = (reason: string, user = login.username ?? ""): string =>
      this.#refuse(id, { user, client, mechanism, reason });
    const text = decode(response);
    if (text === undefined) {
      return refuse("the response is no UTF-8 in base64");
    }
    if (mechanism === "LOGIN") {
      if (login.username !== undefined) {
        return this.#verify(id, login, login.username, text);
      }
      this.#logins.set(id, { ...login, username: text });
      return `CONT\t${id}\t${PASSWORD_CHALLENGE}\n`;
    }
    const [authorization, username, secret, ...rest] = text.split("\0");
    if (username === undefined || secret === undefined || rest.length > 0) {
      return refuse("the response is none of PLAIN");
    }
    // Nobody acts for somebody else here.
    if (authorization !== "" && authorization !== username) {
      return refuse("the authorization identity is another one than the user", username);
    }
    return this.#verify(id, login, username, secret);
  }

  async #verify(
    id: string,
    { client, onBehalfOf, mechanism }: LoginStep,
    user: string,
    secret: string,
  ): Promise<string> {
    let verdict: PasswordVerdict;
    try {
      verdict = await this.#sources.check(user, secret, onBehalfOf);
    } catch {
      // Both clients would take FAIL with code=temp_fail for a wrong password, and a lost connection for what it is.
      throw new Hangup();
    }
    if (verdict.isRight) {
      this.#sources.accepted({ user, client, mechanism });
      return `OK\t${id}\tuser=${tabEscape(user)}\n`;
    }
    return this.#refuse(id, { user, client, mechanism, reason: verdict.reason });
  }

  #refuse(id: string, login: RefusedLogin): string {
    this.#sources.refused(login);
    return `FAIL\t${id}${login.user === "" ? "" : `\tuser=${tabEscape(login.user)}`}\n`;
  }
}

function clientOf(address: string, parameter: (name: string) => string | undefined): Client | undefined {
  const local = parameter("lip");
  return clientFrom({
    address,
    port: Number(parameter("rport")),
    session: parameter("session"),
    local: local === undefined ? undefined : { address: local, port: Number(parameter("lport")) },
  });
}

function decode(response: string): string | undefined {
  if (!BASE64.test(response)) {
    return undefined;
  }
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(Buffer.from(response, "base64"));
  } catch {
    return undefined;
  }
}

/** As Dovecot does it (str_tabescape): what would end a field or a line. */
function tabEscape(text: string): string {
  const names: Readonly<Record<string, string>> = { "\0": "0", "\x01": "1", "\t": "t", "\r": "r", "\n": "n" };
  return text.replace(/[\0\x01\t\r\n]/g, (character) => `\x01${names[character]}`);
}
