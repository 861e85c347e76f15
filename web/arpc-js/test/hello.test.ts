/** Hello: nothing goes before its answer, and what is not clearly an answer of ours is a base peer's. */

import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { type ArpcError, type ClientState, type ConnectOptions, connect } from "../src/index.ts";
import { decodeText, encodeText } from "../src/wire.ts";
import { type FakeSockets, fakeSockets, until } from "./helpers/fake-socket.ts";
import {
  agrees,
  base,
  becomes,
  echo,
  failure,
  frame,
  helloAnswer,
  notify,
  open,
  request,
  response,
  type Serve,
  silent,
  startServer,
  structuredFailure,
} from "./helpers/server.ts";

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "performance"] });
});
afterEach(() => {
  vi.useRealTimers();
});

function dial(options: ConnectOptions = {}) {
  const sockets = fakeSockets();
  const backoff = { min: 100, random: () => 1 };
  const client = connect("ws://fake/", { WebSocket: sockets.WebSocket, backoff, ...options });
  const states: ClientState[] = [];
  const errors: ArpcError[] = [];
  client.on("state", (state) => states.push(state));
  client.on("error", (error) => errors.push(error));
  return { client, sockets, states, errors };
}

const methods = ({ last }: FakeSockets): string[] => last.sent.map(({ method }) => method);

describe("hello", () => {
  it("is the first frame, and nothing goes until it is answered", async () => {
    const { client, sockets, states } = dial();
    sockets.last.open();
    const call = client.call("/m", 1);
    expect(client.notify("/n")).toBe("queued");
    const [hello] = sockets.last.sent;
    expect(methods(sockets)).toEqual(["arpc.hello"]);
    expect(hello).toMatchObject({ cmd: 1, flag: 8, seq: 0n });
    expect(JSON.parse(decodeText(hello!.body))).toEqual({
      arpc: 1,
      caps: ["batch", "cancel", "errors", "kind", "goaway", "resume", "credit", "topics"],
      coders: [],
      codec: "json",
      window: 262_144,
      topics: [{ topic: "" }],
    });
    expect(client.state).toBe("connecting");
    sockets.last.receive(helloAnswer(hello!));
    expect(states).toEqual(["open"]);
    await null;
    expect(methods(sockets)).toEqual(["arpc.hello", "/m", "/n"]);
    sockets.last.receive(response(sockets.last.sent[1]!, "2"));
    expect(await call).toBe(2);
    client.close();
  });

  it("names the codec", () => {
    const codec = { name: "mine", encode: () => encodeText(""), decode: () => 0 };
    const { client, sockets } = dial({ codec });
    sockets.last.open();
    expect(JSON.parse(decodeText(sockets.last.sent[0]!.body))).toMatchObject({ codec: "mine" });
    client.close();
  });

  const foreign: Array<[string, Serve]> = [
    ["method not found", (to, peer) => peer.send(failure(to, "method not found"))],
    ["login first", (to, peer) => peer.send(failure(to, "login first"))],
    ["catch-all", (to, peer) => peer.send(response(to, "catch-all"))],
    ["nothing", (to, peer) => peer.send(response(to, ""))],
    ["null", (to, peer) => peer.send(response(to, "null"))],
    ["a list", (to, peer) => peer.send(response(to, '[{"arpc":1}]'))],
    ["an object", (to, peer) => peer.send(response(to, "{}"))],
    ["another version", (to, peer) => peer.send(response(to, '{"arpc":2,"caps":["batch"]}'))],
    ["a version in a text", (to, peer) => peer.send(response(to, '{"arpc":"1"}'))],
    ["an error that looks like one of ours", (to, peer) => peer.send(failure(to, '{"arpc":1}'))],
  ];

  it.each(foreign)("answered with %s is that of a base server", async (_, hello) => {
    vi.useRealTimers();
    const server = await startServer(echo, { hello });
    const client = open(server);
    const errors = vi.fn();
    client.on("error", errors);
    expect(await Promise.all([client.call("/a", "1"), client.call("/b", "2")])).toEqual([1, 2]);
    const peer = await server.peer();
    expect([(await peer.next()).flag, (await peer.next()).flag]).toEqual([0, 0]);
    expect(peer.framesPerMessage).toEqual([1, 1]);
    expect(server.accepted).toBe(1);
    expect(errors).not.toHaveBeenCalled();
  });

  it.each([
    ["no capability", '{"arpc":1}'],
    ["nonsense", '{"arpc":1,"caps":"batch","ping":-1,"expires":"x","limits":7}'],
    ["nonsense inside", '{"arpc":1,"caps":[1,null,"x"],"limits":{"body":"x","inflight":-1}}'],
  ])("answered with %s agrees to nothing", async (_, body) => {
    vi.useRealTimers();
    const server = await startServer(echo, {
      hello: (to, peer) => peer.send({ ...response(to, body), flag: 8 }),
    });
    const client = open(server);
    expect(await Promise.all([client.call("/a", "1"), client.call("/b", "2")])).toEqual([1, 2]);
    const peer = await server.peer();
    expect(peer.framesPerMessage).toEqual([1, 1]);
  });

  it.each([["no such codec"], ["too long for the reason of a close: €".repeat(9)]])(
    "refused is told, with the server's code, and tried again: %s",
    async (message) => {
      vi.useRealTimers();
      let tries = 0;
      const server = await startServer(echo, {
        hello: (to, peer) => {
          if (++tries === 1) {
            peer.send(structuredFailure(to, { code: "invalid_argument", message }));
          } else agrees()(to, peer);
        },
      });
      const client = open(server);
      const told = new Promise((resolve) => client.on("error", resolve));
      const waiting = becomes(client, "waiting");
      const reply = client.call("/m", "x");
      const refusal = { code: "invalid_argument", message, remote: true };
      expect(await told).toMatchObject(refusal);
      expect((await waiting)?.error).toMatchObject(refusal);
      const first = await server.peer();
      expect(await first.closed).toMatchObject({ code: 1000 });
      expect(first.frames.size).toBe(0);
      expect(await reply).toBe("x");
    },
  );

  it("is followed by what builds on its answer, in the same message", () => {
    const { client, sockets } = dial();
    client.handle("/m", () => {
      throw new Error("bug");
    });
    sockets.last.open();
    const [hello] = sockets.last.sent.splice(0);
    sockets.last.receive(helloAnswer(hello!, { caps: ["errors"] }), request("/m", 1n));
    expect(sockets.last.sent).toMatchObject([{ cmd: 2, flag: 5 }]);
    client.close();
  });

  it("answered twice, or late, is answered", () => {
    const { client, sockets, states } = dial();
    sockets.last.open();
    const hello = sockets.last.sent[0]!;
    const refusal = structuredFailure(hello, { code: "internal", message: "late" });
    sockets.last.receive(helloAnswer(hello), helloAnswer(hello, { caps: [] }), refusal);
    client.notify("/a");
    client.close();
    expect(states).toEqual(["open", "closed"]);
  });

  it("on a connection that is lost is said again on the next", () => {
    const { client, sockets } = dial();
    sockets.last.open();
    sockets.last.drop();
    vi.advanceTimersByTime(100);
    sockets.last.open();
    expect(sockets.all).toHaveLength(2);
    expect(methods(sockets)).toEqual(["arpc.hello"]);
    client.close();
    expect(vi.getTimerCount()).toBe(0);
  });
});

describe("a server that does not answer hello", () => {
  it("is dialed again without, after 5 s, and remembered for 10 minutes", () => {
    const { client, sockets, states, errors } = dial({ pingInterval: 1e9 });
    sockets.last.open();
    vi.advanceTimersByTime(4999);
    expect(sockets.all).toHaveLength(1);
    vi.advanceTimersByTime(1);
    expect(sockets.all[0]?.closedWith).toBeDefined();
    vi.advanceTimersByTime(1);
    expect(sockets.all).toHaveLength(2);
    sockets.last.open();
    client.notify("/n");
    expect(methods(sockets)).toEqual(["/n"]);
    expect(sockets.all[0]?.sent.map(({ method }) => method)).toEqual(["arpc.hello"]);
    expect(states.at(-1)).toBe("open");
    vi.advanceTimersByTime(9 * 60_000);
    sockets.last.drop();
    vi.advanceTimersByTime(100);
    sockets.last.open();
    expect(methods(sockets)).toEqual([]);
    vi.advanceTimersByTime(60_000);
    sockets.last.drop();
    vi.advanceTimersByTime(1000);
    sockets.last.open();
    expect(methods(sockets)).toEqual(["arpc.hello"]);
    expect(errors).toEqual([]);
    client.close();
  });

  it.each<[string, ConnectOptions]>([
    ["a token", { token: "secret" }],
    ["hello required", { hello: "require" }],
  ])("is not gone on with, with %s", async (_, options) => {
    const { client, sockets, states } = dial(options);
    for (let i = 1; i <= 3; i++) {
      const waiting = becomes(client, "waiting");
      await until(() => sockets.all.length === i);
      sockets.last.open();
      vi.advanceTimersByTime(5000);
      expect((await waiting)?.error).toMatchObject({ code: "unavailable" });
      expect(methods(sockets)).toEqual(["arpc.hello"]);
      vi.advanceTimersByTime(1000);
    }
    expect(states).not.toContain("open");
    client.close();
    expect(vi.getTimerCount()).toBe(0);
  });

  it("is slow, where it answered before", async () => {
    const { client, sockets } = dial();
    sockets.last.agree();
    await until(() => client.state === "open");
    for (let i = 1; i <= 3; i++) {
      sockets.last.drop();
      await until(() => client.state === "waiting");
      vi.advanceTimersByTime(20_000);
      sockets.last.open();
      vi.advanceTimersByTime(5000);
      expect(methods(sockets)).toEqual(["arpc.hello"]);
    }
    client.close();
  });

  it.each<[string, ConnectOptions]>([
    ["a token", { token: "secret" }],
    ["hello required", { hello: "require" }],
  ])("nor is a base server, with %s", async (_, options) => {
    const { client, sockets, states } = dial(options);
    await until(() => sockets.all.length === 1);
    sockets.last.open();
    const waiting = becomes(client, "waiting");
    sockets.last.receive(failure(sockets.last.sent[0]!, "method not found"));
    expect((await waiting)?.error).toMatchObject({ code: "unavailable" });
    expect(states).toEqual(["waiting"]);
    client.close();
  });
});

describe("without hello", () => {
  it("the base protocol is spoken at once", () => {
    const { client, sockets, states } = dial({ hello: "never" });
    client.notify("/n", "text");
    sockets.last.open();
    expect(states).toEqual(["open"]);
    expect(sockets.last.sent).toMatchObject([{ method: "/n", flag: 2 }]);
    client.close();
  });

  it("no token is shown", async () => {
    const { client, sockets, states } = dial({ hello: "never", token: "secret" });
    await until(() => sockets.all.length === 1);
    sockets.last.open();
    expect(states).toEqual(["open"]);
    expect(sockets.last.sent).toEqual([]);
    client.close();
  });
});

describe("kinds", () => {
  it("are not said to a base peer until it says one", async () => {
    vi.useRealTimers();
    const server = await startServer(silent, { hello: base });
    const client = open(server);
    const peer = await server.peer();
    client.handle("/m", () => "text");
    client.notify("/before", "text");
    expect((await peer.next()).flag).toBe(2);
    peer.send(request("/m", 1n, "text", 1 << 4));
    expect((await peer.next()).flag).toBe(1 << 4);
    client.notify("/after", Uint8Array.of(1));
    expect((await peer.next()).flag).toBe(2 | (2 << 4));
  });

  it("are said to who agreed", () => {
    const { client, sockets } = dial();
    client.notify("/waited", { a: 1 });
    sockets.last.open();
    const [hello] = sockets.last.sent.splice(0);
    sockets.last.receive({ ...helloAnswer(hello!, { caps: ["kind"] }), flag: 8 });
    client.notify("/n", "text");
    client.notify("/n", Uint8Array.of(1));
    client.notify("/n");
    expect(sockets.last.sent.map(({ flag }) => flag >> 4)).toEqual([3, 1, 2, 0]);
    client.close();
  });

  it("are forgotten with the connection", () => {
    const { client, sockets } = dial();
    sockets.last.agree();
    sockets.last.drop();
    vi.advanceTimersByTime(1000);
    sockets.last.open();
    sockets.last.receive(failure(sockets.last.sent[0]!, "method not found"));
    client.notify("/n", "text");
    expect(sockets.last.sent.at(-1)).toMatchObject({ method: "/n", flag: 2 });
    client.close();
  });
});

describe("the server's limits", () => {
  it("bound what is sent, also what waited", async () => {
    const { client, sockets, errors } = dial();
    const waited = client.call("/waited", "x".repeat(100));
    client.notify("/waited", "x".repeat(100));
    const small = client.call("/small", "x");
    sockets.last.agree({ caps: [], limits: { body: 50 } });
    const refused = (bytes: number) => ({
      code: "resource_exhausted",
      sent: false,
      message: `body of ${bytes} bytes, limit 50`,
    });
    await expect(waited).rejects.toMatchObject(refused(100));
    expect(errors).toMatchObject([refused(100)]);
    await expect(client.call("/m", "x".repeat(50))).rejects.toMatchObject(refused(50));
    expect(() => client.notify("/n", "x".repeat(50))).toThrow("limit 50");
    client.handle("/big", () => "x".repeat(50));
    sockets.last.receive(request("/big", 1n));
    expect(methods(sockets)).toEqual(["/small", "/big"]);
    expect(decodeText(sockets.last.sent[1]!.body)).toBe("answer of 50 bytes, limit 50");
    client.close();
    await expect(small).rejects.toMatchObject({ code: "unavailable" });
  });

  it("hold calls back, in order, and nothing else", async () => {
    const { client, sockets } = dial();
    const calls = Array.from({ length: 6 }, (_, i) => client.call(`/${i}`, i));
    client.notify("/waited");
    sockets.last.agree({ caps: [], limits: { inflight: 2 } });
    expect(methods(sockets)).toEqual(["/0", "/1", "/waited"]);
    expect(client.notify("/n")).toBe("sent");
    const answer = (i: number): void => {
      const asked = sockets.last.sent.find(({ method }) => method === `/${i}`);
      sockets.last.receive(response(asked!, String(i)));
    };
    answer(1);
    expect(methods(sockets).slice(4)).toEqual(["/2"]);
    answer(0);
    answer(2);
    for (const i of [3, 4, 5]) answer(i);
    expect(methods(sockets).slice(4)).toEqual(["/2", "/3", "/4", "/5"]);
    expect(await Promise.all(calls)).toEqual([0, 1, 2, 3, 4, 5]);
    client.close();
  });

  it("hold calls back within their timeout", async () => {
    const { client, sockets } = dial();
    sockets.last.agree({ caps: [], limits: { inflight: 1 } });
    const first = client.call("/1", 1, { timeout: 0 });
    const held = client.call("/2", 2, { timeout: 50 });
    const expired = expect(held).rejects.toMatchObject({ code: "deadline_exceeded", sent: false });
    vi.advanceTimersByTime(50);
    await expired;
    const next = client.call("/3");
    sockets.last.receive(response(sockets.last.sent[0]!, ""));
    await first;
    expect(methods(sockets)).toEqual(["/1", "/3"]);
    client.close();
    await expect(next).rejects.toMatchObject({ sent: true });
  });

  it("let as many more calls go as the server has requests open here", async () => {
    const { client, sockets } = dial();
    sockets.last.agree({ caps: [], limits: { inflight: 1 } });
    const calls = [client.call("/1"), client.call("/2"), client.call("/3")];
    expect(methods(sockets)).toEqual(["/1"]);
    client.handle("/back", () => client.call("/4"));
    sockets.last.receive(request("/back", 1n));
    expect(methods(sockets)).toEqual(["/1", "/2"]);
    sockets.last.receive(request("/back", 2n), request("/back", 3n));
    expect(methods(sockets)).toEqual(["/1", "/2", "/3", "/4"]);
    client.close();
    await Promise.allSettled(calls);
  });

  it("hold a call that goes with the next connection, before those made later", async () => {
    const { client, sockets } = dial();
    sockets.last.agree({ caps: [], limits: { inflight: 1 } });
    const calls = [client.call("/1"), client.call("/2")];
    sockets.last.drop();
    calls.push(client.call("/3"));
    vi.advanceTimersByTime(100);
    sockets.last.agree({ caps: [] });
    expect(methods(sockets)).toEqual(["/2", "/3"]);
    client.close();
    const results = await Promise.allSettled(calls);
    expect(results).toMatchObject([1, 2, 3].map(() => ({ reason: { code: "unavailable" } })));
  });
});

describe("keepalive with a server that says it pings", () => {
  it("sends no ping, and gives up after its interval and 35 s", () => {
    const { client, sockets, states } = dial();
    sockets.last.agree({ ping: 10_000 });
    vi.advanceTimersByTime(44_999);
    expect(states).toEqual(["open"]);
    sockets.last.receive(frame(4, "", 5n));
    vi.advanceTimersByTime(44_999);
    sockets.last.receive(notify("/n"));
    vi.advanceTimersByTime(44_999);
    expect(sockets.last.sent.filter(({ cmd }) => cmd === 4)).toEqual([]);
    expect(states).toEqual(["open"]);
    vi.advanceTimersByTime(1);
    expect(states).toEqual(["open", "waiting"]);
    expect(sockets.all[0]?.closedWith?.code).toBe(4011);
    client.close();
  });

  it("gives up although calls wait: the server would have pinged", async () => {
    const { client, sockets } = dial();
    sockets.last.agree();
    const call = client.call("/long", 1, { timeout: 0 });
    const lost = expect(call).rejects.toMatchObject({ code: "unavailable" });
    vi.advanceTimersByTime(60_000);
    await lost;
    client.close();
  });

  it("waits for an interval longer than a timer can, without spinning", () => {
    const { client, sockets, states } = dial();
    sockets.last.agree({ ping: 1e15 });
    const set = vi.spyOn(globalThis, "setTimeout");
    vi.advanceTimersByTime(1000);
    expect(set).not.toHaveBeenCalled();
    expect(states).toEqual(["open"]);
    client.close();
  });
});

describe("deadlines", () => {
  it("of any number of calls are one timer, and each is kept", async () => {
    const { client, sockets } = dial({ hello: "never" });
    sockets.last.open();
    const timers = vi.getTimerCount();
    const failed: number[] = [];
    const calls = [30, 10, 20, 10, 0].map((timeout) =>
      client.call("/m", 1, { timeout }).catch(() => failed.push(timeout)),
    );
    expect(vi.getTimerCount()).toBe(timers + 1);
    for (const [at, expected] of [
      [9, []],
      [1, [10, 10]],
      [10, [10, 10, 20]],
      [10, [10, 10, 20, 30]],
    ] as const) {
      await vi.advanceTimersByTimeAsync(at);
      expect(failed).toEqual(expected);
    }
    expect(vi.getTimerCount()).toBe(timers);
    client.close();
    await Promise.all(calls);
    expect(vi.getTimerCount()).toBe(0);
  });

  it("later than that of an answered call are kept", async () => {
    const { client, sockets } = dial({ hello: "never" });
    sockets.last.open();
    const answered = client.call("/m", 1, { timeout: 10 });
    const late = client.call("/m", 1, { timeout: 100 }).catch((error: ArpcError) => error.code);
    sockets.last.receive(response(sockets.last.sent[0]!, ""));
    await answered;
    await vi.advanceTimersByTimeAsync(99);
    expect(vi.getTimerCount()).toBeGreaterThan(1);
    await vi.advanceTimersByTimeAsync(1);
    expect(await late).toBe("deadline_exceeded");
    client.close();
  });
});
