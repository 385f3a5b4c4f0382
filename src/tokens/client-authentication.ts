/** How the client of a token server proves who it is (RFC 6749 2.3, RFC 7523), in the words of oauth4webapi. Serves token-client.ts. */
import { createHash, createPrivateKey, type KeyObject, webcrypto, X509Certificate } from "node:crypto";
import * as oauth from "oauth4webapi";
import type { OAuth2Settings } from "../config/settings.js";
import { TokenError } from "./token-error.js";

/** In the body where nothing else is said, which is what the large providers of mail ask for. */
export async function clientAuthentication(settings: OAuth2Settings): Promise<oauth.ClientAuth> {
  const { clientSecret, clientAuth, privateKey, keyId, tokenUrl } = settings;
  if (privateKey !== undefined) {
    const thumbprints = thumbprintsOf(settings);
    const modify: oauth.ModifyAssertionFunction = (header, payload) => {
      // RFC 7523 3: the token endpoint's URL is what every server takes for its name.
      payload.aud = tokenUrl;
      Object.assign(header, thumbprints);
    };
    const key = await importKey(createPrivateKey(privateKey));
    return oauth.PrivateKeyJwt(keyId === undefined ? key : { key, kid: keyId }, { [oauth.modifyAssertion]: modify });
  }
  if (clientSecret === undefined) {
    return oauth.None();
  }
  return clientAuth === "basic" ? oauth.ClientSecretBasic(clientSecret) : oauth.ClientSecretPost(clientSecret);
}

/** RFC 7515 4.1.7 and 4.1.8: by which a server finds the key. Older ones know the first only. */
function thumbprintsOf({ certificate }: OAuth2Settings): Record<string, string> {
  if (certificate === undefined) {
    return {};
  }
  const { raw } = new X509Certificate(certificate);
  const hashed = (algorithm: string): string => createHash(algorithm).update(raw).digest("base64url");
  return { x5t: hashed("sha1"), "x5t#S256": hashed("sha256") };
}

const CURVES: Readonly<Record<string, string>> = { prime256v1: "P-256", secp384r1: "P-384", secp521r1: "P-521" };

async function importKey(key: KeyObject): Promise<oauth.CryptoKey> {
  const { asymmetricKeyType: type, asymmetricKeyDetails: details } = key;
  const curve = CURVES[details?.namedCurve ?? ""];
  const algorithm =
    type === "rsa"
      ? { name: "RSASSA-PKCS1-v1_5", hash: "SHA-256" }
      : type === "ed25519"
        ? { name: "Ed25519" }
        : type === "ec" && curve !== undefined
          ? { name: "ECDSA", namedCurve: curve }
          : undefined;
  if (algorithm === undefined) {
    throw new TokenError("was not asked: private-key-file must hold an RSA, Ed25519 or NIST curve's key", {
      isRefusal: true,
    });
  }
  const der = key.export({ type: "pkcs8", format: "der" });
  return await webcrypto.subtle.importKey("pkcs8", der, algorithm, false, ["sign"]);
}
