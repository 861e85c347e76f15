/** Takes the pictures of the README: real pages of the real demo, in a real conversation. */

import { mkdir } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import type { Browser } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { launchChromium } from "./chromium.ts";
import { type Binary, buildDemo, type Demo, startDemo } from "./demo.ts";
import { Person } from "./person.ts";

const pictures = fileURLToPath(new URL("../../../../docs/img/", import.meta.url));

const conversation = [
  ["Grace Hopper", "Morning! Is this the new chat? I only typed a name."],
  ["Ada Lovelace", "That is all it takes 🙂 What you write is here before you look up."],
  [
    "Margaret Hamilton",
    "I pulled the network cable while writing this. It waited, then went out once.",
  ],
  ["Grace Hopper", "And what happens when the server restarts?"],
  ["Ada Lovelace", "What you write is kept until it is acknowledged. See the tick?"],
  ["Ada Lovelace", "And a service on raw TCP can join the same room. Same frames, other door."],
  ["Margaret Hamilton", "Shipping it. 🚀"],
] as const;

const views = [
  { file: "chat-desktop.png", viewport: { width: 1280, height: 800 } },
  { file: "chat-dark.png", viewport: { width: 1280, height: 800 }, colorScheme: "dark" },
  { file: "chat-phone.png", viewport: { width: 390, height: 844 }, deviceScaleFactor: 2 },
] as const;

let binary: Binary;
let demo: Demo;
let browser: Browser;

beforeAll(async () => {
  binary = await buildDemo();
  [demo, browser] = await Promise.all([startDemo(binary), launchChromium()]);
  await mkdir(pictures, { recursive: true });
});

afterAll(async () => {
  await browser?.close();
  await demo?.end("SIGTERM");
  await binary?.remove();
});

test.each(views)("$file", async ({ file, ...options }) => {
  const ada = await Person.joined(browser, demo.url, "Ada Lovelace", {
    locale: "en-GB",
    reducedMotion: "reduce",
    ...options,
  });
  const others = await Promise.all(
    ["Grace Hopper", "Margaret Hamilton"].map((name) => Person.joined(browser, demo.url, name)),
  );
  const people = new Map([ada, ...others].map((person) => [person.name, person]));

  for (const [name, text] of conversation) {
    await people.get(name)?.say(text);
    await ada.heard(text).waitFor();
  }
  await ada
    .sent("And a service on raw TCP can join the same room. Same frames, other door.")
    .waitFor();
  await ada.page.evaluate(() => document.fonts.ready);
  const picture = await ada.page.screenshot({ path: `${pictures}${file}` });

  expect(picture.length).toBeGreaterThan(10_000);
  await Promise.all([...people.values()].map((person) => person.leave()));
});
