/** The keys of `remote.<id>.shadow`. A part of schema.ts. */
import { LOOKUP_KINDS } from "../lookup-kinds.js";

export const SHADOW_KEYS = {
  "shadow.host": {
    kind: "text",
    meaning:
      "For a migration: the id of another host that a share of the lookups is asked of too, off the caller's path; contradictions are counted and logged. See [migrating.md](migrating.md#from-one-host-to-another).",
  },
  "shadow.share": {
    kind: "fraction",
    fallback: 0.1,
    most: 1,
    meaning: "The share of the lookups: `0.1` is a tenth, `1` is all of them.",
  },
  "shadow.kinds": {
    kind: "texts",
    fallbackName: '`["rcpt"]`',
    check: {
      isRight: (text: string) => LOOKUP_KINDS.some((kind) => kind === text),
      form: '"rcpt", "auth", "vrfy" or "expn"',
    },
    meaning:
      "Which lookups. With `auth` users' passwords are sent to the other host, but only those that are right here, and none of a user for a day after one that may have been wrong there.",
  },
  "shadow.addresses": {
    kind: "boolean",
    fallback: false,
    meaning: "Whether the log (`shadow-differs`) names the recipient or user.",
  },
} as const;
