/** The test kit: two clients in memory, and a network that fails as it is told to. */

import { afterEach, describe, expect, it, vi } from "vitest";
import { aead } from "../src/aead.ts";
import { gzip } from "../src/gzip.ts";
import { ArpcError } from "../src/index.ts";
import { type Pair, type PairOptions, pair } from "../src/testing.ts";
import { until } from "./helpers/fake-socket.ts";

type Any = Record<string, never>;
const open: Array<Pair<Any, Any>> = [];

function made(options: PairOptions = {}): Pair<Any, Any> {
  const one = pair<Any, Any>({ near: options, far: options });
  open.push(one);
  for (const client of [one.near, one.far]) {
    client.on("error", () => {});
    client.handle("/echo", (ctx) => ctx.body);
  }
  return one;
}

afterEach(() => {
  for (const { near, far } of open.splice(0)) {
    near.close();
    far.close();
  }
  vi.useRealTimers();
});

describe("a pair", () => {
  it("calls both ways, with errors, kinds and streams", async () => {
    const { near, far } = made();
    expect(await near.call("/echo", { a: 1 })).toEqual({ a: 1 });
    expect(await far.call("/echo", new Uint8Array([1]))).toEqual(new Uint8Array([1]));
    far.handle("/fail", () => {
      throw new ArpcError("permission_denied", "not you", { data: { role: "guest" } });
    });
    await expect(near.call("/fail")).rejects.toMatchObject({
      code: "permission_denied",
      data: { role: "guest" },
    });
    far.handleStream("/count", async (stream) => {
      for (const n of [1, 2, 3]) await stream.send(n);
    });
    const counted: unknown[] = [];
    const stream = near.stream("/count");
    await stream.end();
    for await (const n of stream) counted.push(n);
    expect(counted).toEqual([1, 2, 3]);
  });

  it("gives a call up", async () => {
    const { near, far } = made();
    const ended = vi.fn();
    far.handle("/hang", (ctx) => {
      return new Promise((resolve) => {
        ctx.signal.addEventListener("abort", () => {
          ended();
          resolve(undefined);
        });
      });
    });
    await near.call("/echo", 1);
    await expect(near.call("/hang", null, { timeout: 20 })).rejects.toMatchObject({
      code: "deadline_exceeded",
    });
    await until(() => ended.mock.calls.length > 0);
    expect(ended).toHaveBeenCalledOnce();
  });

  it("uses coders that both have", async () => {
    const { near, far, link } = made();
    near.useCoder(gzip({ minBytes: 0 }));
    far.useCoder(gzip({ minBytes: 0 }));
    const text = "again ".repeat(10_000);
    expect(await near.call("/echo", text)).toBe(text);
    expect(link.outward.passed).toBeLessThan(5_000);
  });

  it("says at once that it has no coder that hello goes through", async () => {
    const { near, far } = made();
    for (const client of [near, far]) {
      const use = (): void => client.useCoder(aead(new Uint8Array(32)));
      expect(use).toThrow(new ArpcError("unimplemented", "aead needs a server"));
    }
    expect(await near.call("/echo", "hi")).toBe("hi");
  });
});

describe("a link", () => {
  it("is cut, and made again", async () => {
    const { near, far, link } = made();
    await near.call("/echo", 1);
    far.handle("/hang", () => new Promise(() => {}));
    const lost = near.call("/hang");
    link.cut();
    await expect(lost).rejects.toMatchObject({ code: "unavailable" });
    expect(await near.call("/echo", 2)).toBe(2);
    expect(await far.call("/echo", 3)).toBe(3);
  });

  it("is down until it is up", async () => {
    const { near, link } = made();
    await near.call("/echo", 1);
    link.down();
    await expect(near.call("/echo", 2, { timeout: 30 })).rejects.toMatchObject({
      code: "deadline_exceeded",
    });
    link.up();
    expect(await near.call("/echo", 3)).toBe(3);
  });

  it("loses what is sent, until it heals", async () => {
    const { near, link } = made();
    await near.call("/echo", 1);
    link.outward.blackHole = true;
    await expect(near.call("/echo", 2, { timeout: 20 })).rejects.toMatchObject({
      code: "deadline_exceeded",
    });
    link.outward.heal();
    expect(await near.call("/echo", 3)).toBe(3);
  });

  it("takes its time, by the clock of the test", async () => {
    const { near, link } = made();
    await near.call("/echo", 1);
    vi.useFakeTimers();
    link.inward.delay = 200;
    const answered = vi.fn();
    const reply = near.call("/echo", 2).then(answered);
    await vi.advanceTimersByTimeAsync(199);
    expect(answered).not.toHaveBeenCalled();
    await vi.advanceTimersByTimeAsync(1);
    await reply;
    expect(answered).toHaveBeenCalledExactlyOnceWith(2);
  });

  it("cuts frames into messages of any length", async () => {
    const { near, link } = made();
    link.outward.slice = 1;
    link.inward.slice = 3;
    expect(await near.call("/echo", "in pieces")).toBe("in pieces");
  });

  it.each([3, 4, 5, 6, 7])("turns a bit of byte %i, and nothing hangs", async (at) => {
    const { near, link } = made({ timeout: 50 });
    await near.call("/echo", 1, { timeout: 0 });
    link.outward.flipBit(at, at);
    await near.call("/echo", 2).catch(() => {});
    // The first may find the connection that is still to end because of the bit.
    while ((await near.call("/echo", 3).catch(() => undefined)) !== 3);
  });
});

it("a client that is closed ends the connection of the other", async () => {
  const { near, far } = made();
  await near.call("/echo", 1);
  const waits = new Promise((resolve) => far.on("state", (state) => resolve(state)));
  near.close();
  expect(await waits).toBe("waiting");
});
