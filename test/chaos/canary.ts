/** A word that stands in every password of a run, and nowhere else. Serves hosts.ts and load.ts, which send it, and whoever sees what the library says. */

export const CANARY = "canary-of-this-run";

/** In base64 it looks otherwise behind one octet and behind two; what its neighbours have a part in is cut off. */
const FORMS = [
  CANARY,
  ...[0, 1, 2].map((before) =>
    Buffer.from("-".repeat(before) + CANARY)
      .toString("base64")
      .slice(before === 0 ? 0 : 4, -4),
  ),
];

/** Whether a password, or what SASL makes of one, stands in the text. */
export function holdsCanary(text: string): boolean {
  return FORMS.some((form) => text.includes(form));
}
