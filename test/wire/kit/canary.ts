/** Two secrets that must be found nowhere, and every form in which they might be. Serves the tests that look for them. */
import assert from "node:assert/strict";

export const SECRET = "Canary/7+Secret~With%Signs=and spaces";
/** The connections' own. */
export const ACCOUNT_SECRET = "Accounts?Canary&4 of+the=Gateway";

/** Every form in which a secret might show, by name. Base64 depends on what stands before it: three forms. */
function formsOf(secret: string): Map<string, string> {
  const octets = Buffer.from(secret);
  const forms = new Map([
    ["raw", secret],
    ["as JSON", JSON.stringify(secret).slice(1, -1)],
    ["hex", octets.toString("hex")],
    ["upper-case hex", octets.toString("hex").toUpperCase()],
    ["percent-encoded", encodeURIComponent(secret)],
    ["form-encoded", new URLSearchParams({ s: secret }).toString().slice(2)],
    ["octets", [...octets].join(", ")],
    [
      "inspected octets",
      octets
        .toString("hex")
        .replace(/..(?=.)/g, "$& ")
        .slice(0, 60),
    ],
  ]);
  for (let before = 0; before < 3; before++) {
    const encoded = Buffer.concat([Buffer.alloc(before), octets]).toString("base64");
    // Without the characters that also hold bits of the neighbours.
    const inner = encoded.slice(before === 0 ? 0 : before + 1, -4);
    forms.set(`base64 behind ${before}`, inner);
    forms.set(`base64url behind ${before}`, inner.replaceAll("+", "-").replaceAll("/", "_"));
  }
  return forms;
}

const FORMS = [SECRET, ACCOUNT_SECRET].flatMap((secret) => [...formsOf(secret)]);

export function assertClean(text: string, where: string): void {
  for (const [form, needle] of FORMS) {
    const at = text.indexOf(needle);
    assert.ok(at === -1, `a secret shows in ${where}, ${form}: …${text.slice(Math.max(0, at - 200), at)}…`);
  }
}

/** The same of what is in base64 there, whatever it is a part of. */
export function assertCleanWords(text: string, where: string): void {
  const words = text.match(/[A-Za-z0-9+/=]{8,}/g) ?? [];
  assertClean(words.map((word: string) => Buffer.from(word, "base64").toString("latin1")).join("\n"), where);
}
