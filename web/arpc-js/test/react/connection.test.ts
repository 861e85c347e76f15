import { createElement } from "react";
import { renderToString } from "react-dom/server";
import { expect, it } from "vitest";
import { WebSocket } from "ws";
import { type Client, connect } from "../../src/index.ts";
import { createClientContext, useConnect, useConnection } from "../../src/react/index.ts";
import { open, startServer } from "../helpers/server.ts";
import { mount } from "./mount.ts";

it("shows the state, why, and when it dials again", async () => {
  const server = await startServer();
  const client = open(server, { backoff: { min: 60_000, random: () => 1 } });
  const page = mount(() => {
    const { state, error, delay } = useConnection(client);
    return `${state} ${error?.code ?? ""} ${delay ?? ""}`;
  });
  await page.shows("open  ");
  (await server.peer()).terminate();
  await expect.poll(() => page.text()).toMatch(/^waiting unavailable \d{5}/);
  client.close();
  await page.shows("closed  ");
});

it("shows what happened before it was mounted", async () => {
  const client = open(await startServer());
  client.close();
  const page = mount(() => useConnection(client).state);
  await page.shows("closed");
  expect(page.history).toEqual(["closed"]);
});

it("shows connecting without a client, and on a server", async () => {
  const page = mount(() => useConnection(undefined).state);
  await page.shows("connecting");
  const client = open(await startServer());
  client.close();
  function Rendered(): string {
    return useConnection(client).state;
  }
  expect(renderToString(createElement(Rendered))).toBe("connecting");
});

it("makes one client under StrictMode, another for other deps, and closes each", async () => {
  const [first, second] = [await startServer(), await startServer()];
  let made = 0;
  const make = (url: string): Client => {
    made++;
    return connect(url, { WebSocket });
  };
  const page = mount(() => useShown(first.url));
  function useShown(url: string): string {
    const client = useConnect(() => make(url), [url]);
    return `${useConnection(client).state} ${url === first.url ? 1 : 2}`;
  }
  await page.shows("open 1");
  page.set(() => useShown(second.url));
  await (await first.peer()).closed;
  await page.shows("open 2");
  page.unmount();
  await (await second.peer()).closed;
  expect(made).toBe(2);
});

it("throws while rendering what connect threw", async () => {
  const failures: unknown[] = [];
  const page = mount(
    () => useConnection(useConnect(() => connect("mailto:nobody", { WebSocket }), [])).state,
    (error) => failures.push(error),
  );
  await expect.poll(() => failures).toMatchObject([{ code: "invalid_argument" }]);
  expect(page.text()).toBe("");
});

it("hands a client down a tree", async () => {
  const { ClientProvider, useClient } = createClientContext();
  const client = open(await startServer());
  function Deep(): string {
    return useConnection(useClient()).state;
  }
  const page = mount(() => createElement(ClientProvider, { client }, createElement(Deep)));
  await page.shows("open");
  page.set(() => createElement(Deep));
  await page.shows("connecting");
});
