// A page of the browser under watch: what it asks for, and what goes wrong in it.

import assert from "node:assert/strict";

/** How long anything may take that the page does; a slow machine needs some of it. */
const PATIENCE_MS = 60_000;

/** A page of a server that may load nothing from elsewhere. */
export class WatchedPage {
  #faults = [];
  #requests = [];

  /**
   * Opens the page of `server` in a context of its own. `prepare` sees the page before it loads;
   * `expected` says of an error in the console whether it belongs to the test.
   */
  static async open(browser, server, { prepare, expected = () => false, ...options } = {}) {
    const context = await browser.newContext({ viewport: { width: 1400, height: 900 }, ...options });
    const page = await context.newPage();
    page.setDefaultTimeout(PATIENCE_MS);
    const watched = new WatchedPage(page, expected);
    await prepare?.(page);
    await page.goto(server.url);
    watched.origin = server.url;
    return watched;
  }

  constructor(page, expected) {
    this.page = page;
    page.on("pageerror", (error) => this.#faults.push(`${error}`));
    page.on("console", (message) => {
      const { url } = message.location();
      if (["error", "warning"].includes(message.type()) && !expected(message.text(), url)) {
        this.#faults.push(`${message.type()}: ${message.text()} (${url})`);
      }
    });
    page.on("request", (request) => this.#requests.push(request.url()));
  }

  /** Closes the page; nothing may have gone wrong, and nothing may have gone elsewhere. */
  async close() {
    await this.page.context().close();
    assert.deepEqual(this.#faults, []);
    const elsewhere = this.#requests.filter((url) => new URL(url).origin !== this.origin);
    assert.deepEqual(elsewhere, []);
    assert.ok(this.#requests.length > 10, `${this.#requests.length} requests were seen`);
  }

  /** Waits until `read` gives a value for which `check` throws nothing. */
  async until(read, check) {
    const end = Date.now() + PATIENCE_MS;
    for (;;) {
      const value = await read();
      try {
        check(value);
        return value;
      } catch (error) {
        if (Date.now() > end) throw error;
      }
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }

  /** The text of a node. */
  text(selector) {
    return this.page.locator(selector).innerText();
  }

  /** Types a message, sends it with Enter, and waits for the whole answer: its text and its note. */
  async ask(message) {
    const answers = this.page.locator(".turn.assistant");
    const number = await answers.count();
    await this.page.locator("#prompt").fill(message);
    await this.page.locator("#prompt").press("Enter");
    const answer = answers.nth(number);
    await answer.and(this.page.locator(":not([aria-busy])")).waitFor();
    return {
      text: await answer.locator(".text").innerText(),
      note: await answer.locator(".note").innerText(),
    };
  }
}
