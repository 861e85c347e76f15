/** Messages are pieces of one byte stream: several frames in one, one frame in several. */

import { describe, expect, it } from "vitest";
import { encodeFrame } from "../src/wire.ts";
import { until } from "./helpers/fake-socket.ts";
import {
  base,
  becomes,
  echo,
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
    await until(() => bodies.length === 4);
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
    await until(() => bodies.length === 5000);
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
    await until(() => order.includes("open"));
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
    await until(() => seen.length === 2 * rounds);
    expect(seen).toEqual(Array.from({ length: rounds }, () => ["é", 2]).flat());
    for (let i = 0; i < rounds; i++) expect((await peer.next()).cmd).toBe(5);
  });
});

describe("what we send", () => {
  it("to a peer that does not know batches is one frame a message", async () => {
    const server = await startServer(echo, { hello: base });
    const client = open(server);
    await Promise.all(Array.from({ length: 20 }, (_, i) => client.call("/waited", i)));
    await Promise.all(Array.from({ length: 20 }, (_, i) => client.call("/open", i)));
    const peer = await server.peer();
    expect(peer.framesPerMessage).toEqual(Array.from({ length: 40 }, () => 1));
  });

  it("in one turn shares a message: calls, notifies, answers, pongs, what waited", async () => {
    const server = await startServer(silent);
    const client = open(server);
    client.handle("/m", () => "x");
    client.notify("/waited", 1);
    client.notify("/waited", 2);
    const peer = await server.peer();
    await peer.next();
    await peer.next();
    client.notify("/n");
    const call = client.call("/c");
    client.notify("/n");
    for (const cmd of [3, 1, 3]) expect((await peer.next()).cmd).toBe(cmd);
    peer.send(request("/m", 1n), PING, request("/m", 2n), request("/none", 3n));
    for (const cmd of [2, 5, 2, 2]) expect((await peer.next()).cmd).toBe(cmd);
    expect(peer.framesPerMessage).toEqual([2, 3, 4]);
    client.close();
    await expect(call).rejects.toMatchObject({ code: "unavailable" });
  });

  it("is at most 32 KiB a message, and a larger frame has one of its own", async () => {
    const server = await startServer(silent);
    const client = open(server);
    const peer = await server.peer();
    const bodies = [10_000, 20_000, 10_000, 100_000, 1, 32_768 - 18, 1].map((n) => "x".repeat(n));
    for (const body of bodies) client.notify("/n", body);
    for (const { length } of bodies) expect((await peer.next()).body.length).toBe(length);
    expect(peer.framesPerMessage).toEqual([2, 1, 1, 1, 1, 1]);
    expect(Math.max(...peer.messageSizes.filter((size) => size < 100_000))).toBe(32 << 10);
  });

  it("right before the client is closed still leaves", async () => {
    const server = await startServer(silent);
    const client = open(server);
    const peer = await server.peer();
    await becomes(client, "open");
    expect(client.notify("/last", 1)).toBe("sent");
    client.close();
    expect(await peer.next()).toMatchObject({ method: "/last" });
    expect(await peer.closed).toMatchObject({ code: 1000 });
  });

  it("counts against the bound of what may wait in the socket", async () => {
    const client = open(await startServer(silent), { maxQueueBytes: 1000 });
    await becomes(client, "open");
    const results = Array.from({ length: 3 }, () => client.notify("/n", "x".repeat(600)));
    expect(results).toEqual(["sent", "sent", "dropped"]);
  });
});
