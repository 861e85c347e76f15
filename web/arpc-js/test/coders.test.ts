/** The coders of the box: frame by frame with those of Go, and what they refuse. */

import { readFileSync, writeFileSync } from "node:fs";
import { gzipSync } from "node:zlib";
import { describe, expect, it, vi } from "vitest";
import { aead } from "../src/aead.ts";
import { gzip } from "../src/gzip.ts";
import type { Coder } from "../src/index.ts";
import { trace } from "../src/trace.ts";
import { decodeFrame, encodeFrame, encodeText, HEADER_LENGTH } from "../src/wire.ts";

const parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
const limit = 1 << 20;
const testdata = new URL("../../../coder/testdata/", import.meta.url);

const coders: Record<string, Coder> = {
  trace: trace({ current: () => parent }),
  gzip: gzip({ minBytes: 0 }),
  aead: aead(new Uint8Array(32)),
};

interface Vector {
  readonly chain: readonly string[];
  readonly plain: Uint8Array;
  readonly coded: Uint8Array;
}

function read(name: string): Vector[] {
  const lines = readFileSync(new URL(name, testdata), "utf8").split("\n");
  return lines
    .filter((line) => line !== "" && !line.startsWith("#"))
    .map((line) => {
      const [chain = "", plain = "", coded = ""] = line.split("\t");
      return { chain: chain.split(" "), plain: bytes(plain), coded: bytes(coded) };
    });
}

function bytes(hex: string): Uint8Array {
  return new Uint8Array(Buffer.from(hex, "hex"));
}

async function encode(chain: readonly string[], frame: Uint8Array): Promise<Uint8Array> {
  let coded = frame;
  for (const name of chain) coded = await coders[name]!.encode(coded);
  return coded;
}

async function decode(chain: readonly string[], frame: Uint8Array): Promise<Uint8Array> {
  let plain = frame;
  for (const name of [...chain].reverse()) plain = await coders[name]!.decode(plain, limit);
  return plain;
}

const notify = (body: string): Uint8Array =>
  encodeFrame({ cmd: 3, method: "/n", body: encodeText(body) });

describe("frame by frame", () => {
  it("records what Node makes of the frames of Go, when it is asked to", async () => {
    if (!process.env["ARPC_RECORD"]) {
      expect(read("node.tsv").map(({ plain }) => plain)).toEqual(
        read("go.tsv").map(({ plain }) => plain),
      );
      return;
    }
    let text = "# Made by Node, with a key of zeros: coders, frame, coded frame\n";
    for (const { chain, plain } of read("go.tsv")) {
      const hex = [plain, await encode(chain, plain)].map((b) => Buffer.from(b).toString("hex"));
      text += `${[chain.join(" "), ...hex].join("\t")}\n`;
    }
    writeFileSync(new URL("node.tsv", testdata), text);
  });

  it.each(["go.tsv", "node.tsv"])("decodes %s", async (name) => {
    const vectors = read(name);
    expect(vectors.length).toBeGreaterThan(8);
    for (const { chain, plain, coded } of vectors)
      expect(await decode(chain, coded)).toEqual(plain);
  });

  it("makes the bytes of Go where they have to be the same", async () => {
    for (const { chain, plain, coded } of read("go.tsv")) {
      if (chain.join() === "trace") expect(await encode(chain, plain)).toEqual(coded);
    }
  });

  it.each(Object.keys(coders))(
    "%s changes nothing in place and gives frames back",
    async (name) => {
      for (const body of ["", "a", "again ".repeat(2_000)]) {
        const plain = notify(body);
        const mine = plain.slice();
        const coded = await encode([name], plain);
        const sent = coded.slice();
        expect(await (coded[4] ? decode([name], coded) : coded)).toEqual(plain);
        expect([plain, coded]).toEqual([mine, sent]);
      }
    },
  );
});

describe("gzip", () => {
  function member(rest: Uint8Array): Uint8Array {
    const frame = new Uint8Array([0, 0, 0, 0, 0x80, ...gzipSync(rest)]);
    new DataView(frame.buffer).setUint32(0, frame.length - HEADER_LENGTH, true);
    return frame;
  }
  const plain = notify("hello ".repeat(100));
  const good = member(plain.subarray(5));

  it("leaves short frames, and those that would grow, as they are", async () => {
    expect(gzip({ minBytes: 100 }).encode(notify("short"))).toEqual(notify("short"));
    expect(await gzip({ minBytes: 0 }).encode(notify("x"))).toEqual(notify("x"));
  });

  it("takes no more out than the limit", async () => {
    const bomb = member(new Uint8Array(48 << 20));
    const before = process.memoryUsage().arrayBuffers;
    await expect(gzip().decode(bomb, 64 << 10)).rejects.toThrow("body_too_long");
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(8 << 20);
  });

  it("holds the limit from both sides", async () => {
    const length = plain.length - HEADER_LENGTH;
    expect(await gzip().decode(good, length)).toEqual(plain);
    await expect(gzip().decode(good, length - 1)).rejects.toThrow("body_too_long");
  });

  it.each([
    ["no gzip", new Uint8Array([...good.slice(0, 5), ...encodeText("hello, I am no gzip")])],
    ["half a member", good.slice(0, good.length / 2)],
    ["two members", new Uint8Array([...good, ...good.slice(5)])],
    ["a byte behind the member", new Uint8Array([...good, 1])],
    ["a wrong checksum", good.map((byte, at) => (at === good.length - 5 ? byte ^ 1 : byte))],
    ["no whole header", member(plain.slice(5, 15))],
    ["nothing", good.slice(0, 5)],
  ])("refuses %s", async (_, bad) => {
    await expect(gzip().decode(bad, limit)).rejects.toThrow();
  });
});

describe("aead", () => {
  const key = (first: number): Uint8Array => new Uint8Array(32).fill(first, 0, 1);

  it("guards every bit", async () => {
    const coder = aead(key(1));
    const good = await coder.encode(notify("hello"));
    for (let bit = 32; bit < 8 * good.length; bit++) {
      const bad = good.slice();
      bad[bit >> 3]! ^= 1 << (bit & 7);
      await expect(coder.decode(bad, limit)).rejects.toThrow("no key fits");
    }
    await expect(coder.decode(good.slice(0, 43), limit)).rejects.toThrow("truncated");
  });

  it("decrypts what was encrypted with the key before", async () => {
    const coded = await aead(key(1)).encode(notify("old"));
    expect(await aead(key(2), key(1)).decode(coded, limit)).toEqual(notify("old"));
    await expect(aead(key(2)).decode(coded, limit)).rejects.toThrow("no key fits");
  });

  it("takes keys of WebCrypto, and 32 bytes", async () => {
    const made = await crypto.subtle.importKey("raw", key(1).slice(), "AES-GCM", false, [
      "decrypt",
      "encrypt",
    ]);
    const coded = await aead(made).encode(notify("hi"));
    expect(await aead(key(1)).decode(coded, limit)).toEqual(notify("hi"));
    expect(() => aead(new Uint8Array(16))).toThrow(RangeError);
  });

  it("holds the limit from both sides", async () => {
    const coder = aead(key(1));
    const coded = await coder.encode(notify("hello"));
    const length = notify("hello").length - HEADER_LENGTH;
    expect(await coder.decode(coded, length)).toEqual(notify("hello"));
    await expect(coder.decode(coded, length - 1)).rejects.toThrow("body_too_long");
  });
});

describe("trace", () => {
  it("tells what came, and of what", async () => {
    const received = vi.fn();
    const { encode, decode } = trace({ current: () => parent, received });
    const plain = encodeFrame({ cmd: 1, method: "/m", seq: 7n, body: encodeText("body") });
    expect(await decode(await encode(plain), limit)).toEqual(plain);
    expect(received).toHaveBeenCalledExactlyOnceWith(parent, "/m");
  });

  it.each([
    ["an answer", 2, parent],
    ["no trace", 1, undefined],
    ["no traceparent", 1, "hello"],
  ])("adds nothing to %s", (_, cmd, current) => {
    const plain = encodeFrame({ cmd, method: "/m", seq: 7n });
    expect(trace({ current: () => current }).encode(plain)).toBe(plain);
  });

  it("refuses what does not end with a trace", async () => {
    const coded = await trace({ current: () => parent }).encode(notify("body"));
    const { decode } = trace({});
    for (const bad of [
      notify("body"),
      coded.slice(0, -1),
      coded.map((byte, at) => (at === coded.length - 68 ? byte ^ 1 : byte)),
      coded.map((byte, at) => (at === coded.length - 2 ? 0xff : byte)),
    ]) {
      expect(() => decode(bad, limit)).toThrow("bad frame");
    }
    expect(() => decode(coded, 5)).toThrow("body_too_long");
    expect(decodeFrame((await decode(coded, limit)) as Uint8Array).method).toBe("/n");
  });
});
