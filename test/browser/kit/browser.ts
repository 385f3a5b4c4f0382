/** The system's Chromium, and pages in it whose console is listened to. Serves the tests of the page and its pictures. */
import { type Browser, type BrowserContextOptions, chromium, type Page } from "playwright-core";

const EXECUTABLE = process.env.RELAYPOST_CHROMIUM ?? "/usr/bin/chromium";

/** A page, and what its console said that it should not. */
export interface WatchedPage {
  readonly page: Page;
  readonly complaints: readonly string[];
}

export class TestBrowser implements AsyncDisposable {
  private constructor(private readonly browser: Browser) {}

  static async launch(): Promise<TestBrowser> {
    // Tests run as root, where Chromium's own sandbox cannot.
    return new TestBrowser(await chromium.launch({ executablePath: EXECUTABLE, args: ["--no-sandbox"] }));
  }

  async open(url: string, options: BrowserContextOptions = {}): Promise<WatchedPage> {
    const context = await this.browser.newContext(options);
    const page = await context.newPage();
    const complaints: string[] = [];
    page.on("console", (message) => {
      if (message.type() === "error" || message.type() === "warning") {
        complaints.push(message.text());
      }
    });
    page.on("pageerror", (error) => complaints.push(error.message));
    await page.goto(url);
    await page.locator(".host").first().waitFor();
    return { page, complaints };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.browser.close();
  }
}
