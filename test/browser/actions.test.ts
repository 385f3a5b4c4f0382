/** What an operator does on the page, in a real Chromium: the token, the actions and the connections one by one. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import type { Page } from "playwright-core";
import { netstring } from "../../src/serve/netstring.js";
import { House } from "../wire/serve/kit/house.js";
import { TestBrowser } from "./kit/browser.js";
import { seriousFindings } from "./kit/findings.js";

const TOKEN = "a token of some length";
const MAP = `
[serve.map]
protocol = "socketmap"
listen = "unix:FOLDER/map"
`;
const HTTP = `
[serve.http]
protocol = "http"
listen = "127.0.0.1:0"
`;

describe("the page, for whoever has the token", { timeout: 120_000 }, () => {
  const folder = mkdtempSync(join(tmpdir(), "relaypost-token-"));
  const known = ["ann@example.org"];
  let house: House;
  let browser: TestBrowser;

  before(async () => {
    const file = join(folder, "token");
    writeFileSync(file, `${TOKEN}\n`, { mode: 0o600 });
    browser = await TestBrowser.launch();
    house = await House.open(`${MAP}${HTTP}token-file = "${file}"\n`, {
      recipients: (address) => known.includes(address),
    });
  });

  after(async () => {
    await browser?.[Symbol.asyncDispose]();
    await house?.[Symbol.asyncDispose]();
    rmSync(folder, { recursive: true });
  });

  function url(): string {
    const address = house.address("http");
    return `http://127.0.0.1:${address.kind === "tcp" ? address.port : 0}/#lmtp`;
  }

  async function lookUp(recipient: string): Promise<string> {
    using client = house.connect("map");
    return await client.say(netstring(`lmtp-rcpt ${recipient}`)).until(/,$/);
  }

  const said = (page: Page, text: string) => page.getByRole("status").getByText(text, { exact: true }).waitFor();

  it("pauses, resumes, reconnects and forgets, and says that it did", async () => {
    const { page, complaints } = await browser.open(url());
    const row = page.locator('[data-host="lmtp"]');
    const pause = page.getByRole("button", { name: "Pause", exact: true });
    assert.equal(await pause.isDisabled(), true, "without a token nothing can be done");
    await page.getByLabel("Token").fill(TOKEN);
    await page.getByRole("combobox", { name: "requests" }).selectOption("refuse");
    await pause.click();
    await said(page, "It is paused.");
    await row.and(page.locator('[data-cause="paused"]')).waitFor();
    assert.match(await lookUp("ann@example.org"), /TEMP/);
    await page.getByRole("button", { name: "Resume" }).click();
    await said(page, "It goes on.");
    assert.match(await lookUp("ann@example.org"), /OK/);
    assert.match(await lookUp("new@example.org"), /NOTFOUND/);
    known.push("new@example.org");
    await page.getByLabel("Recipient", { exact: true }).fill("new@example.org");
    await page.getByRole("button", { name: "Forget" }).click();
    await said(page, "One answer is forgotten.");
    assert.match(await lookUp("new@example.org"), /OK/);
    await page.getByRole("button", { name: "Reconnect" }).click();
    await said(page, "Its connections are replaced.");
    const record = await house.event("host-reconnected");
    assert.match(String(record.by), /^somebody at 127\.0\.0\.1 via serve\.http$/);
    assert.ok(!(await page.content()).includes(TOKEN), "the token is a value and no text");
    assert.deepEqual(complaints, []);
  });

  it("shows the connections one by one", async () => {
    await lookUp("ann@example.org");
    await lookUp("third@example.org");
    const { page } = await browser.open(url());
    const cells = page.locator(".connection-list tbody tr").first().locator("td");
    await cells.first().waitFor();
    const [number, state, purpose, age, served, address, tls] = await cells.allInnerTexts();
    assert.match(number!, /^\d+$/);
    assert.match(age!, /^\d+ (?:s|min)$/);
    assert.ok(Number(served) >= 1);
    assert.deepEqual([state, purpose, address, tls], ["idle", "all", "127.0.0.1", "none"]);
  });

  it("is told that a token is wrong, and the log warns of it", async () => {
    const { page } = await browser.open(url());
    await page.getByLabel("Token").fill(`${TOKEN}!`);
    await page.getByRole("button", { name: "Reconnect" }).click();
    await said(page, "This is not the token.");
    await house.event("serve-control-refused");
  });

  for (const width of [1440, 380]) {
    it(`fits into ${width} pixels, and axe finds nothing serious`, async () => {
      const { page } = await browser.open(url(), { viewport: { width, height: 900 } });
      await page.locator(".connection-list").waitFor();
      await page.getByLabel("Token").fill(TOKEN);
      assert.equal(await page.evaluate("document.documentElement.scrollWidth - window.innerWidth"), 0);
      assert.deepEqual(await seriousFindings(page), []);
    });
  }

  it("only shows where no token is configured", async () => {
    await using plain = await House.open(HTTP);
    const address = plain.address("http");
    const { page } = await browser.open(`http://127.0.0.1:${address.kind === "tcp" ? address.port : 0}/#lmtp`);
    await page.getByRole("region", { name: "lmtp in detail" }).getByText("Configuration in force").first().waitFor();
    assert.equal(await page.getByLabel("Token").count(), 0);
  });
});
