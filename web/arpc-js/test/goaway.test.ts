/** The server asks to go: what is under way ends first, new work waits for the next connection. */

import { afterEach, expect, it, vi } from "vitest";
import { type ClientState, connect } from "../src/index.ts";
import { decodeText } from "../src/wire.ts";
import { fakeSockets, until } from "./helpers/fake-socket.ts";
import {
  becomes,
  notify,
  open,
  request,
  response,
  silent,
  startServer,
  topics,
} from "./helpers/server.ts";

const goaway = (delay: unknown = 0, until: unknown = 60_000) =>
  notify("arpc.goaway", JSON.stringify({ delay, until }), 0x38);

afterEach(() => {
  vi.useRealTimers();
});

function dial() {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "performance"] });
  const sockets = fakeSockets();
  const backoff = { min: 100, random: () => 1 };
  const client = connect("ws://fake/", { WebSocket: sockets.WebSocket, backoff });
  const states: ClientState[] = [];
  client.on("state", (state) => states.push(state));
  sockets.last.agree({ caps: ["goaway"] });
  return { client, sockets, states };
}

it("with nothing under way is done at once, and dials again when told", () => {
  const { client, sockets, states } = dial();
  const details: unknown[] = [];
  client.on("state", (_, detail) => details.push(detail));
  sockets.last.receive(goaway(700));
  expect(sockets.last.closedWith).toEqual({ code: 1000, reason: "" });
  expect(details).toMatchObject([{ error: { code: "unavailable" }, delay: 700 }]);
  vi.advanceTimersByTime(699);
  expect(sockets.all).toHaveLength(1);
  vi.advanceTimersByTime(1);
  sockets.last.agree();
  expect(states).toEqual(["open", "waiting", "connecting", "open"]);
  client.close();
});

it("work of both ends ends first, and new work waits", async () => {
  const server = await startServer(silent);
  const client = open(server);
  let release = (): void => {};
  client.handle(
    "/slow",
    () => new Promise<string>((resolve) => (release = () => resolve("answer"))),
  );
  const errors = vi.fn();
  client.on("error", errors);
  const underWay = client.call("/under-way");
  const first = await server.peer();
  const asked = await first.next();
  first.send(request("/slow", 1n), goaway(), request("arpc.sync", 2n));
  await first.next();
  const fresh = client.call("/fresh");
  expect(client.notify("/fresh")).toBe("queued");
  expect(client.state).toBe("open");
  first.send(response(asked, '"done"'));
  expect(await underWay).toBe("done");
  expect(server.accepted).toBe(1);
  release();
  expect(decodeText((await first.next()).body)).toBe("answer");
  expect(await first.closed).toMatchObject({ code: 1000 });
  const second = await server.peer();
  second.send(response(await second.next(), '"fresh"'));
  expect(await fresh).toBe("fresh");
  expect((await second.next()).cmd).toBe(3);
  expect([first.frames.size, errors.mock.calls.length]).toEqual([0, 0]);
});

it("what came with it, or with the last answer, is handled before it is left", async () => {
  const { client, sockets } = dial();
  const seen: unknown[] = [];
  client.handle("/n", ({ body }) => void seen.push(body));
  const call = client.call("/m");
  await null;
  sockets.last.receive(goaway(), notify("/n", "1"));
  expect(sockets.last.closedWith).toBeUndefined();
  sockets.last.receive(response(sockets.last.sent[0]!, ""), notify("/n", "2"));
  await call;
  expect(seen).toEqual([1, 2]);
  expect(sockets.last.closedWith).toBeDefined();
  client.close();
});

it("work that takes too long is left behind", async () => {
  const { client, sockets, states } = dial();
  const signals: AbortSignal[] = [];
  client.handle("/slow", ({ signal }) => {
    signals.push(signal);
    return new Promise<void>(() => {});
  });
  const call = client.call("/m", 1, { timeout: 0 });
  const lost = expect(call).rejects.toMatchObject({ code: "unavailable", sent: true });
  sockets.last.receive(request("/slow", 1n), goaway(0, 5000), goaway(0, 1), goaway(9999, 9999));
  vi.advanceTimersByTime(4999);
  expect(states).toEqual(["open"]);
  vi.advanceTimersByTime(1);
  await lost;
  expect(signals[0]?.aborted).toBe(true);
  vi.advanceTimersByTime(100);
  expect(sockets.all).toHaveLength(2);
  client.close();
});

it("new requests of the server are refused meanwhile, its notifies are not", async () => {
  const { client, sockets } = dial();
  const handler = vi.fn(() => "reply");
  client.handle("/m", handler);
  const call = client.call("/under-way").catch(() => {});
  await null;
  sockets.last.sent.length = 0;
  sockets.last.receive(goaway(), request("/m", 1n), notify("/m"));
  await null;
  expect(sockets.last.sent).toMatchObject([{ cmd: 2, method: "/m", seq: 1n, flag: 1 }]);
  expect(decodeText(sockets.last.sent[0]!.body)).toBe("shutting down");
  expect(handler).toHaveBeenCalledTimes(1);
  client.close();
  await call;
});

it("is bounded: an hour for what is under way, a minute away", () => {
  const { client, sockets } = dial();
  void client.call("/m", 1, { timeout: 0 }).catch(() => {});
  const delays: Array<number | undefined> = [];
  client.on("state", (_, { delay }) => delays.push(delay));
  sockets.last.receive(goaway(1e9, 1e9));
  // What is heard keeps the connection from being taken for dead.
  for (let minutes = 0; minutes < 60; minutes++) {
    expect(delays).toEqual([]);
    sockets.last.receive(notify("/n"));
    vi.advanceTimersByTime(60_000 - 1);
    sockets.last.receive(notify("/n"));
    vi.advanceTimersByTime(1);
  }
  expect(delays).toEqual([60_000]);
  client.close();
});

it("again and again is a failure like any other: the waits grow, unless a connection held", () => {
  const { client, sockets } = dial();
  const delays: number[] = [];
  client.on("state", (_, { delay }) => delay !== undefined && delays.push(delay));
  const away = (held: number, delay: number): void => {
    vi.advanceTimersByTime(held);
    sockets.last.receive(goaway(delay));
    vi.advanceTimersByTime(delays.at(-1)!);
    sockets.last.agree({ caps: ["goaway"] });
  };
  for (let i = 0; i < 4; i++) away(9999, 0);
  away(9999, 60_000);
  away(10_000, 5);
  expect(delays).toEqual([100, 200, 400, 800, 60_000, 100]);
  client.close();
});

it("waits for whole milliseconds", () => {
  const { client, sockets } = dial();
  sockets.last.receive(goaway(700.2));
  expect(client.detail.delay).toBe(701);
  client.close();
});

it("of a server that hangs up itself is waited for as told", () => {
  const { client, sockets } = dial();
  void client.call("/m").catch(() => {});
  sockets.last.receive(goaway(3000));
  sockets.last.drop(1001);
  vi.advanceTimersByTime(2999);
  expect(sockets.all).toHaveLength(1);
  vi.advanceTimersByTime(1);
  expect(sockets.all).toHaveLength(2);
  client.close();
});

it.each([
  ["no JSON", notify("arpc.goaway", "{")],
  ["null", notify("arpc.goaway", "null")],
  ["nonsense", goaway("x", -5)],
  ["times no timer can wait", goaway(1e300, 1e300)],
])("with %s neither throws nor spins", (_, frame) => {
  const { client, sockets } = dial();
  sockets.last.receive(frame);
  vi.advanceTimersByTime(1000);
  expect(sockets.all.length).toBeLessThanOrEqual(2);
  client.close();
  expect(vi.getTimerCount()).toBe(0);
});

it("closing the client meanwhile is final", async () => {
  const { client, sockets, states } = dial();
  const call = client.call("/m", 1, { timeout: 0 });
  const failed = expect(call).rejects.toMatchObject({ code: "unavailable" });
  sockets.last.receive(goaway(10, 1000));
  client.close();
  await failed;
  expect(vi.getTimerCount()).toBe(0);
  expect(states).toEqual(["open", "closed"]);
});

it("a topic subscribed meanwhile is subscribed once, on the next connection", async () => {
  const server = await startServer(silent);
  const client = open(server);
  const call = client.call("/m");
  const first = await server.peer();
  const asked = await first.next();
  first.send(goaway(), request("arpc.sync", 1n));
  await first.next();
  const room = client.subscribe("room");
  first.send(response(asked, ""));
  await call;
  const second = await server.peer();
  second.send(response(await second.next(), ""));
  await room.ready;
  client.notify("/after");
  expect((await second.next()).method).toBe("/after");
  expect(first.frames.size).toBe(0);
});

it("topics come along", async () => {
  const server = await startServer(topics());
  const client = open(server);
  const seen: unknown[] = [];
  const room = client.subscribe("room", ({ data }) => void seen.push(data));
  await room.ready;
  const first = await server.peer();
  const back = becomes(room, "subscribed");
  first.send(goaway());
  await back;
  await client.publish("room", 1);
  await until(() => seen.length === 1);
  expect(seen).toEqual([1]);
  expect(server.accepted).toBe(2);
});
