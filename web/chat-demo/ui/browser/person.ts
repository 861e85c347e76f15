/** Someone at the page, who finds things by what they are called, as people do. */

import type { Browser, BrowserContextOptions, Locator, Page } from "playwright-core";

/** One person with a browser profile of their own. */
export class Person {
  readonly page: Page;
  readonly name: string;
  /** What the page should never do: dialogs, errors, what its security policy forbids. */
  readonly alarms: string[] = [];

  private constructor(page: Page, name: string) {
    this.page = page;
    this.name = name;
    page.on("dialog", (dialog) => {
      this.alarms.push(`a dialog: ${dialog.message()}`);
      void dialog.dismiss();
    });
    page.on("pageerror", (error) => this.alarms.push(String(error)));
  }

  /** Opens the page of a room; the door is still to be passed. */
  static async at(
    browser: Browser,
    url: string,
    name: string,
    options: BrowserContextOptions = {},
  ): Promise<Person> {
    const context = await browser.newContext({ reducedMotion: "reduce", ...options });
    const page = await context.newPage();
    const person = new Person(page, name);
    await page.exposeFunction("alarm", (what: string) => person.alarms.push(what));
    await page.addInitScript(() => {
      document.addEventListener("securitypolicyviolation", ({ violatedDirective, sample }) => {
        const { alarm } = globalThis as unknown as { alarm(what: string): void };
        alarm(`${violatedDirective}: ${sample}`);
      });
    });
    await page.goto(url);
    return person;
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

  /** Where one writes. */
  get composer(): Locator {
    return this.page.getByLabel("Message", { exact: true });
  }

  /** Writes a message and hands it in. */
  async say(text: string): Promise<void> {
    await this.composer.fill(text);
    await this.composer.press("Enter");
  }

  /** Writes many messages, faster than any hand. */
  async sayAll(texts: readonly string[]): Promise<void> {
    await this.composer.evaluate((element, lines) => {
      const composer = element as HTMLTextAreaElement;
      for (const line of lines) {
        composer.value = line;
        composer.form?.requestSubmit();
      }
    }, texts);
  }

  /** Goes to a room by its link. */
  async goTo(room: string): Promise<void> {
    await this.room(room).click();
    await this.page.getByRole("heading", { name: `#${room}`, exact: true }).waitFor();
  }

  /** Opens a room by its name. */
  async open(room: string): Promise<void> {
    await this.page.getByLabel("Open a room").fill(room);
    await this.page.keyboard.press("Enter");
    await this.page.getByRole("heading", { name: `#${room}`, exact: true }).waitFor();
  }

  /** The link to a room. */
  room(room: string): Locator {
    return this.page.getByRole("link", { name: `#${room}` });
  }

  /** The link to a room, when so many messages are unread there. */
  unread(room: string, count: number): Locator {
    const badge = this.page.getByRole("img", { name: `${count} unread`, exact: true });
    return this.room(room).filter({ has: badge });
  }

  /** Someone in the list of who is in the room. */
  present(name: string): Locator {
    return this.page.locator("#people li").filter({ hasText: name });
  }

  /** The line that tells what the others do, when it says this; names stand isolated in it. */
  activity(words: string): Locator {
    const pattern = words.replaceAll(" ", "[\\u2068\\u2069 ]+");
    return this.page.locator("#activity").filter({ hasText: new RegExp(pattern) });
  }

  /** Begins to note who is said to have come in or left; the list grows. */
  async comingsAndGoings(): Promise<string[]> {
    const noted: string[] = [];
    await this.page.exposeFunction("note", (text: string) => noted.push(text));
    await this.page.evaluate(() => {
      const { note } = globalThis as unknown as { note(text: string): void };
      const line = document.querySelector("#activity") as HTMLElement;
      const look = () => {
        const said = line.textContent.replaceAll(/[\u2068\u2069]/g, "");
        if (/ (came in|left)$/.test(said)) {
          note(said);
        }
      };
      new MutationObserver(look).observe(line, {
        characterData: true,
        childList: true,
        subtree: true,
      });
    });
    return noted;
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

  /** The texts of all messages, from top to bottom. */
  texts(): Promise<string[]> {
    return this.page.locator("#messages .text").allTextContents();
  }

  /** The state of the connection in the head of the room, when it is this. */
  status(words: "Live" | "Offline" | "Connecting…"): Locator {
    return this.page.locator("#status").filter({ hasText: words });
  }

  /** The banner, when it says this. */
  banner(words: string): Locator {
    return this.page.locator("#banner-text").filter({ hasText: words });
  }

  /** Closes the browser profile. */
  async leave(): Promise<void> {
    await this.page.context().close();
  }
}
