/** What people do in the chat, end to end. */

import { expect, test } from "vitest";
import { Person } from "./person.ts";
import { setStage } from "./stage.ts";

const stage = setStage();

function joined(name: string, room = "lobby"): Promise<Person> {
  return Person.joined(stage.browser, `${stage.demo.url}/#/${room}`, name);
}

test("a message of each arrives at the other", async () => {
  const ada = await joined("Ada");
  const grace = await joined("Grace");

  await ada.say("hello Grace");
  await grace.heard("hello Grace").waitFor();
  await grace.say("hello Ada\nhow are you?");
  await ada.heard("hello Ada how are you?").waitFor();

  await ada.sent("hello Grace").waitFor();
  await grace.sent("hello Ada how are you?").waitFor();
  expect(await grace.heard("hello Grace").getByText("Ada", { exact: true }).count()).toBe(1);
  expect(await ada.heard("hello Grace").count()).toBe(1);
  expect([...ada.alarms, ...grace.alarms]).toEqual([]);
});

test("three people in two rooms: messages, presence, typing, what is unread", async () => {
  const ada = await joined("Ada");
  const grace = await joined("Grace");
  const bob = await joined("Bob", "kitchen");
  await Promise.all([ada.present("Grace").waitFor(), grace.present("Ada").waitFor()]);
  expect(await ada.present("Bob").count()).toBe(0);
  // Who does not know yet who is there is not told who comes.
  await bob.present("Bob").waitFor();

  // Bob's room is news to the others, who follow it from when they were there.
  await ada.goTo("kitchen");
  await bob.activity("Ada came in").waitFor();
  await ada.present("Bob").waitFor();
  await ada.goTo("lobby");
  await bob.activity("Ada left").waitFor();
  expect(await bob.present("Ada").count()).toBe(0);

  await bob.say("coffee?");
  await bob.say("anyone?");
  await ada.unread("kitchen", 2).waitFor();
  expect(await ada.page.title()).toBe("(2) #lobby · arpc chat");
  expect(await grace.room("kitchen").getByRole("img").count()).toBe(0);

  await grace.composer.pressSequentially("wa");
  await ada.activity("Grace is typing…").waitFor();
  await grace.composer.pressSequentially("it");
  await grace.composer.press("Enter");
  await ada.heard("wait").waitFor();
  await ada.activity("Grace is typing…").waitFor({ state: "detached" });

  await ada.goTo("kitchen");
  expect(await ada.texts()).toEqual(["coffee?", "anyone?"]);
  await ada.page.getByText("New", { exact: true }).waitFor();
  await ada.unread("kitchen", 2).waitFor({ state: "detached" });
  expect([...ada.alarms, ...grace.alarms, ...bob.alarms]).toEqual([]);
});

test("who comes later reads what was said, page by page", async () => {
  const ada = await joined("Ada");
  const texts = Array.from({ length: 70 }, (_, i) => `message ${i}`);
  await ada.sayAll(texts);
  await ada.sent("message 69").waitFor();

  const grace = await joined("Grace");
  await grace.heard("message 69").waitFor();
  expect(await grace.heard("message 0").count()).toBe(0);
  await grace.page.getByRole("log").evaluate((log) => log.scrollTo(0, 0));
  await grace.heard("message 0").waitFor({ state: "attached" });
  await grace.page.getByText("This is where #lobby begins.").waitFor({ state: "attached" });
  expect(await grace.texts()).toEqual(texts);
});

test("a page that is opened again is where it was, and knows what it missed", async () => {
  const ada = await joined("Ada");
  const grace = await joined("Grace");
  await grace.open("kitchen");
  await grace.say("first");
  await grace.sent("first").waitFor();
  await ada.goTo("kitchen");
  await ada.heard("first").waitFor();
  await ada.goTo("lobby");
  await ada.composer.fill("half written");

  await ada.page.goto("about:blank");
  await grace.say("second");
  await grace.sent("second").waitFor();
  await ada.page.goto(`${stage.demo.url}/#/lobby`);
  await ada.status("Live").waitFor();
  await ada.unread("kitchen", 1).waitFor();
  expect(await ada.composer.inputValue()).toBe("half written");
  await ada.goTo("kitchen");
  await ada.heard("first").waitFor();
  expect(await ada.texts()).toEqual(["first", "second"]);
});

test("a name can be changed; what was said under the old one stays one's own", async () => {
  const ada = await joined("Ada");
  await ada.say("as Ada");
  await ada.sent("as Ada").waitFor();
  await ada.page.getByRole("button", { name: /change your name/ }).click();
  await ada.page.getByLabel("Your name").fill("Countess");
  await ada.page.keyboard.press("Enter");
  await ada.status("Live").waitFor();
  await ada.present("Countess").waitFor();
  await ada.page.reload();
  await ada.heard("as Ada").waitFor();
  expect(await ada.page.locator(".line.own").count()).toBe(1);

  // Nor does a page that was opened again keep the door shut.
  await ada.page.getByRole("button", { name: /change your name/ }).click();
  await ada.page.getByLabel("Your name").waitFor();
});

test("a room can be left", async () => {
  const ada = await joined("Ada", "kitchen");
  await ada.page.getByRole("button", { name: "Leave #kitchen" }).click();
  await ada.page.getByRole("heading", { name: "#lobby", exact: true }).waitFor();
  await ada.page.getByRole("heading", { name: "More rooms" }).waitFor();
  await ada.page.locator("#more-rooms").getByText("#kitchen").waitFor();
});

test("the server's password is asked for, and a wrong one refused", async () => {
  await stage.restart("-password", "sesame");
  const ada = await Person.at(stage.browser, stage.demo.url, "Ada");

  const promise = ada.page.getByText("No account: a name is all it takes.");
  expect(await promise.isVisible()).toBe(true);
  await ada.join();
  await ada.page.getByText("This server asks for a password.").waitFor();
  expect(await promise.isVisible()).toBe(false);
  await ada.join("open up");
  await ada.page.getByText("That password is not the one of this server.").waitFor();
  await ada.join("sesame");
  await ada.say("in at last");
  await ada.sent("in at last").waitFor();

  // The tab remembers that one was inside, and the password.
  await ada.page.reload();
  await ada.say("in again");
  await ada.sent("in again").waitFor();
});

test("who writes too fast is told, and all of it arrives", async () => {
  await stage.restart("-rate", "1");
  const ada = await joined("Ada");
  const texts = Array.from({ length: 9 }, (_, i) => `quick ${i}`);
  await ada.sayAll(texts);
  await ada.activity("You write faster than this server takes.").waitFor();
  await ada.sent("quick 8").waitFor();
  expect(await ada.texts()).toEqual(texts);
  expect(await ada.page.locator("[data-delivery=sent]").count()).toBe(9);
});

test("the panel shows the protocol at work", async () => {
  const ada = await joined("Ada");
  await ada.page.getByRole("button", { name: "Under the hood" }).click();
  const offsets = ada.page.getByRole("heading", { name: "Last offset of each topic" });
  expect(await offsets.count()).toBe(0);
  await ada.say("hello");
  const frames = ada.page.getByRole("list", { name: "Last frames" });
  await frames.getByText("/chat/say").first().waitFor();
  const topics = ada.page.getByRole("list", { name: "Last offset of each topic" });
  await topics.getByText("chat:room:lobby").waitFor();
  await offsets.waitFor();
  const roundTrip = ada.page.getByText(/^\d+\.\d ms$/);
  await roundTrip.waitFor();

  await ada.page.getByRole("button", { name: "Break the connection" }).click();
  await ada.banner("You broke the connection.").waitFor();
  await roundTrip.waitFor({ state: "detached" });
  await ada.page.locator("#people.stale").getByText("Ada").waitFor();
  await ada.say("while it is broken");
  await ada.heard("while it is broken").getByText("Waiting to be sent").waitFor();
  await ada.page.getByRole("button", { name: "Mend it" }).click();
  await ada.sent("while it is broken").waitFor();
  await ada.page.getByText(/^no\. \d+, open$/).waitFor();
  await ada.page.locator("#people:not(.stale)").getByText("Ada").waitFor();
  expect(await ada.texts()).toEqual(["hello", "while it is broken"]);
});

test("one script tag and one call reach the server", async () => {
  const page = await stage.browser.newPage({ bypassCSP: true });
  await page.goto(stage.demo.url);
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
