/** Someone at the page, who finds things by what they are called, as people do. */

import type { Browser, BrowserContextOptions, Locator, Page } from "playwright-core";

/** One person with a browser profile of their own. */
export class Person {
  readonly page: Page;
  readonly name: string;

  private constructor(page: Page, name: string) {
    this.page = page;
    this.name = name;
  }

  /** Opens the page of a room; the door is still to be passed. */
  static async at(
    browser: Browser,
    url: string,
    name: string,
    options: BrowserContextOptions = {},
  ): Promise<Person> {
    const context = await browser.newContext(options);
    const page = await context.newPage();
    await page.goto(url);
    return new Person(page, name);
  }

  /** Opens the page and joins; resolves when messages arrive. */
  static async joined(
    browser: Browser,
    url: string,
    name: string,
    options: BrowserContextOptions = {},
  ): Promise<Person> {
    const person = await Person.at(browser, url, name, options);
    await person.join();
    await person.status("Live").waitFor();
    return person;
  }

  /** Says a name, and a password if there is one to say, at the door. */
  async join(password?: string): Promise<void> {
    await this.page.getByLabel("Your name").fill(this.name);
    if (password !== undefined) {
      await this.page.getByLabel("Password of this server").fill(password);
    }
    await this.page.getByRole("button", { name: "Join the chat" }).click();
  }

  /** Writes a message and hands it in. */
  async say(text: string): Promise<void> {
    await this.page.getByLabel("Message", { exact: true }).fill(text);
    await this.page.keyboard.press("Enter");
  }

  /** The messages with exactly this text. */
  heard(text: string): Locator {
    return this.page
      .getByRole("listitem")
      .filter({ has: this.page.getByText(text, { exact: true }) });
  }

  /** The message with this text, once the server has acknowledged it. */
  sent(text: string): Locator {
    return this.heard(text).and(this.page.locator("[data-delivery=sent]"));
  }

  /** The state of the connection in the head of the room, when it is this. */
  status(words: "Live" | "Offline" | "Connecting…"): Locator {
    return this.page.locator("#status").filter({ hasText: words });
  }

  /** The banner, when it says this. */
  banner(words: string): Locator {
    return this.page.getByRole("status").filter({ hasText: words });
  }

  /** Closes the browser profile. */
  async leave(): Promise<void> {
    await this.page.context().close();
  }
}
