/** Faults that other clients of this protocol have had, and that no other test holds. */

import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { connect } from "../src/index.ts";
import { fakeSockets } from "./helpers/fake-socket.ts";

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
