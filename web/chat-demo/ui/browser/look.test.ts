/** What everybody must be able to see, reach and press, in both themes and on every screen. */

import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { gzipSync } from "node:zlib";
import type { AxeResults } from "axe-core";
import { expect, test } from "vitest";
import { Cable } from "./cable.ts";
import { Person } from "./person.ts";
import { setStage } from "./stage.ts";

const stage = setStage();
const axePath = createRequire(import.meta.url).resolve("axe-core");

/** What axe finds wrong with the page as it is, in words. */
async function violations({ page }: Person): Promise<string[]> {
  const hasAxe = await page.evaluate(() => "axe" in globalThis);
  if (!hasAxe) {
    await page.evaluate(await readFile(axePath, "utf8"));
  }
  const { violations } = await page.evaluate(() => {
    const { axe } = globalThis as unknown as { axe: { run(): Promise<AxeResults> } };
    return axe.run();
  });
  return violations.flatMap(({ id, nodes }) =>
    nodes.map(({ html, failureSummary }) => `${id}: ${html}\n${failureSummary}`),
  );
}

interface Shift {
  readonly value: number;
  readonly hadRecentInput: boolean;
}

const phone = { viewport: { width: 390, height: 844 }, hasTouch: true };

test.each(["light", "dark"] as const)(
  "axe finds nothing wrong on any screen, %s",
  async (colorScheme) => {
    const cable = await Cable.to(stage.demo.port);
    const ada = await Person.at(stage.browser, cable.url, "Ada", { colorScheme });
    expect(await violations(ada), "the door").toEqual([]);
    await ada.page.getByRole("button", { name: "Join the chat" }).click();
    await ada.page.getByText("Please enter a name others can read.").waitFor();
    expect(await violations(ada), "the door, after a mistake").toEqual([]);

    await ada.join();
    await ada.page.getByRole("heading", { name: "It is quiet in #lobby" }).waitFor();
    expect(await violations(ada), "an empty room").toEqual([]);

    const grace = await Person.joined(stage.browser, stage.demo.url, "Grace", {
      colorScheme,
      ...phone,
    });
    await grace.say("hello, see https://example.org/ for more");
    await grace.say("🚀");
    await ada.say("hi");
    await ada.heard("🚀").waitFor();
    await ada.sent("hi").waitFor();
    await ada.page.locator(".line").first().focus();
    expect(await violations(ada), "a conversation").toEqual([]);

    await ada.page.getByRole("button", { name: "Insert an emoji" }).click();
    await ada.page.getByRole("button", { name: "Under the hood" }).click();
    await ada.page
      .getByRole("list", { name: "Last frames" })
      .getByRole("listitem")
      .first()
      .waitFor();
    expect(await violations(ada), "the panel and the emoji").toEqual([]);
    await ada.page.getByRole("button", { name: "Close the panel" }).click();

    await grace.page.getByRole("button", { name: /^Rooms and people/ }).click();
    await grace.present("Ada").waitFor();
    expect(await violations(grace), "the menu of a phone").toEqual([]);

    cable.cut();
    await ada.banner("Connection lost").waitFor();
    await ada.say("from afar");
    await ada.heard("from afar").waitFor();
    expect(await violations(ada), "offline").toEqual([]);
    await cable.remove();
  },
);

test("axe would tell", async () => {
  const ada = await Person.joined(stage.browser, stage.demo.url, "Ada");
  await ada.page.evaluate(() => document.querySelector("label[for=text]")?.remove());
  await ada.page.evaluate(() => document.querySelector("textarea")?.removeAttribute("placeholder"));
  expect((await violations(ada)).join()).toMatch(/\blabel: <textarea/);
});

test("everything can be done with the keyboard", async () => {
  const ada = await Person.at(stage.browser, stage.demo.url, "Ada");
  const { keyboard } = ada.page;
  const focused = () => ada.page.evaluate(() => document.activeElement?.textContent?.trim());

  await keyboard.type("Ada");
  await keyboard.press("Enter");
  await ada.status("Live").waitFor();
  await keyboard.type("one line");
  await keyboard.press("Shift+Enter");
  await keyboard.type("and another");
  await keyboard.press("Enter");
  await ada.sent("one line and another").waitFor();
  await keyboard.type("more");
  await keyboard.press("Enter");
  await ada.sent("more").waitFor();

  // The messages, one by one.
  await keyboard.press("Shift+Tab");
  expect(await ada.page.evaluate(() => document.activeElement?.id)).toBe("log");
  await keyboard.press("ArrowUp");
  expect(await focused()).toContain("more");
  await keyboard.press("ArrowUp");
  expect(await focused()).toContain("one line");
  await keyboard.press("End");
  expect(await focused()).toContain("more");

  // An emoji, by arrows.
  await ada.composer.focus();
  await keyboard.press("Tab");
  await keyboard.press("Enter");
  await keyboard.press("ArrowRight");
  await keyboard.press("Enter");
  expect(await ada.composer.inputValue()).toBe("😄");
  await keyboard.press("Enter");
  await ada.sent("😄").waitFor();

  // Into a new room, and out of the chat.
  await ada.page.getByLabel("Open a room").focus();
  await keyboard.type("Coffee Kitchen!");
  await keyboard.press("Enter");
  await ada.page.getByRole("heading", { name: "#coffee-kitchen", exact: true }).waitFor();
  await ada.page.getByRole("button", { name: /change your name/ }).focus();
  await keyboard.press("Enter");
  await ada.page.getByLabel("Your name").waitFor();
});

test("a message is copied", async () => {
  const ada = await Person.joined(stage.browser, stage.demo.url, "Ada", {
    permissions: ["clipboard-read", "clipboard-write"],
  });
  await ada.say("worth\nkeeping");
  await ada.sent("worth keeping").waitFor();
  await ada.page.getByRole("log").focus();
  await ada.page.keyboard.press("ArrowUp");
  await ada.page.keyboard.press("c");
  await ada.page.getByText("Copied", { exact: true }).waitFor({ state: "attached" });
  expect(await ada.page.evaluate(() => navigator.clipboard.readText())).toBe("worth\nkeeping");
});

test("the colours are the system's until one chooses, and stay chosen", async () => {
  const ada = await Person.joined(stage.browser, stage.demo.url, "Ada", { colorScheme: "dark" });
  const page = () => ada.page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  const dark = await page();
  await ada.page.getByRole("button", { name: "Colours: as the system has them" }).click();
  await ada.page.getByRole("button", { name: "Colours: light" }).waitFor();
  const light = await page();
  expect(light).not.toBe(dark);
  await ada.page.reload();
  expect(await page()).toBe(light);
  await ada.page.getByRole("button", { name: "Colours: light" }).click();
  await ada.page.getByRole("button", { name: "Colours: dark" }).waitFor();
  await ada.page.emulateMedia({ colorScheme: "light" });
  expect(await page()).toBe(dark);
});

test("on a phone everything fits, and is large enough to touch", async () => {
  const viewport = { width: 320, height: 568 };
  const ada = await Person.at(stage.browser, stage.demo.url, "Ada", { viewport, hasTouch: true });
  const measure = async () => {
    const widths = await ada.page.evaluate(() =>
      [document.documentElement, ...document.querySelectorAll(".log, .sidebar-scroll, .frames")]
        .filter(({ scrollWidth, clientWidth }) => scrollWidth > clientWidth)
        .map(({ className, scrollWidth }) => `${className} has ${scrollWidth}`),
    );
    expect(widths).toEqual([]);
    const small = await ada.page
      .locator("button, input, textarea, .room-link")
      .evaluateAll((controls) =>
        controls
          .filter((control) => control.checkVisibility({ visibilityProperty: true }))
          .map((control) => ({ box: control.getBoundingClientRect(), html: control.outerHTML }))
          .filter(({ box }) => box.width < 44 || box.height < 44)
          .map(({ box, html }) => `${box.width} x ${box.height}: ${html.slice(0, 120)}`),
      );
    expect(small).toEqual([]);
  };

  await measure();
  await ada.join();
  await ada.say("x".repeat(500));
  await ada.page.locator("[data-delivery=sent]").waitFor();
  const grace = await Person.joined(stage.browser, stage.demo.url, "Grace");
  await grace.say(`${"y".repeat(400)} https://example.org/${"z".repeat(300)}`);
  await ada.page.locator(".line:not(.own)").waitFor();
  await measure();
  await ada.page.getByRole("button", { name: "Insert an emoji" }).click();
  await measure();
  await ada.page.keyboard.press("Escape");
  await ada.page.getByRole("button", { name: "Rooms and people" }).click();
  await measure();
  await ada.page.keyboard.press("Escape");
  await ada.page.getByRole("button", { name: "Under the hood" }).click();
  await measure();
});

test.each([
  { width: 1280, height: 800 },
  { width: 390, height: 844 },
])("nothing jumps while the page comes up, and later: $width", async (viewport) => {
  const context = await stage.browser.newContext({ viewport });
  const page = await context.newPage();
  await page.addInitScript(() => {
    const shifts: number[] = [];
    Object.assign(globalThis, { shifts });
    new PerformanceObserver((list) => {
      for (const entry of list.getEntries() as (PerformanceEntry & Shift)[]) {
        // What follows from a key that was pressed is expected.
        shifts.push(entry.hadRecentInput ? 0 : entry.value);
      }
    }).observe({ type: "layout-shift", buffered: true });
  });
  const shift = () =>
    page.evaluate(() =>
      (globalThis as unknown as { shifts: number[] }).shifts.reduce((a, b) => a + b, 0),
    );

  await page.goto(stage.demo.url);
  await page.getByLabel("Your name").fill("Ada");
  await page.keyboard.press("Enter");
  await page.locator("#status").filter({ hasText: "Live" }).waitFor();
  for (const text of ["one", "two", "three"]) {
    await page.getByLabel("Message", { exact: true }).fill(text);
    await page.keyboard.press("Enter");
  }
  await page.locator("[data-delivery=sent]").nth(2).waitFor();
  expect(await shift()).toBeLessThan(0.05);

  await page.reload();
  await page.getByText("three").waitFor();
  await page.locator("#people li").waitFor({ state: "attached" });
  expect(await shift()).toBeLessThan(0.05);
});

test("the page is there before its socket", async () => {
  const context = await stage.browser.newContext();
  const page = await context.newPage();
  // A server that never answers: the page does not wait for it.
  await page.routeWebSocket("**/ws", () => {});
  await page.goto(stage.demo.url);
  await page.getByLabel("Your name").fill("Ada");
  await page.keyboard.press("Enter");
  await page.locator("#status").filter({ hasText: "Connecting…" }).waitFor();
  await page.reload();
  await page.locator("#status").filter({ hasText: "Connecting…" }).waitFor();
  await page.waitForFunction(
    () => performance.getEntriesByName("first-contentful-paint").length === 1,
  );
});

test("who reads what was said before is not torn away from it", async () => {
  const ada = await Person.joined(stage.browser, stage.demo.url, "Ada");
  const grace = await Person.joined(stage.browser, stage.demo.url, "Grace");
  const log = ada.page.getByRole("log");
  const latest = ada.page.getByRole("button", { name: "1 new message" });

  await grace.say(Array.from({ length: 100 }, (_, i) => `line ${i}`).join("\n"));
  await ada.page.getByText("line 99").waitFor();
  await log.evaluate((element) => element.scrollTo(0, 0));
  await ada.page.getByRole("button", { name: "Jump to the latest" }).waitFor();
  await grace.say("something new");
  await latest.waitFor();
  expect(await log.evaluate((element) => element.scrollTop)).toBe(0);

  await latest.click();
  await latest.waitFor({ state: "hidden" });
  await grace.say("and more");
  await ada.heard("and more").waitFor();
  expect(await ada.page.locator("#latest").isVisible()).toBe(false);
});

test("the page's scripts are small", async () => {
  let bytes = 0;
  const html = await (await fetch(stage.demo.url)).text();
  for (const [, path] of html.matchAll(/<script src="([^"]+)"/g)) {
    const script = await (await fetch(new URL(path ?? "", stage.demo.url))).arrayBuffer();
    bytes += gzipSync(new Uint8Array(script), { level: 9 }).length;
  }
  expect(bytes).toBeGreaterThan(1000);
  expect(bytes).toBeLessThanOrEqual(40 * 1024);
});
