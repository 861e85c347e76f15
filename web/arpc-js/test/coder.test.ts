/** Coders: whole frames through a chain, in order though they take their time, and refused where unknown. */

import { setImmediate as nextTurn } from "node:timers/promises";
import { describe, expect, it, vi } from "vitest";
import type { Coder } from "../src/index.ts";
import { trace } from "../src/trace.ts";
import {
  decodeFrame,
  decodeText,
  encodeFrame,
  encodeText,
  type Frame,
  HEADER_LENGTH,
} from "../src/wire.ts";
import { until } from "./helpers/fake-socket.ts";
import { type RawPeer, startRawServer } from "./helpers/raw.ts";
import { becomes, helloAnswer, notify, open, request, response } from "./helpers/server.ts";

const XOR = 0x20;
const PAD = 0x40;

/** Turns the bits of all that is behind the length and the coders' byte. */
function turn(frame: Uint8Array): Uint8Array {
  return frame.map((byte, at) => (at < 5 ? byte : byte ^ 0xff));
}

function withBit(frame: Uint8Array, bit: number, isSet: boolean): Uint8Array {
  return frame.map((byte, at) => (at === 4 ? (isSet ? byte | bit : byte & ~bit) : byte));
}

function resized(frame: Uint8Array): Uint8Array {
  new DataView(frame.buffer).setUint32(0, frame.length - HEADER_LENGTH, true);
  return frame;
}

const xor: Coder = {
  name: "xor",
  bit: XOR,
  encode: (frame) => withBit(turn(frame), XOR, true),
  decode: (frame) => withBit(turn(frame), XOR, false),
};

/** Adds a byte; the first frames take longest. */
function slowPad(): Coder {
  let turns = 20;
  const late = async (frame: Uint8Array): Promise<Uint8Array> => {
    for (let left = turns--; left > 0; left--) await nextTurn();
    return frame;
  };
  return {
    name: "pad",
    bit: PAD,
    encode: (frame) => late(withBit(resized(new Uint8Array([...frame, 0])), PAD, true)),
    decode: (frame) => late(withBit(resized(frame.slice(0, -1)), PAD, false)),
  };
}

/** Answers hello in plain, with these coders. */
async function greet(peer: RawPeer, coders: string[]): Promise<void> {
  const hello = decodeFrame(await peer.next());
  expect(JSON.parse(decodeText(hello.body))).toMatchObject({
    coders: expect.anything() as unknown,
  });
  peer.send(encodeFrame(helloAnswer(hello, { coders, caps: ["errors", "kind"] })));
}

function echo(request: Uint8Array): Frame {
  const frame = decodeFrame(request);
  return { ...response(frame, frame.body), flag: frame.flag };
}

describe("a coder both ends list", () => {
  it("transforms what follows hello, both ways", async () => {
    const server = await startRawServer();
    const client = open(server);
    client.useCoder(xor);
    const reply = client.call("/echo", "hi");
    const peer = await server.peer();
    await greet(peer, ["xor"]);
    const coded = await peer.next();
    expect(coded[4]).toBe(XOR);
    peer.send(xor.encode(encodeFrame(echo(turn(withBit(coded, XOR, false))))) as Uint8Array);
    expect(await reply).toBe("hi");
  });

  it("leaves pings, pongs and what came in plain as they are", async () => {
    const server = await startRawServer();
    const client = open(server);
    client.useCoder(xor);
    const heard = vi.fn();
    client.handle("/n", (ctx) => heard(ctx.body));
    const peer = await server.peer();
    await greet(peer, ["xor"]);
    peer.send(encodeFrame(notify("/n", "plain", 1 << 4)));
    peer.send(encodeFrame({ cmd: 4, seq: 7n }));
    expect(decodeFrame(await peer.next())).toMatchObject({ cmd: 5, seq: 7n });
    expect(heard).toHaveBeenCalledWith("plain");
  });

  it("several run in order, and backwards; frames keep theirs though coders are slow", async () => {
    const server = await startRawServer();
    const client = open(server);
    const pad = slowPad();
    client.useCoder(xor);
    client.useCoder(pad);
    const replies = Promise.all([1, 2, 3, 4].map((n) => client.call("/echo", n)));
    const peer = await server.peer();
    await greet(peer, ["xor", "pad"]);
    const answers: Uint8Array[] = [];
    for (let i = 0; i < 4; i++) {
      const coded = await peer.next();
      expect(coded[4]).toBe(XOR | PAD);
      const plain = turn(withBit(resized(coded.slice(0, -1)), XOR | PAD, false));
      expect(decodeText(decodeFrame(plain).body)).toBe(String(i + 1));
      answers.push(encodeFrame(echo(plain)));
    }
    const heard: unknown[] = [];
    client.handle("/n", (ctx) => void heard.push(ctx.body));
    for (const answer of answers) peer.send(await pad.encode(await xor.encode(answer)));
    peer.send(encodeFrame(notify("/n", "last", 1 << 4)));
    expect(await replies).toEqual([1, 2, 3, 4]);
    await until(() => heard.length > 0);
    expect(heard).toEqual(["last"]);
  });
});

it("what coders find in a frame is told with it to who handles it", async () => {
  const server = await startRawServer();
  const client = open(server);
  const parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
  const tracing = trace({ current: () => parent });
  const pad = slowPad();
  const tagging: Coder = {
    ...pad,
    decode(frame, limit, carried = {}) {
      carried["tag"] = frame.at(-1);
      return pad.decode(frame, limit);
    },
  };
  client.useCoder(tracing);
  client.useCoder(tagging);
  const heard: unknown[] = [];
  client.use(async (ctx, next) => {
    heard.push(ctx.carried);
    await next();
  });
  client.handle("/n", (ctx) => void heard.push(ctx.body, ctx.carried.trace));
  const peer = await server.peer();
  await greet(peer, ["trace", "pad"]);
  const coded = await tracing.encode(encodeFrame(notify("/n", "traced", 1 << 4)));
  peer.send(await pad.encode(coded));
  peer.send(encodeFrame(notify("/n", "plain", 1 << 4)));
  await until(() => heard.length === 6);
  expect(heard).toEqual([{ tag: 0, trace: parent }, "traced", parent, {}, "plain", undefined]);
});

it("what coders are at work on counts against the bound of what may wait in the socket", async () => {
  const server = await startRawServer();
  const client = open(server, { maxQueueBytes: 1000 });
  const finish: Array<() => void> = [];
  const encode: Coder["encode"] = (frame) =>
    new Promise((resolve) => finish.push(() => resolve(xor.encode(frame))));
  client.useCoder({ ...xor, encode });
  const opened = becomes(client, "open");
  const peer = await server.peer();
  await greet(peer, ["xor"]);
  await opened;
  const send = (): string => client.notify("/n", "x".repeat(600));
  expect([send(), send(), send()]).toEqual(["sent", "sent", "dropped"]);
  for (const each of finish) each();
  // What is coded makes room, as far as the socket has it away.
  await until(() => send() === "sent");
});

it("a coder the server does not list is not used", async () => {
  const server = await startRawServer();
  const client = open(server);
  client.useCoder(xor);
  client.notify("/n");
  const peer = await server.peer();
  await greet(peer, []);
  expect((await peer.next())[4]).toBe(0);
});

it("without hello it is used at once", async () => {
  const server = await startRawServer();
  const client = open(server, { hello: "never" });
  client.useCoder(xor);
  client.notify("/n");
  expect((await (await server.peer()).next())[4]).toBe(XOR);
});

describe("a coder that is always used", () => {
  const always: Coder = { ...xor, always: true };

  it("has hello too", async () => {
    const server = await startRawServer();
    const client = open(server);
    client.useCoder(always);
    const opened = becomes(client, "open");
    const peer = await server.peer();
    const hello = decodeFrame(turn(withBit(await peer.next(), XOR, false)));
    expect(hello.method).toBe("arpc.hello");
    peer.send(xor.encode(encodeFrame(helloAnswer(hello))) as Uint8Array);
    await opened;
  });

  it("ends a connection on which a frame comes in plain", async () => {
    const server = await startRawServer();
    const client = open(server);
    client.on("error", () => {});
    client.useCoder(always);
    const peer = await server.peer();
    peer.send(encodeFrame(request("/m", 1n)));
    expect(await peer.closed).toMatchObject({ code: 4002 });
  });
});

describe("refused with a reason", () => {
  it.each([
    ["bits nobody has", 0x80, "bad frame: coder_unknown"],
    ["what does not decode to a frame", XOR, "bad frame: body_too_long"],
  ])("%s", async (_, bit, reason) => {
    const server = await startRawServer();
    const client = open(server);
    client.on("error", () => {});
    client.useCoder({ ...xor, decode: () => new Uint8Array(HEADER_LENGTH).fill(0xff) });
    const peer = await server.peer();
    await greet(peer, ["xor"]);
    peer.send(withBit(encodeFrame(notify("/n", "x")), bit, true));
    expect(await peer.closed).toMatchObject({ reason });
  });

  it.each([
    [
      "throws",
      (): Uint8Array => {
        throw new Error("no key");
      },
    ],
    ["rejects", (): Promise<Uint8Array> => Promise.reject(new Error("no key"))],
  ])("a coder that %s", async (_, decode) => {
    const server = await startRawServer();
    const client = open(server);
    const errors = vi.fn();
    client.on("error", errors);
    client.useCoder({ ...xor, decode });
    const peer = await server.peer();
    await greet(peer, ["xor"]);
    peer.send(withBit(encodeFrame(notify("/n", "x")), XOR, true));
    expect(await peer.closed).toEqual({ code: 4002, reason: "no key" });
    expect(errors).toHaveBeenCalledOnce();
  });

  it("more than one frame, or less", async () => {
    const server = await startRawServer();
    const client = open(server);
    client.on("error", () => {});
    const two = [...encodeFrame(notify("/n", "x")), ...encodeText("more")];
    client.useCoder({ ...xor, decode: () => new Uint8Array(two) });
    const peer = await server.peer();
    await greet(peer, ["xor"]);
    peer.send(withBit(encodeFrame(notify("/n", "x")), XOR, true));
    expect(await peer.closed).toEqual({ code: 4002, reason: "bad frame: truncated" });
  });
});
