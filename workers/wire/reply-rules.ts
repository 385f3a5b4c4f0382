/**
 * `remote.<id>.replies`: what a site knows better about its host's replies. The sessions (smtp/, imap/) ask here before they judge a reply
 * themselves; a host without such rules has none of these objects.
 */
import type { Reply } from "../../src/api.js";
import type { ReplyRule } from "../../src/config/settings.js";
import { compileExpression, type RegularExpression } from "../../src/regular-expression.js";

/** What a rule makes of a reply. */
export type ReplyMeaning = ReplyRule["meaning"];

interface CompiledRule extends ReplyRule {
  readonly pattern: RegularExpression | undefined;
}

export class ReplyRules {
  private readonly rules: readonly CompiledRule[];

  constructor(rules: readonly ReplyRule[]) {
    const compile = (text: string | undefined) => (text === undefined ? undefined : compileExpression(text));
    this.rules = rules.map((rule) => ({ ...rule, pattern: compile(rule.text) }));
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
