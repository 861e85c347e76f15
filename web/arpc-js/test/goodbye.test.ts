/** The end of a connection while coders are still at what was sent before it. */

import { afterEach, expect, it, vi } from "vitest";
import { connect } from "../src/index.ts";
import { LEAVE_TIMEOUT } from "../src/limits.ts";
import { until } from "./helpers/fake-socket.ts";
import { SessionServer } from "./helpers/session-server.ts";

afterEach(() => {
  vi.useRealTimers();
});

/** A client whose coder is done with a frame when the test says. */
async function open() {
  const server = new SessionServer();
  server.extra = { coders: ["slow"] };
  const client = connect("ws://fake/", { WebSocket: server.WebSocket });
  const waiting: Array<() => void> = [];
  let isSlow = false;
  client.useCoder({
    name: "slow",
    bit: 0x02,
    encode: async (frame) => {
      if (isSlow) await new Promise<void>((resolve) => waiting.push(resolve));
      return frame;
    },
    decode: (frame) => frame,
  });
  await until(() => client.state === "open");
  // The confirm of the first ticket has left.
  await until(() => server.line.frames.some(({ cmd }) => cmd === 9));
  isSlow = true;
  return { server, client, waiting };
}

it("what was sent before close() leaves, and the goodbye behind it: the session is over", async () => {
  const { server, client, waiting } = await open();
  const { line } = server;
  const served: string[] = [];
  server.serve = ({ method }) => void served.push(method);
  client.notify("/last");
  client.close();
  expect(client.state).toBe("closed");
  await until(() => waiting.length === 2);
  expect(line.readyState).toBe(1);
  // In whatever order the coder is done.
  waiting[1]?.();
  await null;
  expect(line.frames.at(-1)?.method).not.toBe("arpc.goaway");
  waiting[0]?.();
  await until(() => line.readyState === 3);
  expect(served).toEqual(["/last"]);
  expect(line.frames.at(-1)?.method).toBe("arpc.goaway");
  expect(server.session.isOver).toBe(true);
});

it("a coder that is never done does not keep the connection", async () => {
  const { server, client, waiting } = await open();
  vi.useFakeTimers();
  client.close();
  expect(waiting).toHaveLength(1);
  vi.advanceTimersByTime(LEAVE_TIMEOUT - 1);
  expect(server.line.readyState).toBe(1);
  vi.advanceTimersByTime(1);
  expect(server.line.readyState).toBe(3);
  expect(vi.getTimerCount()).toBe(0);
});
