/** The operator's page in a real Chromium, on a daemon with a sick host of every cause: it says what was broken, to everybody, and nothing that it should not. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { causesOf, SICK_HOSTS } from "../kit/sick-hosts.js";
import { ACCOUNT_SECRET, SickWard } from "../kit/sick-ward.js";
import { RECIPIENT_DOMAIN } from "../kit/ward.js";
import { WardDaemon } from "../kit/ward-daemon.js";
import { TestBrowser } from "./kit/browser.js";
import { CONTROL, relaypost } from "./kit/command.js";
import { pageSays } from "./kit/faces.js";
import { seriousFindings } from "./kit/findings.js";

const WIDTHS = [1440, 800, 380];

describe("the operator's page", { timeout: 180_000 }, () => {
  let house: WardDaemon<SickWard>;
  let browser: TestBrowser;

  before(async () => {
    [house, browser] = await Promise.all([WardDaemon.open(await SickWard.open(), CONTROL), TestBrowser.launch()]);
    await house.sicken();
  });

  after(async () => {
    await browser?.[Symbol.asyncDispose]();
    await house?.[Symbol.asyncDispose]();
  });

  it("says of each sick host what was broken, sick ones first", async () => {
    const { patients } = house.ward;
    assert.deepEqual(patients.map(({ cause }) => cause).sort(), causesOf("ward").sort(), "no cause is left out");
    const { page } = await browser.open(house.url);
    for (const patient of patients) {
      await pageSays(page, patient);
    }
    const order = await page.locator(".host").evaluateAll((rows) => rows.map((row) => row.className.split(" ")[1]));
    const ranks = order.map((severity) => ["down", "degraded", "notice", "healthy"].indexOf(severity!));
    assert.deepEqual(
      ranks,
      ranks.toSorted((a, b) => a - b),
      "sick ones first",
    );
  });

  it("says that a host was paused, for as long as it is", async () => {
    const control = join(house.ward.folder, "control");
    const { id } = SICK_HOSTS.paused;
    const { page } = await browser.open(`${house.url}/#${id}`);
    assert.equal((await relaypost("ctl", "--socket", control, "pause", id, "--for", "1h")).code, 0);
    await pageSays(page, { cause: "paused", ...SICK_HOSTS.paused });
    assert.equal((await relaypost("ctl", "--socket", control, "resume", id)).code, 0);
    await pageSays(page, { cause: "idle", ...SICK_HOSTS.idle });
  });

  for (const colorScheme of ["light", "dark"] as const) {
    for (const width of WIDTHS) {
      it(`fits into ${width} pixels, ${colorScheme}, and axe finds nothing serious`, async () => {
        const viewport = { width, height: 900 };
        const { page, complaints } = await browser.open(`${house.url}/#crowded`, { viewport, colorScheme });
        await page.locator(".chart canvas").nth(3).waitFor();
        const overhang = await page.evaluate("document.documentElement.scrollWidth - window.innerWidth");
        assert.equal(overhang, 0, "nothing sticks out to the right");
        assert.deepEqual(await seriousFindings(page), []);
        assert.deepEqual(complaints, [], "the console is silent");
      });
    }
  }

  it("is used by keyboard, and reads aloud", async () => {
    const { page } = await browser.open(house.url);
    const button = page.getByRole("button", { name: /^gone\s*, down$/ });
    // The filter comes first, then the hosts.
    await page.keyboard.press("Tab");
    await page.keyboard.press("Tab");
    assert.equal(
      await page.locator(":focus").getAttribute("aria-controls"),
      await button.getAttribute("aria-controls"),
    );
    await page.keyboard.press("Enter");
    assert.equal(await button.getAttribute("aria-expanded"), "true");
    assert.ok(page.url().endsWith("#gone"), "the address names the host");
    const panel = page.getByRole("region", { name: "gone in detail" });
    await panel.getByRole("img", { name: /^Requests, a second: messages 0 now/ }).waitFor();
    await panel.getByText("connect-failed").first().waitFor();
    await page.keyboard.press("Enter");
    assert.equal(await button.getAttribute("aria-expanded"), "false");
  });

  it("brings the host that the address names into view, and bears an address that was cut", async () => {
    const { page } = await browser.open(`${house.url}/#well`, { viewport: { width: 800, height: 500 } });
    const row = page.locator('[data-host="well"]');
    await row.and(page.locator(".open")).waitFor();
    await page.waitForFunction("document.querySelector('[data-host=\"well\"]').getBoundingClientRect().top < 500");
    const { page: cut, complaints } = await browser.open(`${house.url}/#%E0%A`);
    assert.equal(await cut.locator(".host.open").count(), 0);
    assert.deepEqual(complaints, []);
  });

  it("moves by itself", async () => {
    const { page } = await browser.open(house.url);
    const clock = page.locator(".link");
    const first = (await clock.innerText()).trim();
    assert.match(first, /^live, \d\d:\d\d:\d\d$/);
    await page.locator(".link", { hasNotText: first }).waitFor();
  });

  it("shows no password and no recipient", async () => {
    const { page } = await browser.open(`${house.url}/#locked`);
    await page.getByText("auth.secret", { exact: true }).waitFor();
    const stream = await fetch(`${house.url}/live?host=locked`);
    const reader = stream.body!.getReader();
    let told = "";
    while (!told.includes("event: host\n") || !told.endsWith("\n\n")) {
      const { value } = await reader.read();
      told += Buffer.from(value!).toString();
    }
    await reader.cancel();
    for (const text of [await page.content(), told]) {
      assert.ok(text.includes("locked"));
      assert.ok(!text.includes(ACCOUNT_SECRET), "the password");
      assert.ok(!text.includes(RECIPIENT_DOMAIN), "a recipient");
    }
  });
});
