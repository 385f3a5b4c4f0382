/**
 * Dovecot's authentication protocol 1.1 as Postfix and Exim speak it: PLAIN and LOGIN, asked of a remote host. Postfix speaks first,
 * Exim waits for the handshake: so it is sent at once, MECH before SPID, by which both know the right socket.
 */
import { randomBytes } from "node:crypto";
import { RelaypostError } from "../errors.js";
import type { RemoteHosts } from "../remote-hosts.js";
import { InputBuffer, ProtocolError } from "./input-buffer.js";
import { type Answer, Hangup, type Session } from "./session.js";
import type { DovecotAuthSettings } from "./settings.js";

/** Logins of one connection that wait for a response of the client. MTAs have one. */
const MOST_LOGINS = 100;
const USERNAME_CHALLENGE = Buffer.from("Username:").toString("base64");
const PASSWORD_CHALLENGE = Buffer.from("Password:").toString("base64");
const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;

let lastClient = 0;

/** A login that waits for the client. */
type Login = { readonly mechanism: "PLAIN" } | { readonly mechanism: "LOGIN"; readonly username?: string };

/** Whether credentials are right; rejects when that is not known. */
export type CheckPassword = (username: string, secret: string) => Promise<boolean>;

/** One client, whose credentials a host is asked about. */
export function openDovecotAuth(
  settings: DovecotAuthSettings,
  remotes: RemoteHosts,
  tellFailure: (hostId: string | undefined, error: unknown) => void,
): DovecotAuthSession {
  const { host, timeoutMs, requestOctets } = settings;
  return new DovecotAuthSession(requestOctets, async (username, secret) => {
    try {
      return (await remotes.host(host).authenticate({ username, secret }, { timeoutMs })).found;
    } catch (error) {
      // An empty password, or one with NUL in it, opens no door.
      if (error instanceof RelaypostError && error.code === "INVALID_ARGUMENT") {
        return false;
      }
      tellFailure(host, error);
      throw error;
    }
  });
}

/** One client, sans IO. */
export class DovecotAuthSession implements Session {
  readonly greeting: string;
  readonly #input = new InputBuffer();
  readonly #mostOctets: number;
  readonly #check: CheckPassword;
  readonly #logins = new Map<string, Login>();

  constructor(mostOctets: number, check: CheckPassword) {
    this.#mostOctets = mostOctets;
    this.#check = check;
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
    const response = parameters.find((parameter) => parameter.startsWith("resp="))?.slice("resp=".length);
    const name = mechanism.toUpperCase();
    if (name !== "PLAIN" && name !== "LOGIN") {
      return fail(id, undefined);
    }
    this.#logins.set(id, { mechanism: name });
    // Exim always says resp=, though there may be none.
    if (response !== undefined && response !== "") {
      return this.#respond(id, response);
    }
    return name === "PLAIN" ? `CONT\t${id}\t\n` : `CONT\t${id}\t${USERNAME_CHALLENGE}\n`;
  }

  #continue([id = "", response = ""]: readonly string[]): Answer {
    return this.#logins.has(id) ? this.#respond(id, response) : fail(id.replace(/[^0-9]/g, "") || "0", undefined);
  }

  #respond(id: string, response: string): Answer {
    const login = this.#logins.get(id)!;
    this.#logins.delete(id);
    const text = decode(response);
    if (text === undefined) {
      return fail(id, undefined);
    }
    if (login.mechanism === "LOGIN") {
      if (login.username !== undefined) {
        return this.#verify(id, login.username, text);
      }
      this.#logins.set(id, { mechanism: "LOGIN", username: text });
      return `CONT\t${id}\t${PASSWORD_CHALLENGE}\n`;
    }
    const [authorization, username, secret, ...rest] = text.split("\0");
    if (username === undefined || secret === undefined || rest.length > 0) {
      return fail(id, undefined);
    }
    // Nobody acts for somebody else here.
    if (authorization !== "" && authorization !== username) {
      return fail(id, username);
    }
    return this.#verify(id, username, secret);
  }

  async #verify(id: string, username: string, secret: string): Promise<string> {
    let isRight: boolean;
    try {
      isRight = await this.#check(username, secret);
    } catch {
      // Both clients would take FAIL with code=temp_fail for a wrong password, and a lost connection for what it is.
      throw new Hangup();
    }
    return isRight ? `OK\t${id}\tuser=${tabEscape(username)}\n` : fail(id, username);
  }
}

function fail(id: string, username: string | undefined): string {
  return `FAIL\t${id}${username === undefined || username === "" ? "" : `\tuser=${tabEscape(username)}`}\n`;
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
