/**
 * Whether a peer's words repeat a secret that it was sent: some servers do. Serves whoever passes such words on to errors and logs: the
 * dialogues of SASL, and the client of token servers.
 */

/**
 * @param text the peer's words
 * @param sent other forms in which the secret was on the wire
 */
export function repeatsSecret(text: string, secret: string, sent: readonly string[] = []): boolean {
  if (secret === "") {
    return false;
  }
  const octets = Buffer.from(secret);
  // Through the octets, because half a surrogate pair has no percent-encoding.
  const forms = [secret, octets.toString("base64"), octets.toString("hex"), encodeURIComponent(octets.toString())];
  const folded = text.toLowerCase();
  // Case is folded, because a server may shout back the whole command.
  return [...forms, ...sent].some((form) => form !== "" && folded.includes(form.toLowerCase()));
}
