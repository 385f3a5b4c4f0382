/** Reads `remote.<id>.replies`: what the site knows of its host's replies. Serves read-table.ts; workers/wire/reply-rules.ts applies it. */
import { compileExpression } from "../regular-expression.js";
import { readInlineTable } from "./inline-table.js";
import type { Problems } from "./problems.js";
import type { ReplyRule } from "./settings.js";
import type { KeyPath } from "./toml.js";

const COMMANDS = ["rcpt", "auth", "vrfy", "expn"] as const;
const MEANINGS = ["found", "not-found", "no-answer"] as const;
const KEYS = ["to", "code", "enhanced", "text", "then"];
const MOST_RULES = 100;
const MOST_PATTERN_CHARACTERS = 1024;
/** An enhanced status code (RFC 3463), or an IMAP response code (RFC 9051 7.1). */
const ENHANCED = /^(?:[245]\.[0-9]{1,3}\.[0-9]{1,3}|[A-Z][A-Z0-9-]{0,63})$/;

/** How such an array looks. */
export const REPLY_RULES_FORM =
  'an array of tables such as { to = "rcpt", code = 550, enhanced = "5.7.1", text = "no such user", then = "not-found" }';

/** The rules in their order; mistakes are problems. */
export function readReplyRules(value: unknown, path: KeyPath, problems: Problems): readonly ReplyRule[] {
  if (!Array.isArray(value) || value.length > MOST_RULES) {
    problems.add(path, `must be ${REPLY_RULES_FORM}, at most ${MOST_RULES} of them`);
    return [];
  }
  return value.map((rule: unknown, index) => readRule(rule, [...path, index], problems));
}

function readRule(value: unknown, path: KeyPath, problems: Problems): ReplyRule {
  const of = readInlineTable(value, KEYS, path, problems);
  const wrong = (key: string, form: string): void => problems.add([...path, key], `must be ${form}`);
  const { to, code, enhanced, text, then } = of;
  if (!COMMANDS.includes(to as ReplyRule["to"])) {
    wrong("to", COMMANDS.map((command) => `"${command}"`).join(" or "));
  }
  if (code !== undefined && !(Number.isInteger(code) && (code as number) >= 200 && (code as number) <= 599)) {
    wrong("code", "a reply code from 200 to 599");
  }
  if (enhanced !== undefined && !(typeof enhanced === "string" && ENHANCED.test(enhanced))) {
    wrong("enhanced", 'an enhanced status code such as "5.7.1", or for IMAP a response code such as "CONTACTADMIN"');
  }
  if (text !== undefined && !isPattern(text)) {
    wrong("text", `a regular expression (RE2) of at most ${MOST_PATTERN_CHARACTERS} characters`);
  }
  if (code === undefined && enhanced === undefined && text === undefined) {
    problems.add(path, "needs code, enhanced or text: it would fit every reply");
  }
  if (!MEANINGS.includes(then as ReplyRule["meaning"])) {
    wrong("then", MEANINGS.map((meaning) => `"${meaning}"`).join(" or "));
  } else if (to === "auth" && then === "found") {
    problems.add([...path, "then"], 'may not be "found" for auth: a refused password would open the door');
  }
  return { to, code, enhanced, text, meaning: then } as ReplyRule;
}

function isPattern(text: unknown): boolean {
  if (typeof text !== "string" || text === "" || text.length > MOST_PATTERN_CHARACTERS) {
    return false;
  }
  try {
    compileExpression(text);
    return true;
  } catch {
    return false;
  }
}
