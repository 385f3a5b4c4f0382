/** Logs a connection in on the account of `remote.<id>.auth`: by its password, by an access token, or by our TLS certificate. Called by handshake.ts. */
import type { Reply } from "../../../src/api.js";
import type { AccountSettings } from "../../../src/config/settings.js";
import { type Failure, isFailure } from "../../../src/errors.js";
import type { UserCredentials } from "../../../src/messages/contract.js";
import { chooseExchange } from "../sasl/choose.js";
import type { SaslExchange } from "../sasl/exchange.js";
import { chooseExternal } from "../sasl/external.js";
import { AuthDialogue } from "./auth.js";
import type { HandshakeChannel } from "./channel.js";

/** What an account shows, as its refusal names it. */
const SHOWN = { password: "credentials of", token: "access token of", certificate: "certificate (tls.cert) of" };
const KEYS = { password: "auth", token: "auth.oauth2", certificate: "auth.external" };

/** @param done it is logged in */
export function logIn(channel: HandshakeChannel, auth: AccountSettings, done: () => void): void {
  const { username, by = "password" } = auth;
  const credentials = { username, secret: channel.token ?? auth.secret ?? "", isToken: by === "token" };
  const exchange = chooseFor(channel, credentials, by);
  if (isFailure(exchange)) {
    channel.fail(exchange);
    return;
  }
  new AuthDialogue(channel, exchange, credentials, {
    accepted: done,
    refused: (reply, complaint) =>
      channel.fail(refusal(`${SHOWN[by]} remote.${channel.settings.id}.${KEYS[by]}`, reply, complaint)),
    failed: (failure) => channel.fail(failure),
  }).begin();
}

function chooseFor(
  channel: HandshakeChannel,
  credentials: UserCredentials,
  by: "password" | "token" | "certificate",
): SaslExchange | Failure {
  const { settings, extensions, isSecure } = channel;
  if (by === "certificate") {
    return chooseExternal(extensions.auth, credentials.username, isSecure);
  }
  return chooseExchange(extensions.auth, credentials, {
    isSecure,
    allowPlaintext: settings.allowPlaintextAuth,
    randomBytes: channel.randomBytes,
    host: settings.address,
    port: settings.port,
  });
}

function refusal(what: string, reply: Reply, complaint: string | undefined): Failure {
  return {
    code: reply.code >= 500 ? "AUTH_FAILED" : "HOST_UNAVAILABLE",
    message: `The host refused the ${what}${complaint === undefined ? "" : ` (${complaint})`}.`,
    reply,
  };
}
