/** `npm run screenshots`: pictures of the page for README and docs, of a running daemon with hosts that are prepared. Writes docs/images/. */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { SickWard } from "../kit/sick-ward.js";
import { WardDaemon } from "../kit/ward-daemon.js";
import { TestBrowser } from "./kit/browser.js";

const FOLDER = fileURLToPath(new URL("../../../docs/images/", import.meta.url));
/** The charts show the last minute: half of it is a picture. */
const HISTORY_MS = 30_000;

interface Picture {
  readonly name: string;
  readonly width: number;
  readonly height: number;
  readonly colorScheme: "light" | "dark";
  /** The host whose row is open, and brought into view. */
  readonly host?: string;
}

const PICTURES: readonly Picture[] = [
  { name: "page", width: 1280, height: 760, colorScheme: "light" },
  { name: "page-host", width: 1000, height: 900, colorScheme: "dark", host: "crowded" },
  { name: "page-narrow", width: 380, height: 760, colorScheme: "light", host: "lame" },
];

mkdirSync(FOLDER, { recursive: true });
await using house = await WardDaemon.open(await SickWard.open());
await using browser = await TestBrowser.launch();
await house.sicken();
await pause(HISTORY_MS);
for (const { name, width, height, colorScheme, host } of PICTURES) {
  const url = host === undefined ? house.url : `${house.url}/#${host}`;
  const { page, complaints } = await browser.open(url, { viewport: { width, height }, colorScheme });
  if (host !== undefined) {
    await page.locator(".chart canvas").nth(3).waitFor();
    await page.locator(`[data-host="${host}"]`).evaluate((row) => row.scrollIntoView());
  }
  // The sparklines come with the first look after the page was opened.
  await page.locator(".spark .line").first().waitFor();
  await page.screenshot({ path: join(FOLDER, `${name}.jpg`), type: "jpeg", quality: 75 });
  if (complaints.length > 0) {
    throw new Error(complaints.join("\n"));
  }
}
process.exit();
