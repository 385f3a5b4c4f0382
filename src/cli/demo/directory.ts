/** Who lives behind the demo's servers. They and the scenario share it, as a site's servers share one directory. */

/** Domain of the mailboxes that messages are relayed to. */
export const MAIL_DOMAIN = "example.org";
/** Domain of the mailboxes that are only asked about: the servers count those RCPTs as questions. */
export const ASKED_DOMAIN = "people.example.org";

/** Local parts that take mail in {@link MAIL_DOMAIN}. */
export const MAILBOXES = ["anna", "bo", "carl", "dora", "emil", "fatima", "desk", "reader"] as const;
/** Takes no mail today: 4yz. */
export const FULL_MAILBOX = "full";
/** Does not exist: 5yz. */
export const UNKNOWN_MAILBOX = "nobody";

/** Local parts that exist in {@link ASKED_DOMAIN}; `person0` to `person39`. */
export const PEOPLE: ReadonlySet<string> = new Set(Array.from({ length: 40 }, (_, index) => `person${index}`));

/** Passwords of users, and of the gateway itself. */
export const PASSWORDS: ReadonlyMap<string, string> = new Map([
  ["anna@example.org", "blue-heron-42"],
  ["bo@example.org", "pässwörd ünïcode"],
  ["relay_server", "123456"],
  ["gateway", "correct horse battery staple"],
]);
/** Accounts of connections, not of people: their logins are no questions. */
export const ACCOUNTS: ReadonlySet<string> = new Set(["relay_server", "gateway"]);

/** Mailing lists, for EXPN. */
export const LISTS: ReadonlyMap<string, readonly string[]> = new Map([
  ["staff", ["Anna Whitfield <anna@example.org>", "Bo Ek <bo@example.org>", "<carl@example.org>"]],
]);

/** What a server says to RCPT. */
export function verdictOn(address: string): "delivered" | "deferred" | "refused" {
  const at = address.lastIndexOf("@");
  const [local, domain] = [address.slice(0, at), address.slice(at + 1)];
  if (domain === ASKED_DOMAIN) {
    return PEOPLE.has(local) ? "delivered" : "refused";
  }
  if (domain !== MAIL_DOMAIN) {
    return "refused";
  }
  if (local === FULL_MAILBOX) {
    return "deferred";
  }
  return (MAILBOXES as readonly string[]).includes(local) ? "delivered" : "refused";
}
