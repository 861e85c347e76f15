/** The debug hook: every frame, both ways, decoded. */

import { expect, it, vi } from "vitest";
import type { Frame } from "../src/index.ts";
import { decodeText } from "../src/wire.ts";
import { until } from "./helpers/fake-socket.ts";
import { notify, open, startServer } from "./helpers/server.ts";

it("sees every frame, both ways, in order", async () => {
  const server = await startServer();
  const seen: string[] = [];
  const client = open(server, {
    debug: (direction, { cmd, method }) => seen.push(`${direction} ${cmd} ${method}`),
  });
  expect(await client.call("/echo", "hi")).toBe("hi");
  const peer = await server.peer();
  peer.send(notify("/n"), { cmd: 4, flag: 0, method: "", seq: 1n, body: new Uint8Array(0) });
  await until(() => seen.length === 7);
  expect(seen).toEqual([
    "out 1 arpc.hello",
    "in 2 arpc.hello",
    "out 1 /echo",
    "in 2 /echo",
    "in 3 /n",
    "in 4 ",
    "out 5 ",
  ]);
});

it("sees bodies and kinds as they are on the wire", async () => {
  const server = await startServer();
  const frames: Frame[] = [];
  const client = open(server, { debug: (_, frame) => frames.push(frame) });
  await client.call("/echo", { a: 1 });
  const [request, answer] = frames.slice(2) as [Frame, Frame];
  expect(decodeText(request.body)).toBe('{"a":1}');
  expect(request.flag).toBe(3 << 4);
  expect(answer.seq).toBe(request.seq);
});

it("what it throws is told, and harms nothing", async () => {
  const server = await startServer();
  const client = open(server, {
    debug: () => {
      throw new Error("of the hook");
    },
  });
  const errors = vi.fn();
  client.on("error", errors);
  expect(await client.call("/echo", "hi")).toBe("hi");
  expect(errors).toHaveBeenCalled();
});
