/** The hooks against the Go server: what it keeps, what it lost, and who is there. */

import { randomUUID } from "node:crypto";
import { Activity, createElement, type ReactNode, useState } from "react";
import { afterAll, beforeAll, beforeEach, expect, inject, it } from "vitest";
import type { Client } from "../../src/index.ts";
import { useTopic } from "../../src/react/index.ts";
import { open } from "../helpers/server.ts";
import { mount } from "../react/mount.ts";
import { type GoServer, startGoServer } from "../runtimes/server.ts";

let server: GoServer;
let client: Client;
let other: Client;
let word = "";

beforeAll(async () => {
  server = await startGoServer(inject("project"));
});
afterAll(() => server.stop());
beforeEach(() => {
  client = open({ url: server.ws });
  other = open({ url: server.ws });
  word = randomUUID();
});

interface Shown {
  readonly state: string;
  readonly messages: ReadonlyArray<{ readonly data: unknown }>;
}

const show = ({ state, messages }: Shown): string =>
  `${state}: ${messages.map(({ data }) => data).join(" ")}`;

/** Has the server cut the client's connection, and publish the numbers below `times` meanwhile. */
async function cut(topic: string, times: number): Promise<void> {
  await expect(client.call("/cut", { topic, times })).rejects.toThrow();
}

it("what came while the connection was cut is shown, once", async () => {
  const topic = `room-${word}`;
  const page = mount(() => show(useTopic(client, topic)));
  await page.shows("subscribed: ");
  await other.publish(topic, "before");
  await page.shows("subscribed: before");
  await cut(topic, 5);
  await page.shows("subscribed: before 0 1 2 3 4");
  await other.publish(topic, "after");
  await page.shows("subscribed: before 0 1 2 3 4 after");
});

it("what the server lost meanwhile is shown as a gap", async () => {
  const topic = `short-${word}`;
  const page = mount(() => {
    const { gaps, ...shown } = useTopic(client, topic);
    const missing = gaps.map(({ missed, from }) => `${missed} before ${from}`);
    return `${show(shown)} [${missing}]`;
  });
  await page.shows("subscribed:  []");
  await cut(topic, 10);
  await page.shows("subscribed: 7 8 9 [7 before 8]");
});

it("shows who is there", async () => {
  const topic = `room-${word}`;
  const page = mount(() => {
    const { members, state } = useTopic(client, topic, { presence: { info: "me" } });
    const names = members.map(({ info }) => info);
    return `${state} ${names.sort()}`;
  });
  await page.shows("subscribed me");
  const visit = other.subscribe(topic, () => {}, { presence: { info: "you" } });
  await page.shows("subscribed me,you");
  await cut(topic, 1);
  await page.shows("subscribed me,you");
  await visit.unsubscribe();
  await page.shows("subscribed me");
});

it("begins with the last, and anew where another component takes its place", async () => {
  const topic = `room-${word}`;
  const keeper = other.subscribe(topic, () => {});
  await keeper.ready;
  for (const text of ["a", "b", "c"]) await other.publish(topic, text);
  // As a module that was replaced, and whose component is another one to React.
  const first = (): ReactNode => show(useTopic(client, topic, { last: 2 }));
  const second = (): ReactNode => `new ${show(useTopic(client, topic, { last: 2 }))}`;
  const page = mount(() => createElement(first));
  await page.shows("subscribed: b c");
  await other.publish(topic, "d");
  await page.shows("subscribed: b c d");
  page.set(() => createElement(second));
  await page.shows("new subscribed: c d");
  await other.publish(topic, "e");
  await page.shows("new subscribed: c d e");
});

it("goes on where it was after it was hidden", async () => {
  const topic = `room-${word}`;
  let hide: (isHidden: boolean) => void = () => {};
  const Room = (): ReactNode => show(useTopic(client, topic));
  const Page = (): ReactNode => {
    const [isHidden, setHidden] = useState(false);
    hide = setHidden;
    const children = createElement("p", null, createElement(Room));
    return createElement(Activity, { mode: isHidden ? "hidden" : "visible", children });
  };
  const page = mount(() => createElement(Page));
  await page.shows("subscribed: ");
  await other.publish(topic, "seen");
  await page.shows("subscribed: seen");
  hide(true);
  await other.publish(topic, "hidden");
  await other.publish(topic, "away");
  hide(false);
  await page.shows("subscribed: seen hidden away");
  await other.publish(topic, "back");
  await page.shows("subscribed: seen hidden away back");
});
