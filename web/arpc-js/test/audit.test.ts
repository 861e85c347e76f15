/** Faults that other clients of this protocol have had, and that no other test holds. */

import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { type ArpcError, connect } from "../src/index.ts";
import { fakeSockets, until } from "./helpers/fake-socket.ts";
import { open, startServer, topics } from "./helpers/server.ts";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

it("a server that hangs up on every connection is not dialed in a loop", () => {
  const sockets = fakeSockets();
  const client = connect("ws://fake/", {
    WebSocket: sockets.WebSocket,
    backoff: { random: () => 0.5 },
  });
  for (let second = 0; second < 3600; second++) {
    if (sockets.last.readyState === 0) {
      sockets.last.agree();
      sockets.last.drop();
    }
    vi.advanceTimersByTime(1000);
  }
  client.close();
  // 10 s apart, after the first few.
  expect(sockets.all.length).toBeGreaterThan(300);
  expect(sockets.all.length).toBeLessThan(370);
});

it("a socket that throws instead of sending ends the connection, and no call hangs", async () => {
  const sockets = fakeSockets();
  const client = connect("ws://fake/", { WebSocket: sockets.WebSocket });
  sockets.last.agree();
  sockets.last.onsend = () => {
    throw new Error("the socket is closing");
  };
  const failed: Promise<ArpcError> = client.call("/x").then(Promise.reject, (error) => error);
  await until(() => true);
  sockets.last.drop();
  expect((await failed).code).toBe("unavailable");
  vi.advanceTimersByTime(1000);
  sockets.last.agree();
  expect(client.state).toBe("open");
  client.close();
});

it("a handler of a topic may return anything", async () => {
  vi.useRealTimers();
  const client = open(await startServer(topics()));
  const failures: unknown[] = [];
  client.on("error", (error) => failures.push(error));
  const heard: unknown[] = [];
  const room = client.subscribe("news", ({ data }) => {
    // As an arrow function without braces does.
    return heard.push(data) as unknown as undefined;
  });
  await room.ready;
  for (const text of ["a", "b"]) await client.publish("news", text);
  await until(() => heard.length === 2);
  expect(failures).toEqual([]);
});
