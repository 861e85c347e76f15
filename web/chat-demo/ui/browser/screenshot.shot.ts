/** Takes the pictures of the README: real pages of the real demo, in a real conversation. */

import { mkdir } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { beforeAll, expect, test } from "vitest";
import { Person } from "./person.ts";
import { setStage } from "./stage.ts";

const stage = setStage();
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
  ["Margaret Hamilton", "🚀"],
] as const;

const elsewhere = [
  ["kitchen", "There is fresh coffee ☕"],
  ["kitchen", "And cake."],
  ["release-2", "The notes are in."],
] as const;

const views = [
  { file: "chat-desktop.png", viewport: { width: 1280, height: 800 }, panel: false },
  {
    file: "chat-dark.png",
    viewport: { width: 1280, height: 800 },
    colorScheme: "dark",
    panel: true,
  },
  {
    file: "chat-phone.png",
    viewport: { width: 390, height: 844 },
    deviceScaleFactor: 2,
    panel: false,
  },
] as const;

beforeAll(() => mkdir(pictures, { recursive: true }));

test.each(views)("$file", async ({ file, panel, ...options }) => {
  const { browser, demo } = stage;
  const lobby = `${demo.url}/#/lobby`;
  const ada = await Person.joined(browser, lobby, "Ada Lovelace", { locale: "en-GB", ...options });
  for (const room of ["kitchen", "release-2"]) {
    await ada.page.evaluate((name) => location.assign(`#/${name}`), room);
    await ada.page.getByRole("heading", { name: `It is quiet in #${room}` }).waitFor();
  }
  await ada.page.evaluate(() => location.assign("#/lobby"));
  const others = await Promise.all(
    ["Grace Hopper", "Margaret Hamilton"].map((name) => Person.joined(browser, lobby, name)),
  );
  const people = new Map([ada, ...others].map((person) => [person.name, person]));
  const [grace, margaret] = others;

  for (const [name, text] of conversation) {
    await people.get(name)?.say(text);
    await ada.heard(text).waitFor();
  }
  await ada
    .sent("And a service on raw TCP can join the same room. Same frames, other door.")
    .waitFor();
  const katherine = await Person.joined(browser, `${demo.url}/#/kitchen`, "Katherine Johnson");
  for (const [room, text] of elsewhere) {
    await katherine.page.evaluate((name) => location.assign(`#/${name}`), room);
    await katherine.page.getByRole("heading", { name: `#${room}`, exact: true }).waitFor();
    await katherine.say(text);
    await katherine.sent(text).waitFor();
  }
  if (panel) {
    await ada.page.getByRole("button", { name: "Under the hood" }).click();
    await ada.page
      .getByRole("list", { name: "Last frames" })
      .getByText("/chat/say")
      .first()
      .waitFor();
  }
  await ada.page.locator("#menu-badge", { hasText: "3" }).waitFor({ state: "attached" });
  await grace?.composer.pressSequentially("And I");
  await ada.activity("Grace Hopper is typing…").waitFor();
  await ada.page.evaluate(() => document.fonts.ready);
  await ada.page.mouse.move(0, 0);
  const picture = await ada.page.screenshot({ path: `${pictures}${file}` });

  expect(picture.length).toBeGreaterThan(10_000);
  expect([ada, grace, margaret].flatMap((person) => person?.alarms ?? [])).toEqual([]);
});
