/** The verbs of `relaypost ctl`: what stands behind each, which options it takes, and what it does in a line. Serves ctl.ts and the help. */

/** Options that belong to some verbs only, by their names in argv. */
export type VerbOption = "user" | "recipient" | "for" | "refuse" | "count";

interface VerbUsage {
  readonly words: string;
  readonly options: readonly VerbOption[];
  readonly help: string;
}

export const CTL_VERBS = {
  hosts: { words: "", options: [], help: "all hosts at a glance, as top shows them" },
  why: { words: "ID", options: [], help: "what is wrong with a host, why, and what happened last" },
  connections: { words: "ID", options: [], help: "its connections one by one" },
  shadow: { words: "ID", options: [], help: "how often its shadow agreed, and where it did not" },
  forget: { words: "ID [ADDRESS]", options: ["user", "recipient"], help: "drop cached answers, all or some" },
  pause: { words: "ID", options: ["for", "refuse"], help: "use it no more: requests wait, connections QUIT" },
  resume: { words: "ID", options: [], help: "end a pause" },
  reconnect: { words: "ID", options: [], help: "try it at once, on new connections" },
  trace: { words: "ID", options: ["recipient", "for", "count"], help: "show its dialogue while it happens" },
  "log-level": { words: "LEVEL", options: [], help: "change the daemon's log, until its next start" },
} as const satisfies Readonly<Record<string, VerbUsage>>;

export type CtlVerb = keyof typeof CTL_VERBS;

const OPTIONS: readonly VerbOption[] = ["user", "recipient", "for", "refuse", "count"];

/** The options that were given, and that the verb does not take. */
export function foreignOptions(verb: CtlVerb, given: Readonly<Partial<Record<VerbOption, unknown>>>): VerbOption[] {
  const own: readonly VerbOption[] = CTL_VERBS[verb].options;
  return OPTIONS.filter((name) => given[name] !== undefined && !own.includes(name));
}
