/** Keeps credentials out of replies before they reach answers, errors and logs: some servers repeat what they were sent. */
import type { UserCredentials } from "../../../src/messages/contract.js";

/** What stands in place of such a text. */
const WITHHELD = "(withheld: the reply repeats the credentials)";

/**
 * The text of a reply, unless it holds the secret in a form that was on the wire.
 * @param text the peer's words
 * @param sent the lines that carried credentials, as they were written
 */
export function withholdCredentials(text: string, { secret }: UserCredentials, sent: readonly string[] = []): string {
  if (secret === "") {
    return text;
  }
  const octets = Buffer.from(secret);
  // Through the octets, because half a surrogate pair has no percent-encoding.
  const forms = [secret, octets.toString("base64"), octets.toString("hex"), encodeURIComponent(octets.toString())];
  const folded = text.toLowerCase();
  // Case is folded, because a server may shout back the whole command.
  return [...forms, ...sent].some((form) => form !== "" && folded.includes(form.toLowerCase())) ? WITHHELD : text;
}
