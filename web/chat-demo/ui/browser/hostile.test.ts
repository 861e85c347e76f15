/** Names, rooms and texts that want to be more than text. */

import { expect, test } from "vitest";
import { generatedPayloads, payloads } from "./payloads.ts";
import { Person } from "./person.ts";
import { setStage } from "./stage.ts";

const stage = setStage("-rate", "10000");

/** What a page is made of, text aside: any element or attribute that a payload made shows. */
function bones(person: Person): Promise<string> {
  return person.page.evaluate(() => {
    const kinds = new Set<string>();
    for (const element of document.querySelectorAll("*")) {
      kinds.add([element.localName, ...element.getAttributeNames()].sort().join(" "));
    }
    return [...kinds].sort().join("\n");
  });
}

test("no text becomes anything but text, a web address aside", async () => {
  const ada = await Person.joined(stage.browser, stage.demo.url, "Ada");
  const grace = await Person.joined(stage.browser, stage.demo.url, "Grace");
  const texts = [...payloads, ...generatedPayloads(300)];
  await ada.sayAll(texts);
  await ada.say("that is all");
  for (const person of [ada, grace]) {
    await person.page.locator(".text", { hasText: "that is all" }).waitFor();
    expect(await person.texts()).toEqual([...texts.map((text) => text.trim()), "that is all"]);
    expect(await person.page.locator("#messages .text :not(a)").count()).toBe(0);
    const links = await person.page
      .locator("#messages .text a")
      .evaluateAll((all) => (all as HTMLAnchorElement[]).map(({ href, rel }) => ({ href, rel })));
    expect(links.length).toBeGreaterThan(0);
    for (const { href, rel } of links) {
      expect(href).toMatch(/^https?:\/\//);
      expect(rel).toBe("noopener noreferrer nofollow ugc");
    }
    expect(person.alarms).toEqual([]);
  }
});

test("no name becomes anything but a name", async () => {
  const ada = await Person.joined(stage.browser, stage.demo.url, "Ada");
  await ada.say("hello");
  await ada.sent("hello").waitFor();
  const page = await Person.joined(stage.browser, stage.demo.url, "Plain");
  await page.say("a message");
  await ada.heard("a message").waitFor();
  await ada.present("Plain").waitFor();
  const before = await bones(ada);

  for (const name of payloads.slice(0, 12)) {
    await page.page.getByRole("button", { name: /change your name/ }).click();
    await page.page.getByLabel("Your name").fill(name);
    await page.page.keyboard.press("Enter");
    await page.status("Live").waitFor();
    await page.say(`as ${name.length}`);
    await ada.heard(`as ${name.length}`).last().waitFor();
    expect(await ada.page.locator("#messages .name :scope *, #people bdi *").count()).toBe(0);
  }
  expect(await bones(ada)).toBe(before);
  expect([...ada.alarms, ...page.alarms]).toEqual([]);
});

test("no room becomes anything but a room", async () => {
  const ada = await Person.joined(stage.browser, stage.demo.url, "Ada");
  for (const room of payloads) {
    await ada.page.goto(`${stage.demo.url}/#/${encodeURIComponent(room)}`);
    expect(await ada.page.locator("#room-title").textContent()).toMatch(/^#[a-z0-9-]+$/);
    await ada.page.getByLabel("Open a room").fill(room);
    await ada.page.getByLabel("Open a room").press("Enter");
  }
  expect(await ada.page.locator(".room-name *").count()).toBe(0);
  expect(ada.alarms).toEqual([]);
});

test("what a client of another make says of itself is shown only as far as it is a name", async () => {
  const ada = await Person.joined(stage.browser, stage.demo.url, "Ada");
  const mallory = await stage.browser.newPage({ bypassCSP: true });
  await mallory.goto(stage.demo.url);
  await mallory.addScriptTag({ url: "/arpc.js" });
  await mallory.evaluate(
    async (names) => {
      const { arpc } = globalThis as unknown as { arpc: typeof import("arpc-js") };
      for (const info of [
        null,
        7,
        { author: "a", name: ["a name that is none"] },
        { author: { toString: "a" }, name: "an author that is none" },
        ...names.map((name, i) => ({ author: `m${i}`, name })),
        { author: "long", name: `M${"a".repeat(3000)}` },
      ]) {
        const client = arpc.connect("/ws");
        await client.subscribe("chat:here:lobby", { presence: { info } }).ready;
      }
    },
    payloads.slice(0, 20),
  );

  await ada.present("Maaaa").waitFor();
  const names = await ada.page.locator("#people bdi").allTextContents();
  expect(names).toHaveLength(22);
  expect(Math.max(...names.map((name) => Array.from(name).length))).toBe(40);
  expect(await ada.page.locator("#people bdi *").count()).toBe(0);
  expect(ada.alarms).toEqual([]);
});
