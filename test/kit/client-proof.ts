/** How a token server finds out who its client is: by a password in the request, or by an assertion that the client has signed. Serves the tests of accounts by OAuth 2.0. */
import { type KeyObject, verify } from "node:crypto";
import type { TokenServer } from "./token-server.js";

type Knows = TokenServer["knows"];

/** What an assertion must say, and whose key must have signed it. */
export interface Assertion {
  readonly key: KeyObject;
  readonly header: Readonly<Record<string, unknown>>;
  /** `iss`, `sub` and `aud`. */
  readonly claims: Readonly<Record<string, unknown>>;
}

/** RFC 6749 2.3.1: name and password are form-encoded before they are joined, and stand nowhere else. */
export function byBasic(clientId: string, secret: string): Knows {
  return (request, { authorization = "" }) => {
    const [, encoded] = /^Basic (\S+)$/.exec(authorization) ?? [];
    const parts = Buffer.from(encoded ?? "", "base64")
      .toString("latin1")
      .split(":");
    const [name, password] = parts.map((part) => decodeURIComponent(part.replaceAll("+", " ")));
    return parts.length === 2 && name === clientId && password === secret && !request.has("client_secret");
  };
}

/** RFC 7523 3, RFC 7515: the header as it is said and no more, the claims, and the signature over both. */
export function byAssertion({ key, header, claims }: Assertion): Knows {
  return (request) => {
    const [head = "", payload = "", signature = ""] = request.get("client_assertion")?.split(".") ?? [];
    const said = read(payload);
    const hash = header.alg === "Ed25519" ? null : `sha${String(header.alg).slice(2)}`;
    const verifier = { key, dsaEncoding: "ieee-p1363" } as const;
    return (
      request.get("client_assertion_type") === "urn:ietf:params:oauth:client-assertion-type:jwt-bearer" &&
      !request.has("client_secret") &&
      isSame(read(head), header) &&
      Object.entries(claims).every(([name, value]) => said[name] === value) &&
      Number(said.exp) * 1000 > Date.now() &&
      verify(hash, Buffer.from(`${head}.${payload}`), verifier, Buffer.from(signature, "base64url"))
    );
  };
}

function read(part: string): Record<string, unknown> {
  return JSON.parse(Buffer.from(part, "base64url").toString()) as Record<string, unknown>;
}

function isSame(one: Record<string, unknown>, other: Readonly<Record<string, unknown>>): boolean {
  const sorted = (object: object): string => JSON.stringify(Object.entries(object).sort());
  return sorted(one) === sorted(other);
}
