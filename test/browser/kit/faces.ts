/** What the page, `top --once` and `ctl why` say of a sick host. Serves the tests of all three. */
import assert from "node:assert/strict";
import type { Page } from "playwright-core";
import type { Patient } from "../../kit/ward.js";
import { relaypost } from "./command.js";

type Words = Pick<Patient, "id" | "cause" | "says">;

/** The row of a host tells its cause, and says what was broken. */
export async function pageSays(page: Page, { id, cause, says }: Words): Promise<void> {
  const row = page.locator(`[data-host="${id}"]`).and(page.locator(`[data-cause="${cause}"]`));
  await row.filter({ hasText: says }).waitFor({ timeout: 20_000 });
}

/** @param at the control listener's socket, or the page's address */
export async function topSays(at: string, { id, says }: Words): Promise<void> {
  await saysSo(id, says, async () => (await relaypost("top", at, "--once")).stdout);
}

export async function whySays(control: string, { id, says }: Words): Promise<void> {
  await saysSo(id, says, async () => (await relaypost("ctl", "--socket", control, "why", id)).stdout);
}

/** What is said of a host that is well again for a moment is asked for once more. */
async function saysSo(id: string, pattern: RegExp, read: () => Promise<string>): Promise<void> {
  let text = "";
  for (const endMs = Date.now() + 30_000; Date.now() < endMs; ) {
    text = (await read()).replaceAll(/\n\s*/g, " ");
    if (pattern.test(text)) {
      return;
    }
  }
  assert.match(text, pattern, id);
}
