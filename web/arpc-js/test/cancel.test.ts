/** Giving up: the peer is told, and exactly one answer comes all the same. */

import { describe, expect, it, vi } from "vitest";
import { ArpcError, type Client } from "../src/index.ts";
import { decodeText } from "../src/wire.ts";
import {
  agrees,
  base,
  echo,
  frame,
  open,
  type Peer,
  request,
  type Serve,
  silent,
  startServer,
  structuredFailure,
} from "./helpers/server.ts";

async function pair(hello: Serve = agrees()): Promise<{ client: Client; peer: Peer }> {
  const server = await startServer(silent, { hello });
  const client = open(server);
  return { client, peer: await server.peer() };
}

const cancel = (seq: bigint, bits = 0) => frame(7 | bits, "", seq);

describe("a call that is given up", () => {
  it("by its signal or its timeout is canceled at the peer, once", async () => {
    const { client, peer } = await pair();
    const controller = new AbortController();
    const aborted = client.call("/a", 1, { signal: controller.signal });
    const { seq } = await peer.next();
    controller.abort();
    await expect(aborted).rejects.toMatchObject({ code: "canceled", sent: true });
    expect(await peer.next()).toMatchObject({ cmd: 7, method: "", seq, flag: 0 });
    const late = client.call("/b", 1, { timeout: 5 });
    const failed = expect(late).rejects.toMatchObject({ code: "deadline_exceeded" });
    const second = await peer.next();
    await failed;
    expect(await peer.next()).toMatchObject({ cmd: 7, seq: second.seq });
    // The answers that come all the same are nobody's.
    const refusal = { code: "canceled", message: "canceled by the caller" };
    peer.send(structuredFailure(second, refusal));
    const next = client.call("/c");
    echo(await peer.next(), peer);
    expect(await next).toBe(undefined);
    expect(peer.frames.size).toBe(0);
  });

  it("is not canceled at a peer that does not know the word", async () => {
    const { client, peer } = await pair(base);
    await expect(client.call("/a", 1, { timeout: 5 })).rejects.toMatchObject({ sent: true });
    client.notify("/n");
    expect([(await peer.next()).method, (await peer.next()).method]).toEqual(["/a", "/n"]);
  });

  it("before it was sent is not sent", async () => {
    const { client, peer } = await pair(agrees({ limits: { inflight: 1 } }));
    const first = client.call("/a");
    const held = client.call("/b", 1, { timeout: 5 });
    await expect(held).rejects.toMatchObject({ sent: false });
    const asked = await peer.next();
    echo(asked, peer);
    await first;
    client.notify("/n");
    expect((await peer.next()).method).toBe("/n");
  });

  it("after its answer is given up in vain", async () => {
    const { client, peer } = await pair();
    const controller = new AbortController();
    const call = client.call("/a", "x", { signal: controller.signal });
    echo(await peer.next(), peer);
    expect(await call).toBe("x");
    controller.abort();
    client.notify("/n");
    expect(await peer.next()).toMatchObject({ cmd: 3 });
  });
});

describe("a request the peer gives up", () => {
  it("aborts the handler's signal, and is answered once, with what the handler says", async () => {
    const { client, peer } = await pair();
    const reasons: unknown[] = [];
    client.handle("/wait", async ({ signal, body }) => {
      await new Promise((resolve) => signal.addEventListener("abort", resolve));
      reasons.push(signal.reason);
      signal.throwIfAborted();
      return body;
    });
    client.handle("/ignore", async ({ signal }) => {
      await new Promise((resolve) => signal.addEventListener("abort", resolve));
      return "done anyway";
    });
    client.handle("/late", async (ctx) => {
      await released;
      return String(ctx.signal.aborted);
    });
    let release = (): void => {};
    const released = new Promise<void>((resolve) => (release = resolve));
    peer.send(request("/wait", 1n), request("/ignore", 2n), request("/late", 3n));
    peer.send(cancel(1n), cancel(2n), cancel(3n), cancel(3n), cancel(99n));
    const answers = [await peer.next(), await peer.next()];
    release();
    answers.push(await peer.next());
    answers.sort((a, b) => Number(a.seq - b.seq));
    expect(answers.map(({ flag }) => flag & 7)).toEqual([5, 0, 0]);
    expect(JSON.parse(decodeText(answers[0]!.body))).toEqual({
      code: "canceled",
      message: "canceled by the caller",
    });
    expect(answers.slice(1).map(({ body }) => decodeText(body))).toEqual(["done anyway", "true"]);
    expect(reasons[0]).toBeInstanceOf(ArpcError);
    peer.send(cancel(1n), request("/none", 4n));
    expect(await peer.next()).toMatchObject({ seq: 4n });
    expect(peer.frames.size).toBe(0);
  });

  it("while it waits is answered as canceled, and never begun", async () => {
    const { client, peer } = await pair();
    const release: Array<() => void> = [];
    client.handle("/hold", () => new Promise<void>((resolve) => release.push(resolve)));
    const queued = vi.fn(() => "begun");
    client.handle("/queued", queued);
    peer.send(...Array.from({ length: 1024 }, (_, i) => request("/hold", BigInt(i))));
    peer.send(request("/queued", 5000n), request("/queued", 5001n), cancel(5000n));
    peer.send(request("arpc.sync", 1n));
    expect(await peer.next()).toMatchObject({ method: "arpc.sync" });
    for (const resolve of release) resolve();
    const texts = new Map<bigint, string>();
    while (texts.size < 1026) {
      const { seq, body } = await peer.next();
      texts.set(seq, decodeText(body));
    }
    expect(texts.get(5000n)).toContain('"canceled"');
    expect(texts.get(5001n)).toBe("begun");
    expect(queued).toHaveBeenCalledTimes(1);
  });

  it("of the same number as a notify, or as a stream, is another", async () => {
    const { client, peer } = await pair();
    const signals: AbortSignal[] = [];
    let release = (): void => {};
    const released = new Promise<void>((resolve) => (release = resolve));
    client.handle("/hold", ({ signal }) => {
      signals.push(signal);
      return released;
    });
    peer.send(frame(3, "/hold", 7n), request("/hold", 8n), cancel(7n), cancel(8n, 0x40));
    peer.send(request("/none", 9n));
    await peer.next();
    expect(signals.map(({ aborted }) => aborted)).toEqual([false, false]);
    release();
  });

  it("means nothing where it was not agreed", async () => {
    const { client, peer } = await pair(agrees({ caps: ["errors"] }));
    let release = (): void => {};
    const released = new Promise<void>((resolve) => (release = resolve));
    client.handle("/hold", async ({ signal }) => {
      await released;
      return signal.aborted;
    });
    peer.send(request("/hold", 1n), cancel(1n), request("/none", 2n));
    await peer.next();
    release();
    expect(decodeText((await peer.next()).body)).toBe("false");
  });
});
