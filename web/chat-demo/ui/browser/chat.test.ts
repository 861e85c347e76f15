/** The whole line, end to end: the shipped binary, the built page, real Chromium. */

import type { Browser } from "playwright-core";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { Cable } from "./cable.ts";
import { launchChromium } from "./chromium.ts";
import { type Binary, buildDemo, type Demo, startDemo } from "./demo.ts";
import { Person } from "./person.ts";

let binary: Binary;
let browser: Browser;
let demo: Demo;

beforeAll(async () => {
  [binary, browser] = await Promise.all([buildDemo(), launchChromium()]);
});

afterAll(async () => {
  await browser?.close();
  await binary?.remove();
});

beforeEach(async () => {
  demo = await startDemo(binary);
});

afterEach(async () => {
  await Promise.all(browser.contexts().map((context) => context.close()));
  await demo?.end("SIGKILL");
});

test("a message of each arrives at the other", async () => {
  const ada = await Person.joined(browser, demo.url, "Ada");
  const grace = await Person.joined(browser, demo.url, "Grace");

  await ada.say("hello Grace");
  await grace.heard("hello Grace").waitFor();
  await grace.say("hello Ada\nhow are you?");
  await ada.heard("hello Ada how are you?").waitFor();

  await ada.sent("hello Grace").waitFor();
  await grace.sent("hello Ada how are you?").waitFor();
  expect(await grace.heard("hello Grace").getByText("Ada", { exact: true }).count()).toBe(1);
  expect(await ada.heard("hello Grace").count()).toBe(1);
});

test("rooms are apart, each with its own address", async () => {
  const ada = await Person.joined(browser, `${demo.url}/#kitchen`, "Ada");
  const grace = await Person.joined(browser, demo.url, "Grace");

  await grace.say("only for the lobby");
  await grace.sent("only for the lobby").waitFor();
  await ada.page.evaluate(() => {
    location.hash = "#lobby";
  });
  await ada.page.getByRole("heading", { name: "#lobby", exact: true }).waitFor();
  await grace.say("for both");
  await ada.heard("for both").waitFor();
  expect(await ada.heard("only for the lobby").count()).toBe(0);
});

test("a killed server that comes back finds both pages chatting on", async () => {
  const ada = await Person.joined(browser, demo.url, "Ada");
  const grace = await Person.joined(browser, demo.url, "Grace");

  await demo.end("SIGKILL");
  await Promise.all(
    [ada, grace].flatMap((person) => [
      person.banner("Connection lost").waitFor(),
      person.page.getByText(/Next attempt in \d+ s|Trying again/).waitFor(),
    ]),
  );

  // It says so for a while only, so look before it happens.
  const back = [ada, grace].map((person) => person.banner("You are back online").waitFor());
  demo = await startDemo(binary, demo.port);
  await Promise.all(back);
  await Promise.all([ada, grace].map((person) => person.status("Live").waitFor()));
  await ada.say("still there?");
  await grace.heard("still there?").waitFor();
  await grace.say("yes");
  await ada.heard("yes").waitFor();
  await ada.banner("You are back online").waitFor({ state: "detached" });
});

describe("behind a cable of one's own", () => {
  let cable: Cable;

  beforeEach(async () => {
    cable = await Cable.to(demo.port);
  });

  afterEach(() => cable.remove());

  test("what is written offline is delivered once on return", async () => {
    const ada = await Person.joined(browser, cable.url, "Ada");
    const grace = await Person.joined(browser, demo.url, "Grace");

    cable.cut();
    await ada.banner("Connection lost").waitFor();
    await ada.say("first, from afar");
    await ada.say("second, from afar");
    await ada.heard("second, from afar").getByText("Waiting for the connection").waitFor();
    expect(await grace.heard("first, from afar").count()).toBe(0);

    cable.mend();
    await ada.sent("second, from afar").waitFor();
    await ada.say("and here I am");
    await grace.heard("and here I am").waitFor();
    for (const person of [ada, grace]) {
      const said = await person.page.locator(".text").allTextContents();
      expect(said).toEqual(["first, from afar", "second, from afar", "and here I am"]);
    }
  });

  test("so it is if the server was killed in between", async () => {
    const ada = await Person.joined(browser, cable.url, "Ada");
    const grace = await Person.joined(browser, demo.url, "Grace");

    cable.cut();
    await demo.end("SIGKILL");
    await Promise.all([ada, grace].map((person) => person.banner("Connection lost").waitFor()));
    await ada.say("written while nobody was there");
    demo = await startDemo(binary, demo.port);
    await grace.status("Live").waitFor();

    cable.mend();
    await grace.heard("written while nobody was there").waitFor();
    await ada.sent("written while nobody was there").waitFor();
    await grace.say("I read it");
    await ada.heard("I read it").waitFor();
    for (const person of [ada, grace]) {
      expect(await person.heard("written while nobody was there").count()).toBe(1);
    }
  });
});

test("markup in a name and a message stays text", async () => {
  const markup = "<img src=x onerror=alert(1)>";
  const mallory = await Person.joined(browser, demo.url, markup);
  const ada = await Person.joined(browser, demo.url, "Ada");
  const alarms: string[] = [];
  for (const { page } of [mallory, ada]) {
    page.on("dialog", (dialog) => void dialog.dismiss().then(() => alarms.push("a dialog")));
    page.on(
      "console",
      (message) => void (message.type() === "error" && alarms.push(message.text())),
    );
  }

  await mallory.say(`${markup}<script>alert(1)</script>`);
  for (const { page } of [mallory, ada]) {
    const text = page.locator(".text");
    await text.waitFor();
    expect(await text.textContent()).toBe(`${markup}<script>alert(1)</script>`);
    expect(
      await page.locator("img:not([src='/icon.svg']), script:not([src='/app.js'])").count(),
    ).toBe(0);
  }
  expect(await ada.page.locator(".name").textContent()).toBe(markup);
  expect(alarms).toEqual([]);
});

test("what others publish is shown only if it is a message", async () => {
  const ada = await Person.joined(browser, demo.url, "Ada");
  await ada.page.addScriptTag({ url: "/arpc.js" });

  await ada.page.evaluate(async () => {
    const { arpc } = globalThis as unknown as { arpc: typeof import("arpc-js") };
    const mallory = arpc.connect("/ws");
    for (const data of [
      null,
      7,
      "just text",
      new Uint8Array([0xff, 0, 1]),
      { id: 1, name: "Mallory", text: "an id that is none" },
      { id: "2", name: { toString: "Mallory" }, text: "a name that is none" },
      { id: "3", name: "Mallory", text: ["a text that is none"] },
      { id: "4", name: `M${"a".repeat(100_000)}`, text: "a name without end" },
    ]) {
      await mallory.publish("chat/lobby", data);
    }
    mallory.close();
  });

  await ada.heard("a name without end").waitFor();
  expect(await ada.page.locator(".text").allTextContents()).toEqual(["a name without end"]);
  expect((await ada.page.locator(".name").textContent())?.length).toBe(40);
});

test("the server's password is asked for, and a wrong one refused", async () => {
  await demo.end("SIGTERM");
  demo = await startDemo(binary, 0, "-password", "sesame");
  const ada = await Person.at(browser, demo.url, "Ada");

  await ada.join();
  await ada.page.getByText("This server asks for a password.").waitFor();
  await ada.join("open up");
  await ada.page.getByText("That password is not the one of this server.").waitFor();
  await ada.join("sesame");
  await ada.say("in at last");
  await ada.sent("in at last").waitFor();

  // The tab remembers the password, the browser the name.
  await ada.page.reload();
  expect(await ada.page.getByLabel("Your name").inputValue()).toBe("Ada");
  await ada.page.getByRole("button", { name: "Join the chat" }).click();
  await ada.say("in again");
  await ada.sent("in again").waitFor();
});

test("who reads what was said before is not torn away from it", async () => {
  const ada = await Person.joined(browser, demo.url, "Ada");
  const grace = await Person.joined(browser, demo.url, "Grace");
  const log = ada.page.getByRole("log");
  const latest = ada.page.getByRole("button", { name: "New messages" });

  await grace.say(Array.from({ length: 100 }, (_, i) => `line ${i}`).join("\n"));
  await ada.page.getByText("line 99").waitFor();
  await log.evaluate((element) => element.scrollTo(0, 0));
  // The page learns of it with the next frame.
  await ada.page.evaluate(
    () => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))),
  );
  await grace.say("something new");
  await latest.waitFor();
  expect(await log.evaluate((element) => element.scrollTop)).toBe(0);

  await latest.click();
  await latest.waitFor({ state: "hidden" });
  await grace.say("and more");
  await ada.heard("and more").waitFor();
  expect(await latest.isVisible()).toBe(false);
});

test("everything can be done with the keyboard", async () => {
  const ada = await Person.at(browser, demo.url, "Ada");
  const { keyboard } = ada.page;

  await keyboard.type("Ada");
  await keyboard.press("Enter");
  await ada.status("Live").waitFor();
  await keyboard.type("one line");
  await keyboard.press("Shift+Enter");
  await keyboard.type("and another");
  await keyboard.press("Enter");
  await ada.sent("one line and another").waitFor();

  await keyboard.press("Shift+Tab");
  expect(await ada.page.evaluate(() => document.activeElement?.id)).toBe("log");
  await keyboard.press("Shift+Tab");
  await keyboard.press("Enter");
  await ada.page.getByLabel("Your name").waitFor();
});

test("on a phone everything fits, and is large enough to touch", async () => {
  const viewport = { width: 320, height: 568 };
  const ada = await Person.at(browser, demo.url, "Ada", { viewport, hasTouch: true });
  const measure = async () => {
    const width = await ada.page.evaluate(() => document.documentElement.scrollWidth);
    expect(width).toBeLessThanOrEqual(viewport.width);
    for (const control of await ada.page.locator("button, input, textarea").all()) {
      const box = (await control.isVisible()) ? await control.boundingBox() : null;
      expect(box?.height ?? 44, await control.innerText()).toBeGreaterThanOrEqual(44);
      expect(box?.width ?? 44, await control.innerText()).toBeGreaterThanOrEqual(44);
    }
  };

  await measure();
  await ada.join();
  await ada.say("x".repeat(500));
  await ada.page.locator("[data-delivery=sent]").waitFor();
  await measure();
});

test("one script tag and one call reach the server", async () => {
  const page = await browser.newPage();
  await page.goto(demo.url);
  await page.addScriptTag({ url: "/arpc.js" });

  const replies = await page.evaluate(async () => {
    const { arpc } = globalThis as unknown as { arpc: typeof import("arpc-js") };
    const client = arpc.connect(`ws://${location.host}/ws`);
    const text = await client.call("/echo", "hi");
    const value = await client.call("/echo", { n: 1 });
    const bytes = await client.call("/echo", new Uint8Array([1, 2]));
    client.close();
    return { text, value, bytes: bytes instanceof Uint8Array && Array.from(bytes) };
  });

  expect(replies).toEqual({ text: "hi", value: { n: 1 }, bytes: [1, 2] });
});
