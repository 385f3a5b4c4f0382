/**
 * `remote.<id>.replies`: what a site knows better about its host's replies. The sessions (smtp/, imap/) ask here before they judge a reply
 * themselves; a host without such rules has none of these objects.
 */
import { createRequire } from "node:module";
import type { RE2JS } from "re2js";
import type { Reply } from "../../src/api.js";
import type { ReplyRule } from "../../src/config/settings.js";

/** What a rule makes of a reply. */
export type ReplyMeaning = ReplyRule["meaning"];

const require = createRequire(import.meta.url);

interface CompiledRule extends ReplyRule {
  readonly pattern: RE2JS | undefined;
}

export class ReplyRules {
  private readonly rules: readonly CompiledRule[];

  constructor(rules: readonly ReplyRule[]) {
    // Loaded by hosts that have a text to match: a thread of others starts sooner without it. Linear-time: the text is the peer's.
    const compile = (text: string): RE2JS => (require("re2js") as typeof import("re2js")).RE2JS.compile(text);
    this.rules = rules.map((rule) => ({ ...rule, pattern: rule.text === undefined ? undefined : compile(rule.text) }));
  }

  /** The first rule that fits the reply tells what it means; `undefined`: none does. */
  meaning(to: ReplyRule["to"], reply: Reply): ReplyMeaning | undefined {
    return this.rules.find((rule) => fits(rule, to, reply))?.meaning;
  }
}

function fits(rule: CompiledRule, to: ReplyRule["to"], reply: Reply): boolean {
  return (
    rule.to === to &&
    (rule.code === undefined || rule.code === reply.code) &&
    (rule.enhanced === undefined || rule.enhanced === reply.enhanced) &&
    (rule.pattern === undefined || rule.pattern.matcher(reply.text).find())
  );
}
