/** A server that breaks the protocol: a typed error, a closed connection, and the client goes on. */

import { describe, expect, it, vi } from "vitest";
import { ArpcError, connect } from "../src/index.ts";
import { encodeFrame, type Frame } from "../src/wire.ts";
import { fakeSockets, until } from "./helpers/fake-socket.ts";
import {
  agrees,
  base,
  echo,
  frame,
  notify,
  open,
  request,
  silent,
  startServer,
  structuredFailure,
  textOf,
} from "./helpers/server.ts";

/** The header of a frame with these bytes at its places, all else zero. */
function header(fields: { bodyLen?: number; at?: Record<number, number> }): Uint8Array {
  const bytes = new Uint8Array(18);
  new DataView(bytes.buffer).setUint32(0, fields.bodyLen ?? 2, true);
  bytes.set([3, 0, 2], 5);
  for (const [at, value] of Object.entries(fields.at ?? {})) bytes[Number(at)] = value;
  return bytes;
}

const attacks: Array<[name: string, bytes: Uint8Array, close: number, error: string]> = [
  ["a body of 4 GiB", header({ bodyLen: 0xfffffff0 }), 4009, "body_too_long"],
  ["a body over the limit by one", header({ bodyLen: (1 << 20) + 1 }), 4009, "body_too_long"],
  ["a method over the body", header({ bodyLen: 1 }), 4002, "method_overrun"],
  ["a method over 127 bytes", header({ bodyLen: 200, at: { 7: 128 } }), 4002, "method_too_long"],
  ["a notify without method", header({ at: { 7: 0 } }), 4002, "method_missing"],
  ["a ping with a method", header({ at: { 5: 4 } }), 4002, "method_unexpected"],
  ["a method that is not UTF-8", header({ at: { 16: 0xff } }), 4002, "method_not_utf8"],
  ["a coder nobody agreed to", header({ at: { 4: 128 } }), 4002, "coder_unknown"],
  ["a structured body without error", header({ at: { 6: 4 } }), 4002, "flags_invalid"],
];

describe("bytes that are no frame", () => {
  it.each(attacks)("%s", async (_, bytes, code, message) => {
    const server = await startServer(silent);
    const client = open(server);
    const errors: ArpcError[] = [];
    client.on("error", (error) => errors.push(error));
    const handler = vi.fn();
    client.handle("/n", handler);
    const call = client.call("/never", "x");
    const peer = await server.peer();
    await peer.next();
    // A good frame before it is handled, one behind it is not.
    peer.sendRaw(Buffer.concat([encodeFrame(notify("/n")), bytes, encodeFrame(notify("/n"))]));
    await expect(call).rejects.toMatchObject({ code: "unavailable", sent: true });
    const { code: closeCode, reason } = await peer.closed;
    expect(closeCode).toBe(code);
    expect(reason).toContain(message);
    expect(errors).toHaveLength(1);
    expect(errors[0]).toBeInstanceOf(ArpcError);
    expect(errors[0]?.message).toContain(message);
    expect(handler).toHaveBeenCalledTimes(1);
    // And it comes back.
    await server.peer();
  });

  it("a text message", async () => {
    const server = await startServer(silent);
    const client = open(server);
    const errors: ArpcError[] = [];
    client.on("error", (error) => errors.push(error));
    const peer = await server.peer();
    peer.socket.send("hello");
    expect(await peer.closed).toMatchObject({ code: 4003 });
    expect(errors[0]).toMatchObject({ code: "internal" });
    await server.peer();
  });
});

describe("frames that mean nothing here", () => {
  it.each([
    ["extended", agrees()],
    ["base", base],
  ])("to a client of a server that is %s", async (_, hello) => {
    const server = await startServer(echo, { hello });
    const client = open(server);
    const peer = await server.peer();
    peer.sendRaw(new Uint8Array(0));
    peer.send(frame(5, "", 1n), frame(6, "/s", 1n, "x"), frame(6 | 0x40, "/s", 1n));
    // Commands of later versions, cancels of nothing, credit and confirm.
    peer.send(frame(33, "/later", 1n, "x"), frame(0, "", 1n), frame(63, "", 1n));
    peer.send(
      frame(7, "", 1n),
      frame(7 | 0x40, "", 1n),
      frame(8, "", 1n, "1234"),
      frame(9, "", 1n),
    );
    expect(await client.call("/echo", 1)).toBe(1);
    expect(server.accepted).toBe(1);
  });

  it("a stream the peer opens is ended, once", async () => {
    const server = await startServer(silent);
    open(server);
    const peer = await server.peer();
    const opener = (body: string): ReturnType<typeof frame> => frame(0x86, "/s", 7n, body);
    peer.send(
      opener("a"),
      opener("b"),
      frame(0xc6, "/s", 7n),
      frame(0xc6, "/s", 8n),
      request("/m", 1n),
    );
    const refused = { cmd: 0x46, flag: 5, method: "/s" };
    const refusal = await peer.next();
    expect(refusal).toMatchObject({ ...refused, seq: 7n });
    expect(textOf(refusal)).toBe("method not found");
    expect(await peer.next()).toMatchObject({ ...refused, seq: 8n });
    expect(await peer.next()).toMatchObject({ cmd: 2, seq: 1n });
  });

  it("of streams without number each is ended, and the last 256 are remembered", async () => {
    const server = await startServer(silent);
    open(server);
    const peer = await server.peer();
    const ids = Array.from({ length: 300 }, (_, i) => BigInt(i + 1));
    peer.send(...ids.map((id) => frame(0x86, "/s", id)));
    for (const id of ids) expect(await peer.next()).toMatchObject({ cmd: 0x46, seq: id });
    peer.send(frame(0x86, "/s", 45n), frame(0x86, "/s", 44n), request("/m", 1n));
    expect(await peer.next()).toMatchObject({ cmd: 0x46, seq: 44n });
    expect(await peer.next()).toMatchObject({ cmd: 2, seq: 1n });
  });
});

describe("a server that does not read", () => {
  /** A client whose socket holds what it is given; the bounds together are 1,000 bytes. */
  function dial() {
    const sockets = fakeSockets();
    const { WebSocket } = sockets;
    const bounds = { maxBody: 290, maxQueueBytes: 100, maxJournal: 220 };
    const client = connect("ws://fake/", { WebSocket, ...bounds });
    const errors = vi.fn();
    client.on("error", errors);
    sockets.last.agree();
    const { last } = sockets;
    last.onsend = (sent) => {
      last.bufferedAmount += encodeFrame(sent).length;
    };
    return { client, last, errors };
  }

  it.each([
    ["pings", frame(4, "", 1n)],
    ["requests that are refused", request("/nothing", 1n)],
    ["requests that are answered", request("/echo", 1n, "x".repeat(100))],
    ["requests of the protocol", request("arpc.nothing", 1n)],
    ["streams nobody handles", frame(6, "/nothing", 1n, "", 0)],
  ])("loses the connection by %s", async (_, provoking) => {
    const { client, last, errors } = dial();
    client.handle("/echo", ({ body }) => body);
    let seq = 1n;
    while (!last.closedWith && seq < 1000n) {
      const cmd = provoking.cmd === 6 ? 0x86 : provoking.cmd;
      const before = last.bufferedAmount;
      last.receive({ ...provoking, cmd, seq: seq++ });
      await until(() => !!last.closedWith || last.bufferedAmount > before);
    }
    expect(last.closedWith).toEqual({ code: 4008, reason: "answers are not read" });
    expect(last.bufferedAmount).toBeGreaterThan(1000);
    expect(last.bufferedAmount).toBeLessThan(1500);
    expect(errors.mock.calls[0]?.[0]).toMatchObject({ code: "resource_exhausted" });
    client.close();
  });

  it("keeps it while that is no more than we may send by ourselves", async () => {
    const { client, last } = dial();
    const call = client.call("/m", "x".repeat(280)).catch(() => {});
    await null;
    last.bufferedAmount = 1000;
    last.receive(frame(4, "", 1n));
    expect(client.state).toBe("open");
    client.close();
    await call;
  });
});

/** The server subscribed the client to a topic. */
function subscribed(topic: string): Frame {
  const event = { topic, event: "subscribed", epoch: "e", offset: 0 };
  return notify("arpc.topic", JSON.stringify(event), 0x38);
}

it("a server that subscribes the client to everything loses the connection", async () => {
  const sockets = fakeSockets();
  const client = connect("ws://fake/", { WebSocket: sockets.WebSocket });
  const told = vi.fn();
  client.on("subscribed", told);
  client.on("error", () => {});
  const { last } = sockets;
  last.agree({ caps: ["topics"] });
  last.onsend = () => {};
  last.receive(...Array.from({ length: 20_000 }, (_, i) => subscribed(`t${i}`)));
  await vi.waitUntil(() => last.closedWith, 30_000);
  expect(last.closedWith).toEqual({ code: 4008, reason: "too many topics" });
  expect(told).toHaveBeenCalledTimes(16_384);
  client.close();
});

it("however many topics are the client's own, the server may subscribe it to one of those", async () => {
  const sockets = fakeSockets();
  const client = connect("ws://fake/", { WebSocket: sockets.WebSocket });
  const told = vi.fn();
  client.on("subscribed", told);
  client.on("error", () => {});
  const { last } = sockets;
  last.agree({ caps: ["topics"] });
  client.subscribe("mine");
  const busy = { code: "unavailable", message: "try again" };
  last.receive(structuredFailure(last.sent[0]!, busy));
  last.onsend = () => {};
  for (let i = 0; i < 16_384; i++) client.subscribe(`t${i}`);
  await new Promise((resolve) => setImmediate(resolve));
  last.receive(subscribed("mine"));
  expect(told).toHaveBeenCalledExactlyOnceWith("mine");
  expect(last.closedWith).toBeUndefined();
  // One more than its own is too many.
  last.receive(subscribed("theirs"));
  await vi.waitUntil(() => last.closedWith, 30_000);
  expect(last.closedWith).toEqual({ code: 4008, reason: "too many topics" });
  client.close();
});
