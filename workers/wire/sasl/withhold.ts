/** Keeps credentials out of replies before they reach answers, errors and logs: some servers repeat what they were sent. */
import type { UserCredentials } from "../../../src/messages/contract.js";
import { repeatsSecret } from "../../../src/secret-forms.js";

/** What stands in place of such a text. */
const WITHHELD = "(withheld: the reply repeats the credentials)";

/**
 * The text of a reply, unless it holds the secret in a form that was on the wire.
 * @param text the peer's words
 * @param sent the lines that carried credentials, as they were written
 */
export function withholdCredentials(text: string, { secret }: UserCredentials, sent: readonly string[] = []): string {
  return repeatsSecret(text, secret, sent) ? WITHHELD : text;
}
