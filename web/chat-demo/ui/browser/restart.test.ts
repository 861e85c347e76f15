/** A server that is killed, again and again, while two pages write and a third one reads. */

import type { Page } from "playwright-core";
import { expect, test } from "vitest";
import { Person } from "./person.ts";
import { setStage } from "./stage.ts";

const stage = setStage();

/** Messages each page writes, and how many milliseconds apart: twenty a second from two pages. */
const COUNT = 100;
const EVERY = 100;

/** Has a page write on its own, whatever happens to the server. */
async function chatter({ page, name }: Person): Promise<void> {
  await page.evaluate(
    ({ name, count, every }) => {
      let written = 0;
      const timer = setInterval(() => {
        const text = document.querySelector("textarea");
        if (text === null || written === count) {
          clearInterval(timer);
          return;
        }
        text.value = `${name} ${written++}`;
        text.form?.requestSubmit();
      }, every);
    },
    { name, count: COUNT, every: EVERY },
  );
}

/** Resolves when a page has so many lines that match. */
async function lines(page: Page, selector: string, count: number): Promise<void> {
  await page.waitForFunction(
    ({ selector, count }) => document.querySelectorAll(selector).length >= count,
    { selector, count },
    { timeout: 50_000 },
  );
}

test("what a page shows as sent was taken once, and nothing is shown twice", async () => {
  const [ada, grace, bob] = (await Promise.all(
    ["Ada", "Grace", "Bob"].map((name) => Person.joined(stage.browser, stage.demo.url, name)),
  )) as [Person, Person, Person];
  await Promise.all([chatter(ada), chatter(grace)]);

  await lines(bob.page, ".line", 30);
  await stage.restart();
  await lines(ada.page, ".line.own[data-delivery=sent]", 50);
  await stage.restart();
  for (const writer of [ada, grace]) {
    await lines(writer.page, ".line.own[data-delivery=sent]", COUNT);
    const own = await writer.page.locator(".line.own .text").allTextContents();
    expect(own).toEqual(Array.from({ length: COUNT }, (_, i) => `${writer.name} ${i}`));
  }
  await bob.heard(`Ada ${COUNT - 1}`).waitFor();
  await bob.heard(`Grace ${COUNT - 1}`).waitFor();
  for (const person of [ada, grace, bob]) {
    const texts = await person.texts();
    expect(texts.length).toBe(new Set(texts).size);
    // In memory the topics die with the server, and the page says so.
    await person.page
      .getByText("The server began anew here.")
      .first()
      .waitFor({ state: "attached" });
  }
});
