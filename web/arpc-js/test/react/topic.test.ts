import { expect, it } from "vitest";
import { useTopic } from "../../src/react/index.ts";
import { open, startServer, topics } from "../helpers/server.ts";
import { mount } from "./mount.ts";

interface Shown {
  readonly messages: ReadonlyArray<{ readonly data: unknown }>;
  readonly state: string;
}

const show = ({ messages, state }: Shown): string =>
  `${state}: ${messages.map(({ data }) => data).join(" ")}`;

it("shows the newest messages, oldest first, and no more than the limit", async () => {
  const server = await startServer(topics());
  const client = open(server);
  const heard: unknown[] = [];
  const page = mount(() =>
    show(useTopic(client, "news", { limit: 2, onMessage: ({ data }) => heard.push(data) })),
  );
  await page.shows("subscribed: ");
  for (const text of ["a", "b", "c"]) await client.publish("news", text);
  await page.shows("subscribed: b c");
  expect(heard).toEqual(["a", "b", "c"]);
});

it("subscribes once under StrictMode, another topic when it is told, and leaves each", async () => {
  const server = await startServer(topics());
  const client = open(server);
  await client.publish("first", 1);
  const peer = await server.peer();
  await peer.next();
  const page = mount(() => show(useTopic(client, "one")));
  await page.shows("subscribed: ");
  page.set(() => `two ${show(useTopic(client, "two"))}`);
  await page.shows("two subscribed: ");
  page.unmount();
  const methods: string[] = [];
  while (methods.length < 4) methods.push((await peer.next()).method);
  expect(methods.sort()).toEqual(["in_S", "in_S", "in_U", "in_U"]);
});

it("begins anew for other options, not for another object that says the same", async () => {
  const server = await startServer(topics());
  const client = open(server);
  const page = mount(() => show(useTopic(client, "news", { as: "text", limit: 3 })));
  await page.shows("subscribed: ");
  await client.publish("news", "kept");
  await page.shows("subscribed: kept");
  page.set(() => `same ${show(useTopic(client, "news", { as: "text", limit: 3 }))}`);
  await page.shows("same subscribed: kept");
  page.set(() => `other ${show(useTopic(client, "news", { as: "json", limit: 3 }))}`);
  await page.shows("other subscribed: ");
});

it("shows why there is no subscription", async () => {
  const client = open(await startServer(topics()));
  client.close();
  const page = mount(() => {
    const { state, error } = useTopic(client, "news");
    return `${state} ${error?.code}`;
  });
  await page.shows("closed unavailable");
});

it("subscribes nothing until it is enabled and there is a client", async () => {
  const server = await startServer(topics());
  const client = open(server);
  const page = mount(() => show(useTopic(client, "early", { enabled: false })));
  await page.shows("subscribing: ");
  page.set(() => show(useTopic(undefined as typeof client | undefined, "early")));
  await client.publish("only", 1);
  expect((await (await server.peer()).next()).method).toBe("in_P");
  page.set(() => show(useTopic(client, "news")));
  await page.shows("subscribed: ");
});
