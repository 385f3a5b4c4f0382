/** Takes addresses out of texts that others wrote, such as replies of hosts. Serves whatever shows the model to people. */

const MOST_CHARACTERS = 500;
/** `<anna>` and `<"a b"@c>`, then whatever has an at sign in it. */
const ADDRESS = /<[^<>]*>|"[^"]*"@[^\s<>,;:]+|[^\s<>()"',;:=]+@[^\s<>()"',;]+/g;

/** The text with a mark in place of each address: a host's words may repeat a recipient. */
export function withoutAddresses(text: string): string {
  return text.replace(ADDRESS, "‹address›");
}

/** Texts from outside have any length. */
export function bounded(text: string): string {
  return text.length <= MOST_CHARACTERS ? text : `${text.slice(0, MOST_CHARACTERS - 1)}…`;
}
