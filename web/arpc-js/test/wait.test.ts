/** Calls and notifies without a connection: they wait, and know why in vain, or fail at once. */

import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { connect } from "../src/index.ts";
import { fakeSockets } from "./helpers/fake-socket.ts";

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

function dial(options: Parameters<typeof connect>[1] = {}) {
  const sockets = fakeSockets();
  const backoff = { min: 60_000, max: 60_000, random: () => 1 };
  const client = connect("ws://fake/", { WebSocket: sockets.WebSocket, backoff, ...options });
  return { client, sockets };
}

const drops = { message: "connection closed (1006)" };

it("a call that waited in vain tells why there was no connection", async () => {
  const { client, sockets } = dial();
  const call = client.call("/m");
  const failed = expect(call).rejects.toMatchObject({
    code: "deadline_exceeded",
    sent: false,
    cause: drops,
  });
  sockets.last.drop();
  vi.advanceTimersByTime(10_000);
  await failed;
  client.close();
});

it("one that was sent has no such cause", async () => {
  const { client, sockets } = dial();
  sockets.last.drop();
  vi.advanceTimersByTime(60_000);
  sockets.last.agree({ caps: [] });
  const call = client.call("/m", undefined, { timeout: 5 });
  const failed = call.catch((error: unknown) => error);
  vi.advanceTimersByTime(5);
  expect(await failed).toMatchObject({ code: "deadline_exceeded", sent: true, cause: undefined });
  client.close();
});

describe("failFast", () => {
  it("waits for the first connection", async () => {
    const { client, sockets } = dial({ failFast: true });
    const call = client.call("/m");
    const failed = expect(call).rejects.toMatchObject({ code: "unavailable" });
    expect(client.notify("/n")).toBe("queued");
    sockets.last.agree({ caps: [] });
    expect(sockets.last.sent.map(({ method }) => method)).toEqual(["/m", "/n"]);
    client.close();
    await failed;
  });

  it("fails what waits when it cannot be made, and what comes later", async () => {
    const { client, sockets } = dial({ failFast: true });
    const waits = client.call("/m");
    const failed = expect(waits).rejects.toMatchObject({ code: "unavailable", sent: false });
    sockets.last.drop();
    await failed;
    await expect(client.call("/m")).rejects.toMatchObject({
      code: "unavailable",
      sent: false,
      cause: drops,
    });
    expect(client.notify("/n")).toBe("dropped");
    await expect(client.stream("/s").send(1)).rejects.toMatchObject({ code: "unavailable" });
    vi.advanceTimersByTime(60_000);
    sockets.last.agree({ caps: [] });
    expect(client.notify("/n")).toBe("sent");
    client.close();
  });
});

it("detail is that of the last change, and the same until the next", () => {
  const { client, sockets } = dial();
  expect(client.detail).toEqual({});
  sockets.last.drop();
  const { detail } = client;
  expect(detail).toMatchObject({ delay: 60_000, error: drops });
  expect(client.detail).toBe(detail);
  client.close();
  expect(client.detail).toEqual({});
});
