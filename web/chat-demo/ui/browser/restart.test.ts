/** A server that is killed, again and again, while two pages write and a third one reads. */

import type { Page } from "playwright-core";
import { expect, test } from "vitest";
import { Person } from "./person.ts";
import { setStage } from "./stage.ts";

const stage = setStage();

/** Messages each page writes, and how many milliseconds apart: twenty a second from two pages. */
const COUNT = 100;
const EVERY = 100;
/** How often the server is killed. */
const KILLS = process.env["ARPC_SLOW"] ? 20 : 2;

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

test(
  "every message shown as sent is on every page, once",
  async () => {
    const [ada, grace, bob] = (await Promise.all(
      ["Ada", "Grace", "Bob"].map((name) => Person.joined(stage.browser, stage.demo.url, name)),
    )) as [Person, Person, Person];
    await Promise.all([chatter(ada), chatter(grace)]);

    for (let kill = 0; kill < KILLS; kill++) {
      await lines(bob.page, ".line", 30 + (140 / KILLS) * kill);
      await stage.restart();
    }
    const all = [ada, grace].flatMap(({ name }) =>
      Array.from({ length: COUNT }, (_, i) => `${name} ${i}`),
    );
    for (const { page } of [ada, grace, bob]) {
      await lines(page, ".line[data-delivery=sent]", all.length);
    }
    const heard = await bob.texts();
    expect(heard.toSorted()).toEqual(all.toSorted());
    for (const person of [ada, grace]) {
      // In the same order, too, and each writer's in the order of writing.
      expect(await person.texts()).toEqual(heard);
      const own = heard.filter((text) => text.startsWith(person.name));
      expect(own).toEqual(all.filter((text) => text.startsWith(person.name)));
      expect(await person.page.locator(".gap").count()).toBe(0);
    }

    // Who comes only now reads the same.
    const late = await Person.joined(stage.browser, stage.demo.url, "Late");
    await late.heard(heard.at(-1) ?? "").waitFor();
    expect(await late.texts()).toEqual(heard.slice(-50));
    console.log(`FIGURE chat_kills=${KILLS} messages=${all.length} lost=0 doubled=0`);
  },
  KILLS * 60_000,
);

test("a server that lost its data is told apart from one that came back", async () => {
  const ada = await Person.joined(stage.browser, stage.demo.url, "Ada");
  await ada.say("before");
  await ada.sent("before").waitFor();
  await stage.restart("-data", "");
  await ada.page.getByText("The server began anew here.").waitFor();
  await ada.say("after");
  await ada.sent("after").waitFor();
  expect(await ada.texts()).toEqual(["before", "after"]);
});
