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
export async function topSays(at: string, hosts: readonly Words[]): Promise<void> {
  await sayAll(hosts, async () => (await relaypost("top", at, "--once")).stdout);
}

export async function whySays(control: string, host: Words): Promise<void> {
  await sayAll([host], async () => (await relaypost("ctl", "--socket", control, "why", host.id)).stdout);
}

/** What is said of a host that is well again for a moment is asked for once more. */
async function sayAll(hosts: readonly Words[], read: () => Promise<string>): Promise<void> {
  let text = "";
  let missing = hosts;
  for (const endMs = Date.now() + 30_000; missing.length > 0 && Date.now() < endMs; ) {
    text = (await read()).replaceAll(/\n\s*/g, " ");
    missing = missing.filter(({ says }) => !says.test(text));
  }
  for (const { id, says } of missing) {
    assert.match(text, says, id);
  }
}
