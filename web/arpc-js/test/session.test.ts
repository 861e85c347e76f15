/** A session outlives its connections: nothing in flight is lost, and nothing comes twice. */

import { expect, it } from "vitest";
import { type Coder, type ConnectOptions, connect } from "../src/index.ts";
import { decodeText, type Frame } from "../src/wire.ts";
import { until } from "./helpers/fake-socket.ts";
import { notify, request, response } from "./helpers/server.ts";
import { SessionServer } from "./helpers/session-server.ts";

const CALLS = 10;
const NOTIFIES = 6;
const CHUNKS = 8;

function dial(server: SessionServer, options: ConnectOptions = {}) {
  const backoff = { min: 0, random: () => 0 };
  return connect("ws://fake/", { WebSocket: server.WebSocket, backoff, ...options });
}

/** All that can be under way: what each end saw of it must not depend on where it is cut. */
async function play(cut: { up?: number; down?: number }, coder?: Coder) {
  const server = new SessionServer();
  server.cuts.push(cut);
  const served: string[] = [];
  const answered: string[] = [];
  const chunks: string[] = [];
  let credit = 0;
  server.serve = (each, session) => {
    const text = decodeText(each.body);
    if (each.cmd === 1) {
      served.push(`${each.method} ${text}`);
      session.send(response(each, `"re ${text}"`));
    } else if (each.cmd === 2) {
      answered.push(`${each.seq} ${text}`);
    } else if (each.cmd === 3) {
      served.push(`${each.method} ${text}`);
      // One of ours for each of theirs.
      session.send(notify("/told", text));
      session.send(request("/back", BigInt(100 + Number(text)), text));
    } else if ((each.cmd & 0x3f) === 6) {
      const end = each.cmd & 0x40;
      chunks.push(end ? `${text}.` : text);
      session.send({ ...each, cmd: 6 | end });
    } else if (each.cmd === 8) credit++;
  };
  const client = dial(server);
  if (coder) {
    client.useCoder(coder);
    server.extra = { coders: [coder.name] };
  }
  const seen: unknown[] = [];
  const asked: unknown[] = [];
  const events: string[] = [];
  for (const event of ["paused", "resumed", "lost"] as const) {
    client.on(event, () => events.push(event));
  }
  client.handle("/told", ({ body }) => void seen.push(body));
  client.handle("/back", async ({ body }) => {
    asked.push(body);
    await null;
    return { back: body };
  });
  const stream = client.stream("/s");
  const echoes: unknown[] = [];
  const streaming = (async () => {
    for (let i = 0; i < CHUNKS; i++) await stream.send(`chunk ${i}`);
    await stream.end();
    for await (const chunk of stream) echoes.push(chunk);
  })();
  const calls: Array<Promise<unknown>> = [];
  for (let i = 0; i < CALLS; i++) {
    calls.push(client.call("/call", i));
    if (i < NOTIFIES) client.notify("/tell", i);
    await null;
  }
  const replies = await Promise.all(calls);
  await streaming;
  await until(() => answered.length === NOTIFIES);
  const passed = { ...server.lines[0]!.passed };
  client.close();
  await until(() => server.line.readyState === 3);
  const counted = server.session.received + server.session.sent;
  served.sort();
  answered.sort();
  const result = { replies, served, answered, seen, asked, chunks, echoes, credit };
  return { result, passed, counted, lines: server.lines.length, events, server };
}

const whole = await play({});

it("is whole without a cut", () => {
  expect(whole.lines).toBe(1);
  expect(whole.events).toEqual([]);
  expect(whole.counted).toBeGreaterThanOrEqual(60);
  expect(whole.server.session.isOver).toBe(true);
  expect(whole.result.replies).toEqual(Array.from({ length: CALLS }, (_, i) => `re ${i}`));
});

it.each(["up", "down"] as const)("cut at every byte, %s", async (way) => {
  for (let at = 0; at < whole.passed[way]; at++) {
    const { result, lines, events, server } = await play({ [way]: at });
    expect({ at, ...result }).toEqual({ at, ...whole.result });
    expect(lines).toBe(2);
    const isKept = server.hellos.at(-1)?.session !== undefined;
    expect(server.sessions).toHaveLength(server.hellos.length - (isKept ? 1 : 0));
    expect(events).toEqual(isKept ? ["paused", "resumed"] : []);
  }
});

/** Frames take their time, each another. */
function slow(): Coder {
  let frames = 0;
  return {
    name: "slow",
    bit: 0x02,
    async encode(frame) {
      for (let turns = (frames++ * 7) % 5; turns > 0; turns--) await null;
      return frame;
    },
    decode: (frame) => frame,
  };
}

it.each(["up", "down"] as const)("cut %s while coders are at work", async (way) => {
  for (let at = 0; at < whole.passed[way]; at += 9) {
    const { result } = await play({ [way]: at }, slow());
    expect({ at, ...result }).toEqual({ at, ...whole.result });
  }
});

it("a stream of 2 MB arrives as it was sent, over 20 cuts, both ways", async () => {
  const server = new SessionServer();
  const bytes = new Uint8Array(2 << 20).map((_, i) => (i * 2654435761) >>> 13);
  const size = 10_000;
  const arrived: Uint8Array[] = [];
  const echoes: Frame[] = [];
  let credit = 1 << 18;
  server.serve = (frame, session) => {
    const body = frame.body.slice();
    if (frame.cmd === 0x88) {
      credit += new DataView(body.buffer).getUint32(0, true);
    } else {
      arrived.push(body);
      echoes.push({ ...frame, cmd: 6 | (frame.cmd & 0x40), body });
      const grant = { cmd: 8, flag: 0, method: "", seq: frame.seq, body: new Uint8Array(4) };
      new DataView(grant.body.buffer).setUint32(0, body.length, true);
      session.send(grant);
    }
    while (credit > 0 && echoes.length > 0) {
      const echo = echoes.shift() as Frame;
      credit -= echo.body.length;
      session.send(echo);
    }
    if (session.received % 6 === 0) session.tellReceived();
  };
  for (let i = 0; i < 20; i++) {
    server.cuts.push(i % 2 ? { up: 20_000 + i * 1009 } : { down: 20_000 + i * 1009 });
  }
  const client = dial(server);
  const stream = client.stream<Uint8Array, Uint8Array>("/s", { as: "bytes" });
  const back: Uint8Array[] = [];
  const reading = (async () => {
    for await (const chunk of stream) back.push(chunk);
  })();
  for (let at = 0; at < bytes.length; at += size) await stream.send(bytes.slice(at, at + size));
  await stream.end();
  await reading;
  expect(Buffer.compare(Buffer.concat(arrived), bytes)).toBe(0);
  expect(Buffer.compare(Buffer.concat(back), bytes)).toBe(0);
  expect(server.lines.length).toBe(21);
  client.close();
});

it("confirms are less than 1 % of what a busy session sends", async () => {
  const server = new SessionServer();
  server.serve = (frame, session) => session.send(response(frame, '"re"'));
  const client = dial(server);
  for (let i = 0; i < 40; i++) {
    await Promise.all(Array.from({ length: 64 }, () => client.call("/c", "hi")));
  }
  const { frames, passed } = server.line;
  const confirms = frames.filter(({ cmd }) => cmd === 9);
  expect(confirms.length).toBeGreaterThan(9);
  expect(confirms.length * 16).toBeLessThan(passed.up / 100);
  client.close();
});
