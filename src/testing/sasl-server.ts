/**
 * The server's side of SASL, for the SMTP, LMTP and IMAP sessions of the kit: PLAIN (RFC 4616), LOGIN, CRAM-MD5 (RFC 2195),
 * SCRAM-SHA-1 and -256 (RFC 5802, 7677), XOAUTH2 and OAUTHBEARER (RFC 7628). It can be told to misbehave.
 */
import { createHash, createHmac, pbkdf2Sync, randomBytes, timingSafeEqual } from "node:crypto";

/** Who may log in, and how the server strays from the rules. */
export interface SaslAccounts {
  /** Passwords by username. */
  readonly users?: Readonly<Record<string, string>>;
  /** OAuth access tokens by username. */
  readonly tokens?: Readonly<Record<string, string>>;
  /** Iterations that SCRAM asks for. Default 4,096. What is asked for past 1,000,000 is not computed: the login then fails. */
  readonly scramIterations?: number;
  /** Send a SCRAM signature that is not the server's, although the password was right. */
  readonly forgeSignature?: boolean;
}

/** Where an exchange stands: the server asks on, or has decided. */
export type SaslState =
  | { readonly kind: "challenge"; readonly data: Buffer }
  | { readonly kind: "accepted"; readonly username: string; readonly data?: Buffer }
  | { readonly kind: "rejected"; readonly username: string | undefined }
  /** The client's data cannot be read at all. */
  | { readonly kind: "malformed" };

/** Takes one response of the client. */
export type SaslExchange = (response: Buffer) => SaslState;

const MECHANISMS: Record<string, { exchange(accounts: SaslAccounts): SaslExchange; clientFirst: boolean }> = {
  PLAIN: { exchange: plain, clientFirst: true },
  LOGIN: { exchange: login, clientFirst: false },
  "CRAM-MD5": { exchange: cramMd5, clientFirst: false },
  "SCRAM-SHA-1": { exchange: (accounts) => scram(accounts, "sha1"), clientFirst: true },
  "SCRAM-SHA-256": { exchange: (accounts) => scram(accounts, "sha256"), clientFirst: true },
  XOAUTH2: {
    exchange: (accounts) => bearer(accounts, /^user=([^\x01]*)\x01auth=Bearer ([^\x01]*)\x01\x01$/),
    clientFirst: true,
  },
  OAUTHBEARER: {
    exchange: (accounts) =>
      bearer(accounts, /^n,a=([^,]*),\x01(?:[^\x01]+\x01)*?auth=Bearer ([^\x01]*)\x01(?:[^\x01]+\x01)*\x01$/),
    clientFirst: true,
  },
};

/** Begins an exchange; `undefined`: no such mechanism. `initial` is the client's initial response, where it sent one. */
export function beginSasl(
  mechanism: string,
  initial: Buffer | undefined,
  accounts: SaslAccounts,
): { readonly next: SaslExchange; readonly state: SaslState } | undefined {
  const entry = MECHANISMS[mechanism.toUpperCase()];
  if (entry === undefined) {
    return undefined;
  }
  const next = entry.exchange(accounts);
  if (initial !== undefined) {
    // LOGIN takes the username as initial response by custom; CRAM-MD5 has nothing that a client could say first.
    if (mechanism.toUpperCase() === "CRAM-MD5") {
      return { next, state: { kind: "malformed" } };
    }
    if (mechanism.toUpperCase() === "LOGIN") {
      next(Buffer.alloc(0));
    }
    return { next, state: next(initial) };
  }
  const state: SaslState = entry.clientFirst ? { kind: "challenge", data: Buffer.alloc(0) } : next(Buffer.alloc(0));
  return { next, state };
}

function decide(username: string, isRight: boolean): SaslState {
  return isRight ? { kind: "accepted", username } : { kind: "rejected", username };
}

function plain(accounts: SaslAccounts): SaslExchange {
  return (response) => {
    const [authzid, username, secret, ...rest] = response.toString("utf8").split("\0");
    if (username === undefined || secret === undefined || rest.length > 0 || username === "") {
      return { kind: "malformed" };
    }
    if (authzid !== "" && authzid !== username) {
      return { kind: "rejected", username };
    }
    return decide(username, passwordOf(accounts, username) === secret);
  };
}

function login(accounts: SaslAccounts): SaslExchange {
  let turn = 0;
  let username = "";
  return (response) => {
    turn++;
    if (turn === 1) {
      return { kind: "challenge", data: Buffer.from("Username:") };
    }
    if (turn === 2) {
      username = response.toString("utf8");
      return { kind: "challenge", data: Buffer.from("Password:") };
    }
    return decide(username, passwordOf(accounts, username) === response.toString("utf8"));
  };
}

function cramMd5(accounts: SaslAccounts): SaslExchange {
  const challenge = `<${randomBytes(8).toString("hex")}.${process.pid}@relaypost.test>`;
  let isAsked = false;
  return (response) => {
    if (!isAsked) {
      isAsked = true;
      return { kind: "challenge", data: Buffer.from(challenge) };
    }
    const match = /^(.+) ([0-9a-f]{32})$/s.exec(response.toString("utf8"));
    if (match === null) {
      return { kind: "malformed" };
    }
    const secret = passwordOf(accounts, match[1]!);
    return decide(
      match[1]!,
      secret !== undefined && createHmac("md5", secret).update(challenge).digest("hex") === match[2],
    );
  };
}

function bearer(accounts: SaslAccounts, shape: RegExp): SaslExchange {
  let rejected: string | undefined;
  return (response) => {
    // RFC 7628 3.2.3: the error went out as a challenge, the client has answered with a dummy; now it is final.
    if (rejected !== undefined) {
      return { kind: "rejected", username: rejected };
    }
    const match = shape.exec(response.toString("utf8"));
    if (match === null) {
      return { kind: "malformed" };
    }
    const username = match[1]!.replace(/=2C/g, ",").replace(/=3D/g, "=");
    if (tokenOf(accounts, username) === match[2]) {
      return { kind: "accepted", username };
    }
    rejected = username;
    return { kind: "challenge", data: Buffer.from('{"status":"invalid_token","schemes":"bearer","scope":"mail"}') };
  };
}

function scram(accounts: SaslAccounts, hash: "sha1" | "sha256"): SaslExchange {
  let clientFirstBare = "";
  let serverFirst = "";
  let username = "";
  let secret: string | undefined;
  let nonce = "";
  let isDecided = false;
  const salt = randomBytes(16);
  const iterations = accounts.scramIterations ?? 4_096;
  return (response) => {
    if (isDecided) {
      return { kind: "accepted", username };
    }
    const message = response.toString("utf8");
    if (serverFirst === "") {
      const match = /^n,(?:a=([^,]*))?,(n=([^,]+),r=([!-+\--~]+)(?:,.*)?)$/.exec(message);
      if (match === null) {
        return { kind: "malformed" };
      }
      clientFirstBare = match[2]!;
      username = match[3]!.replace(/=2C/g, ",").replace(/=3D/g, "=");
      secret = passwordOf(accounts, username);
      nonce = match[4]! + randomBytes(12).toString("hex");
      serverFirst = `r=${nonce},s=${salt.toString("base64")},i=${iterations}`;
      return { kind: "challenge", data: Buffer.from(serverFirst) };
    }
    const match = /^(c=([^,]+),r=([^,]+)(?:,[^p][^,]*)*),p=([^,]+)$/.exec(message);
    if (match === null || Buffer.from(match[2]!, "base64").toString("latin1")[0] !== "n") {
      return { kind: "malformed" };
    }
    if (match[3] !== nonce || secret === undefined || iterations > 1_000_000) {
      return { kind: "rejected", username };
    }
    const authMessage = `${clientFirstBare},${serverFirst},${match[1]}`;
    const keys = scramKeys(secret, salt, iterations, hash);
    const proof = Buffer.from(match[4]!, "base64");
    if (!isProofRight(proof, keys.storedKey, authMessage, hash)) {
      return { kind: "rejected", username };
    }
    const signature = createHmac(hash, keys.serverKey).update(authMessage).digest();
    if (accounts.forgeSignature) {
      signature[0]! ^= 1;
    }
    isDecided = true;
    return { kind: "challenge", data: Buffer.from(`v=${signature.toString("base64")}`) };
  };
}

function scramKeys(secret: string, salt: Buffer, iterations: number, hash: "sha1" | "sha256") {
  const salted = pbkdf2Sync(secret.normalize("NFKC"), salt, iterations, hash === "sha1" ? 20 : 32, hash);
  const clientKey = createHmac(hash, salted).update("Client Key").digest();
  return {
    storedKey: createHash(hash).update(clientKey).digest(),
    serverKey: createHmac(hash, salted).update("Server Key").digest(),
  };
}

function isProofRight(proof: Buffer, storedKey: Buffer, authMessage: string, hash: "sha1" | "sha256"): boolean {
  const signature = createHmac(hash, storedKey).update(authMessage).digest();
  if (proof.length !== signature.length) {
    return false;
  }
  const clientKey = Buffer.from(signature.map((octet, at) => octet ^ proof[at]!));
  return timingSafeEqual(createHash(hash).update(clientKey).digest(), storedKey);
}

function passwordOf(accounts: SaslAccounts, username: string): string | undefined {
  return accounts.users !== undefined && Object.hasOwn(accounts.users, username) ? accounts.users[username] : undefined;
}

function tokenOf(accounts: SaslAccounts, username: string): string | undefined {
  return accounts.tokens !== undefined && Object.hasOwn(accounts.tokens, username)
    ? accounts.tokens[username]
    : undefined;
}
