/** Whom the simulated servers know. An address or a user tells by its first letter what a server that works says of it. */
import { createHmac } from "node:crypto";
import { ACCOUNT } from "./scenario.js";

/** `y`: known, `n` and the random recipients of workers/host/catch-all.ts: unknown, `t`: not now, `p`: refused for reasons that speak of the client. */
export function codeOf(address: string): { code: number; enhanced: string } {
  switch (address[0]) {
    case "y":
      return { code: 250, enhanced: "2.1.5" };
    case "n":
    case "r":
      return { code: 550, enhanced: "5.1.1" };
    case "t":
      return { code: 450, enhanced: "4.2.0" };
    default:
      return { code: 550, enhanced: "5.7.1" };
  }
}

/** In which of three domains it is, the one as often as the others; in runs without a limit of domains all are in the first. */
export function domainFor(number: number, rcptDomainMax: number): string {
  return rcptDomainMax === Number.POSITIVE_INFINITY ? "sim" : ["sim", "second.sim", "third.sim"][number % 3]!;
}

export function domainOf(address: string): string {
  return address.slice(address.indexOf("@") + 1);
}

/** The user `u7` has the password `p7`. */
export function passwordOf(username: string): string {
  return username === ACCOUNT.username ? ACCOUNT.secret : username.replace("u", "p");
}

/** A login by the server's rules (RFC 4616, RFC 2195 and the LOGIN of old): one per attempt. */
export class ServerLogin {
  username = "";
  private secret = "";

  constructor(
    readonly mechanism: string,
    private readonly challenge: string,
  ) {}

  /** Whether the password itself crosses the wire. */
  get showsSecret(): boolean {
    return this.mechanism !== "CRAM-MD5";
  }

  /** The next challenge in base64, or undefined when it has all it needs. `response` in base64; undefined at first. */
  next(response: string | undefined): string | undefined {
    const text = response === undefined ? undefined : Buffer.from(response, "base64").toString();
    switch (this.mechanism) {
      case "PLAIN": {
        if (text === undefined) {
          return "";
        }
        const [, username = "", secret = ""] = text.split("\0");
        this.username = username;
        this.secret = secret;
        return undefined;
      }
      case "LOGIN":
        if (text === undefined) {
          return Buffer.from("Username:").toString("base64");
        }
        if (this.username === "") {
          this.username = text;
          return Buffer.from("Password:").toString("base64");
        }
        this.secret = text;
        return undefined;
      default:
        if (text === undefined) {
          return Buffer.from(this.challenge).toString("base64");
        }
        return this.digest(text);
    }
  }

  get isRight(): boolean {
    return this.secret === passwordOf(this.username);
  }

  private digest(text: string): undefined {
    const [username = "", digest] = text.split(" ");
    this.username = username;
    const password = passwordOf(username);
    if (digest === createHmac("md5", password).update(this.challenge).digest("hex")) {
      this.secret = password;
    }
  }
}
