/** Messages are pieces of one byte stream: several frames in one, one frame in several. */

import { describe, expect, it, vi } from "vitest";
import { encodeFrame } from "../src/wire.ts";
import {
  failure,
  frame,
  notify,
  open,
  request,
  response,
  silent,
  startServer,
} from "./helpers/server.ts";

const PING = frame(4, "", 0n);

describe("many frames in one message", () => {
  it("notify, ping, notify, an unknown method, an error: all are handled", async () => {
    const server = await startServer(silent);
    const client = open(server);
    const bodies: unknown[] = [];
    client.handle("/n", (ctx) => void bodies.push(ctx.body), { as: "text" });
    const call = client.call("/fail");
    const other = client.call("/ok");
    const peer = await server.peer();
    const failing = await peer.next();
    const succeeding = await peer.next();
    peer.send(
      notify("/unknown", "x"),
      notify("/n", "hello"),
      PING,
      notify("/n", ""),
      failure(failing, "no"),
      notify("/n", "10"),
      request("/none", 256n),
      response(succeeding, "yes"),
      notify("/n", "end"),
    );
    await expect(call).rejects.toThrow("no");
    expect(await other).toBe("yes");
    await vi.waitUntil(() => bodies.length === 4);
    expect(bodies).toEqual(["hello", "", "10", "end"]);
    const answers = [await peer.next(), await peer.next()];
    expect(answers.map(({ cmd, seq }) => ({ cmd, seq }))).toEqual([
      { cmd: 5, seq: 0n },
      { cmd: 2, seq: 256n },
    ]);
  });

  it("5,000 of them leave other tasks their turn, and stay in order", async () => {
    const server = await startServer(silent);
    const client = open(server);
    const bodies: unknown[] = [];
    client.handle("/n", (ctx) => void bodies.push(ctx.body));
    const between: number[] = [];
    const watch = (): void => {
      between.push(bodies.length);
      if (bodies.length < 5000) setImmediate(watch);
    };
    const peer = await server.peer();
    const frames = Array.from({ length: 5000 }, (_, i) => notify("/n", String(i)));
    setImmediate(watch);
    peer.send(...frames.slice(0, 3000));
    peer.send(...frames.slice(3000));
    await vi.waitUntil(() => bodies.length === 5000);
    expect(bodies).toEqual(Array.from({ length: 5000 }, (_, i) => i));
    // 5,000 frames are at least 20 turns; other tasks saw the work half done again and again.
    const looks = new Set(between.filter((count) => count > 0 && count < 5000));
    expect(looks.size).toBeGreaterThanOrEqual(5);
  });

  it("what arrived before the close is handled before it", async () => {
    const server = await startServer(silent);
    const client = open(server);
    const bodies: unknown[] = [];
    const order: string[] = [];
    client.handle("/n", (ctx) => {
      bodies.push(ctx.body);
      if (bodies.length === 2000) order.push("last notify");
    });
    const call = client.call("/x").then(() => order.push("answer"));
    const peer = await server.peer();
    const asked = await peer.next();
    client.on("state", (state) => order.push(state));
    peer.send(...Array.from({ length: 2000 }, () => notify("/n")), response(asked, "done"));
    peer.socket.close(1001, "going");
    await call;
    await vi.waitUntil(() => order.includes("open"));
    expect(order.indexOf("last notify")).toBeLessThan(order.indexOf("waiting"));
    expect(bodies).toHaveLength(2000);
  });
});

describe("one frame in many messages", () => {
  it("split at every byte", async () => {
    const server = await startServer(silent);
    const client = open(server);
    const seen: unknown[] = [];
    client.handle("/n", (ctx) => void seen.push(ctx.body));
    const peer = await server.peer();
    const stream = new Uint8Array(
      Buffer.concat([notify("/n", '"é"'), PING, notify("/n", "2")].map(encodeFrame)),
    );
    for (let at = 0; at <= stream.length; at++) {
      peer.sendRaw(stream.subarray(0, at));
      peer.sendRaw(stream.subarray(at));
    }
    for (const byte of stream) peer.sendRaw(Uint8Array.of(byte));
    const rounds = stream.length + 2;
    await vi.waitUntil(() => seen.length === 2 * rounds);
    expect(seen).toEqual(Array.from({ length: rounds }, () => ["é", 2]).flat());
    for (let i = 0; i < rounds; i++) expect((await peer.next()).cmd).toBe(5);
  });
});

describe("what we send", () => {
  it("is one frame a message", async () => {
    const server = await startServer();
    const client = open(server);
    const waited = Array.from({ length: 20 }, (_, i) => client.call("/waited", i));
    await Promise.all(waited);
    await Promise.all(Array.from({ length: 20 }, (_, i) => client.call("/open", i)));
    const peer = await server.peer();
    expect(peer.framesPerMessage).toEqual(Array.from({ length: 40 }, () => 1));
  });
});
