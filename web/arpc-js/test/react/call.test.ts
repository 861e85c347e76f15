import { createElement, Suspense } from "react";
import { renderToString } from "react-dom/server";
import { expect, it } from "vitest";
import { useCall } from "../../src/react/index.ts";
import { CMD_CANCEL } from "../../src/wire.ts";
import { echo, failure, open, response, silent, startServer } from "../helpers/server.ts";
import { mount } from "./mount.ts";

const show = (result: {
  data?: unknown;
  error?: { code: string } | undefined;
  loading: boolean;
}): string =>
  JSON.stringify({ data: result.data, error: result.error?.code, loading: result.loading });

it("calls once under StrictMode, and shows the reply", async () => {
  const server = await startServer();
  const client = open(server);
  await client.call("/first");
  const page = mount(() => show(useCall(client, "/echo", { n: 1 })));
  await page.shows('{"data":{"n":1},"loading":false}');
  expect(page.history).toEqual(['{"loading":true}', '{"data":{"n":1},"loading":false}']);
  await client.call("/last");
  const peer = await server.peer();
  const frames = [await peer.next(), await peer.next(), await peer.next()];
  expect(frames.map(({ method }) => method)).toEqual(["/first", "/echo", "/last"]);
});

it("calls again when the request says something else, not when it is only another object", async () => {
  const server = await startServer();
  const client = open(server);
  const bytes = (): Uint8Array => new Uint8Array([1, 2]);
  const page = mount(() =>
    show(useCall(client, "/a", { at: new Date(5), list: [1], bytes: bytes() })),
  );
  await page.shows(
    JSON.stringify({
      data: await client.call("/echo", { at: new Date(5), list: [1], bytes: bytes() }),
      loading: false,
    }),
  );
  const peer = await server.peer();
  page.set(
    () => `again ${show(useCall(client, "/a", { at: new Date(5), list: [1], bytes: bytes() }))}`,
  );
  await expect.poll(() => page.text()).toMatch(/^again/);
  page.set(() => show(useCall(client, "/a", { at: new Date(5), list: [2], bytes: bytes() })));
  await expect.poll(() => page.text()).toContain("[2]");
  expect(page.history.at(-2)).toBe('{"loading":true}');
  await client.call("/last");
  const methods = [await peer.next(), await peer.next(), await peer.next(), await peer.next()];
  expect(methods.map(({ method }) => method).sort()).toEqual(["/a", "/a", "/echo", "/last"]);
});

it("gives up the call of before at the server, and never shows its late answer", async () => {
  const server = await startServer(silent);
  const client = open(server);
  const page = mount(() => show(useCall(client, "/slow", "first")));
  const peer = await server.peer();
  const first = await peer.next();
  page.set(() => show(useCall(client, "/slow", "second")));
  const frames = [await peer.next(), await peer.next()];
  const second = frames.find(({ method }) => method === "/slow")!;
  expect(frames.find(({ cmd }) => cmd === CMD_CANCEL)?.seq).toBe(first.seq);
  peer.send(response(first, "late"), response(second, "right"));
  await page.shows('{"data":"right","loading":false}');
  expect(page.history.join()).not.toContain("late");
});

it("leaves no pending call when it is unmounted", async () => {
  const server = await startServer(silent);
  const client = open(server);
  const page = mount(() => show(useCall(client, "/slow")));
  const peer = await server.peer();
  const { seq } = await peer.next();
  page.unmount();
  const cancel = await peer.next();
  expect(cancel).toMatchObject({ cmd: CMD_CANCEL, seq });
});

it("keeps the data of before if asked to", async () => {
  const server = await startServer();
  const client = open(server);
  const page = mount(() => show(useCall(client, "/echo", 1, { keepData: true })));
  await page.shows('{"data":1,"loading":false}');
  page.set(() => show(useCall(client, "/echo", 2, { keepData: true })));
  await page.shows('{"data":2,"loading":false}');
  expect(page.history.slice(-2)[0]).toBe('{"data":1,"loading":true}');
});

it("shows an error, and calls again when told to", async () => {
  let answers = 0;
  const server = await startServer((frame, peer) => {
    peer.send(answers++ === 0 ? failure(frame, "no") : response(frame, "yes"));
  });
  const client = open(server);
  let refetch = (): void => {};
  const page = mount(() => {
    const result = useCall(client, "/maybe");
    refetch = result.refetch;
    return show(result);
  });
  await page.shows('{"error":"unknown","loading":false}');
  refetch();
  await page.shows('{"data":"yes","loading":false}');
  expect(page.history).toContain('{"error":"unknown","loading":true}');
});

it("calls nothing until it is enabled and there is a client", async () => {
  const server = await startServer();
  const client = open(server);
  const page = mount(() => show(useCall(client, "/early", 1, { enabled: false })));
  await page.shows('{"loading":false}');
  page.set(() => show(useCall(undefined as typeof client | undefined, "/early", 1)));
  await client.call("/only");
  expect((await (await server.peer()).next()).method).toBe("/only");
  page.set(() => show(useCall(client, "/echo", 1)));
  await page.shows('{"data":1,"loading":false}');
});

it("calls again what was lost with its connection, on the next", async () => {
  let isDeaf = true;
  const server = await startServer((frame, peer) => {
    if (!isDeaf) echo(frame, peer);
  });
  const client = open(server);
  const page = mount(() => show(useCall(client, "/echo", "hi")));
  const peer = await server.peer();
  await peer.next();
  isDeaf = false;
  peer.terminate();
  await page.shows('{"data":"hi","loading":false}');
  expect(page.history).toContain('{"error":"unavailable","loading":true}');
});

it("gives up waiting when the client is closed", async () => {
  const server = await startServer(silent);
  const client = open(server, { backoff: { min: 60_000, random: () => 1 } });
  const page = mount(() => show(useCall(client, "/echo", "hi")));
  const peer = await server.peer();
  await peer.next();
  peer.terminate();
  await page.shows('{"error":"unavailable","loading":true}');
  client.close();
  await page.shows('{"error":"unavailable","loading":false}');
});

it("reaches no server from a render that React throws away, nor from a server's", async () => {
  const server = await startServer();
  const client = open(server);
  const never = new Promise<string>(() => {});
  function Waits(): string {
    useCall(client, "/thrown-away");
    // Which suspends, in every React.
    throw never;
  }
  const page = mount(() => createElement(Suspense, { fallback: "waits" }, createElement(Waits)));
  await page.shows("waits");
  function Rendered(): string {
    return show(useCall(client, "/on-the-server"));
  }
  expect(renderToString(createElement(Rendered))).toContain("loading&quot;:true");
  await client.call("/only");
  expect((await (await server.peer()).next()).method).toBe("/only");
});
