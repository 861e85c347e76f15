/** Connections that break, and a server that dies: nothing is lost, nothing is doubled. */

import { expect, test } from "vitest";
import { Cable } from "./cable.ts";
import { Person } from "./person.ts";
import { setStage } from "./stage.ts";

const stage = setStage();

/** Repeats a look at the page until it shows what is wanted, or the test's time is over. */
async function until<T>(look: () => Promise<T>, isWanted: (seen: T) => boolean): Promise<T> {
  for (;;) {
    const seen = await look();
    if (isWanted(seen)) {
      return seen;
    }
  }
}

/** The answers, on connections to come, that a page's session goes on; the list grows. */
function resumptions({ page }: Person): string[] {
  const answers: string[] = [];
  page.on("websocket", (socket) =>
    socket.on("framereceived", ({ payload }) => {
      const text = String(payload);
      if (text.includes('"resumed":true')) {
        answers.push(text);
      }
    }),
  );
  return answers;
}

test("a page that is away for 50 messages has them all on return, and delivers its own once", async () => {
  const cable = await Cable.to(stage.demo.port);
  const ada = await Person.joined(stage.browser, cable.url, "Ada");
  const grace = await Person.joined(stage.browser, stage.demo.url, "Grace");
  await ada.present("Grace").waitFor();

  cable.cut();
  await ada.banner("Connection lost").waitFor();
  await ada.page.getByText(/Next attempt in \d+ s|Trying again/).waitFor();
  const theirs = Array.from({ length: 50 }, (_, i) => `from Grace ${i}`);
  await grace.sayAll(theirs);
  await grace.sent("from Grace 49").waitFor();
  await ada.say("first, from afar");
  await ada.say("second, from afar");
  await ada.heard("second, from afar").getByText("Waiting to be sent").waitFor();
  expect(await grace.heard("first, from afar").count()).toBe(0);

  cable.mend();
  await ada.sent("second, from afar").waitFor();
  await grace.heard("second, from afar").waitFor();
  const all = [...theirs, "first, from afar", "second, from afar"];
  expect(await grace.texts()).toEqual(all);
  expect(
    await until(
      () => ada.texts(),
      (texts) => texts.length >= all.length,
    ),
  ).toEqual(all);
  await ada.banner("You are back online.").waitFor({ state: "detached" });
  expect(await ada.page.locator(".gap").count()).toBe(0);
  expect([...ada.alarms, ...grace.alarms]).toEqual([]);
  await cable.remove();
});

test("what is unsent outlives the page", async () => {
  const cable = await Cable.to(stage.demo.port);
  const ada = await Person.joined(stage.browser, cable.url, "Ada");
  const grace = await Person.joined(stage.browser, stage.demo.url, "Grace");
  await ada.page.route("**/ws", (route) => route.abort());

  cable.cut();
  await ada.banner("Connection lost").waitFor();
  const mine = Array.from({ length: 5 }, (_, i) => `kept ${i}`);
  await ada.sayAll(mine);
  await ada.heard("kept 4").waitFor();
  cable.mend();
  await ada.page.reload();
  await ada.sent("kept 4").waitFor();
  await grace.heard("kept 4").waitFor();
  expect(await grace.texts()).toEqual(mine);
  expect(await ada.texts()).toEqual(mine);
  expect(await ada.page.evaluate(() => Object.keys(localStorage).join())).not.toMatch(/unsent/);
  await cable.remove();
});

test("a connection that dies while a message is under way does not double it", async () => {
  const cable = await Cable.to(stage.demo.port);
  const ada = await Person.joined(stage.browser, cable.url, "Ada");
  const grace = await Person.joined(stage.browser, stage.demo.url, "Grace");

  // The message goes through and the answer does not.
  cable.mute();
  await ada.say("did you get this?");
  await grace.heard("did you get this?").waitFor();
  cable.cut();
  await ada.banner("Connection lost").waitFor();
  cable.mend();
  await ada.sent("did you get this?").waitFor();
  await ada.say("and this?");
  await grace.heard("and this?").waitFor();
  expect(await grace.texts()).toEqual(["did you get this?", "and this?"]);
  await cable.remove();
});

test("who is back soon was never away; who is not has left, and comes in again", async () => {
  const cable = await Cable.to(stage.demo.port);
  const ada = await Person.joined(stage.browser, cable.url, "Ada");
  const resumed = resumptions(ada);
  const grace = await Person.joined(stage.browser, stage.demo.url, "Grace");
  await grace.present("Ada").waitFor();
  const noted = await grace.comingsAndGoings();

  for (const text of ["here", "still here"]) {
    cable.cut();
    await ada.banner("Connection lost").waitFor();
    cable.mend();
    await ada.banner("You are back online.").waitFor();
    await ada.say(text);
    await grace.heard(text).waitFor();
  }
  expect(noted).toEqual([]);
  expect(resumed).toHaveLength(2);

  // The server keeps her session for a minute, and her place in the room for less: this waits half of it.
  cable.cut();
  await grace.activity("Ada left").waitFor({ timeout: 30_000 });
  await grace.present("Ada").waitFor({ state: "detached" });
  await grace.say("gone?");
  cable.mend();
  await grace.activity("Ada came in").waitFor();
  await ada.heard("gone?").waitFor();
  expect(resumed).toHaveLength(3);
  expect(await ada.page.locator(".gap").count()).toBe(0);
  expect(noted).toEqual(["Ada left", "Ada came in"]);
  await cable.remove();
});
