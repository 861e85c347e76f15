/** The connection is lost: what was sent fails at once, what was not waits, and it comes back. */

import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { type ClientState, connect } from "../src/index.ts";
import { fakeSockets, until } from "./helpers/fake-socket.ts";
import {
  becomes,
  echo,
  frame,
  notify,
  open,
  response,
  silent,
  startServer,
} from "./helpers/server.ts";

describe("a connection that is cut", () => {
  it("fails what was sent, at once, and says so", async () => {
    const server = await startServer(silent);
    const client = open(server);
    const calls = [1, 2, 3].map((i) => client.call("/never", i, { timeout: 0 }));
    const peer = await server.peer();
    for (const _ of calls) await peer.next();
    peer.terminate();
    for (const result of await Promise.allSettled(calls)) {
      expect(result).toMatchObject({
        status: "rejected",
        reason: { code: "unavailable", sent: true, remote: false },
      });
    }
  });

  it("is made again, and what waited is sent in order", async () => {
    const server = await startServer(silent);
    const client = open(server);
    const lost = becomes(client, "waiting");
    (await server.peer()).terminate();
    await lost;
    const calls = [client.call("/a"), client.call("/b")];
    expect(client.notify("/c")).toBe("queued");
    const peer = await server.peer();
    const frames = [await peer.next(), await peer.next(), await peer.next()];
    expect(frames.map(({ method }) => method)).toEqual(["/a", "/b", "/c"]);
    for (const asked of frames.slice(0, 2)) peer.send(response(asked, asked.method));
    expect(await Promise.all(calls)).toEqual(["/a", "/b"]);
  });

  it("survives 30 cuts", async () => {
    const server = await startServer((frame, peer) => {
      echo(frame, peer);
      peer.socket.close();
    });
    const client = open(server);
    for (let i = 0; i < 30; i++) {
      // A call on a connection the server is closing fails; the next one finds a new one.
      while ((await client.call("/echo", i).catch(() => -1)) !== i);
    }
    expect(server.accepted).toBeGreaterThanOrEqual(30);
  });

  it("comes back to a server that was restarted on its port", async () => {
    const first = await startServer();
    const port = Number(new URL(first.url).port);
    const client = open(first);
    expect(await client.call("/echo", 1)).toBe(1);
    const lost = becomes(client, "waiting");
    await first.stop();
    await lost;
    const reply = client.call("/echo", 2, { timeout: 0 });
    await startServer(echo, { port });
    expect(await reply).toBe(2);
  });

  it("an answer to its request goes nowhere else", async () => {
    const server = await startServer(silent);
    const client = open(server);
    const idle = (): void => {};
    let release = idle;
    client.handle("/slow", () => new Promise<void>((resolve) => (release = resolve)));
    const first = await server.peer();
    first.send({ ...frame(1, "/slow", 9n) });
    await until(() => release !== idle);
    first.socket.close();
    const second = await server.peer();
    release();
    client.notify("/last");
    expect(await second.next()).toMatchObject({ method: "/last" });
  });
});

describe("without a network", () => {
  beforeEach(() => {
    vi.useFakeTimers();
  });
  afterEach(() => {
    vi.unstubAllGlobals();
    vi.useRealTimers();
  });

  function dial(options: Parameters<typeof connect>[1] = {}) {
    const sockets = fakeSockets();
    const client = connect("ws://fake/", {
      WebSocket: sockets.WebSocket,
      backoff: { min: 100, max: 1000, stable: 5000, random: () => 1 },
      hello: "never",
      ...options,
    });
    const states: ClientState[] = [];
    client.on("state", (state) => states.push(state));
    return { client, sockets, states };
  }

  it("dials ever more slowly, up to the cap", () => {
    const { client, sockets } = dial();
    const delays: number[] = [];
    client.on("state", (_, { delay }) => delay !== undefined && delays.push(delay));
    for (let i = 0; i < 1000; i++) {
      sockets.last.drop();
      expect(vi.getTimerCount()).toBe(1);
      vi.runOnlyPendingTimers();
    }
    expect(sockets.all).toHaveLength(1001);
    expect(delays.slice(0, 6)).toEqual([100, 200, 400, 800, 1000, 1000]);
    client.close();
  });

  it("starts over after a stable connection only", () => {
    const { client, sockets } = dial();
    const delays: Array<number | undefined> = [];
    client.on("state", (state, { delay }) => state === "waiting" && delays.push(delay));
    for (const uptime of [0, 0, 4999, 5000, 0]) {
      sockets.last.open();
      vi.advanceTimersByTime(uptime);
      sockets.last.drop();
      vi.advanceTimersByTime(1000);
    }
    expect(delays).toEqual([100, 200, 400, 100, 200]);
    client.close();
  });

  it("tells each change of state, and why", () => {
    const { client, sockets, states } = dial();
    let error: unknown;
    client.on("state", (_, detail) => (error = detail.error ?? error));
    sockets.last.open();
    sockets.last.drop(1001);
    vi.runOnlyPendingTimers();
    sockets.last.open();
    client.close();
    expect(states).toEqual(["open", "waiting", "connecting", "open", "closed"]);
    expect(error).toMatchObject({ code: "unavailable", message: "connection closed (1001)" });
  });

  it("a dial that takes too long is given up", () => {
    const { client, sockets, states } = dial({ connectTimeout: 1000 });
    vi.advanceTimersByTime(1000);
    expect(states).toEqual(["waiting"]);
    expect(sockets.last.closedWith).toBeDefined();
    client.close();
  });

  it("late events of a stale socket find nobody", async () => {
    const { client, sockets, states } = dial();
    sockets.last.open();
    const stale = sockets.last;
    const { onopen, onmessage, onclose } = stale;
    stale.drop();
    vi.runOnlyPendingTimers();
    sockets.last.open();
    const handler = vi.fn();
    client.handle("/n", handler);
    Object.assign(stale, { onopen, onmessage, onclose });
    stale.open();
    stale.receive(notify("/n"));
    stale.drop();
    expect(handler).not.toHaveBeenCalled();
    expect(states).toEqual(["open", "waiting", "connecting", "open"]);
    client.close();
  });

  it("dials when the browser is online again, without waiting", () => {
    const events = new EventTarget();
    vi.stubGlobal("addEventListener", events.addEventListener.bind(events));
    vi.stubGlobal("removeEventListener", events.removeEventListener.bind(events));
    const { client, sockets } = dial();
    events.dispatchEvent(new Event("online"));
    expect(sockets.all).toHaveLength(1);
    sockets.last.drop();
    events.dispatchEvent(new Event("online"));
    expect(sockets.all).toHaveLength(2);
    expect(vi.getTimerCount()).toBe(1);
    client.close();
    events.dispatchEvent(new Event("online"));
    expect(sockets.all).toHaveLength(2);
    expect(vi.getTimerCount()).toBe(0);
  });

  it("a call waits within its timeout, and is not sent after it", async () => {
    const { client, sockets } = dial();
    const call = client.call("/m", 1, { timeout: 50 });
    const failed = expect(call).rejects.toMatchObject({ code: "deadline_exceeded", sent: false });
    vi.advanceTimersByTime(50);
    await failed;
    sockets.last.open();
    expect(sockets.last.sent).toEqual([]);
    client.close();
  });

  it("a call waits for ten seconds unless told, and for ever if told", async () => {
    const { client } = dial();
    const call = expect(client.call("/m")).rejects.toMatchObject({ code: "deadline_exceeded" });
    const settled = vi.fn();
    const endless = client.call("/m", 1, { timeout: 0 }).catch(settled);
    const huge = client.call("/m", 1, { timeout: 2 ** 40 }).catch(settled);
    vi.advanceTimersByTime(10_000);
    await call;
    vi.advanceTimersByTime(100_000);
    expect(settled).not.toHaveBeenCalled();
    client.close();
    await Promise.all([endless, huge]);
    expect(settled).toHaveBeenCalledTimes(2);
  });

  it.each([
    ["frames", { maxQueue: 2 }],
    ["bytes", { maxQueueBytes: 60 }],
  ])("the queue is bounded in %s", async (_, options) => {
    const { client, sockets } = dial(options);
    const waiting = [client.call("/aa", "12345"), client.call("/bb", "12345")];
    const refused = { code: "resource_exhausted", sent: false };
    await expect(client.call("/cc", "12345")).rejects.toMatchObject(refused);
    expect(client.notify("/dd", "12345")).toBe("dropped");
    sockets.last.open();
    expect(sockets.last.sent.map(({ method }) => method)).toEqual(["/aa", "/bb"]);
    sockets.last.receive(...sockets.last.sent.map((asked) => response(asked, "")));
    await Promise.all(waiting);
    client.close();
  });

  it("an aborted call gives its place in the queue back", async () => {
    const { client, sockets } = dial({ maxQueue: 1 });
    const controller = new AbortController();
    const aborted = client.call("/a", 1, { signal: controller.signal });
    controller.abort();
    await expect(aborted).rejects.toMatchObject({ code: "canceled", sent: false });
    expect(client.notify("/b")).toBe("queued");
    sockets.last.open();
    expect(sockets.last.sent.map(({ method }) => method)).toEqual(["/b"]);
    client.close();
  });

  it("a socket that gets nothing away takes no more", async () => {
    const { client, sockets } = dial({ maxQueueBytes: 1000 });
    sockets.last.open();
    expect(client.notify("/n")).toBe("sent");
    sockets.last.bufferedAmount = 1001;
    expect(client.notify("/n")).toBe("dropped");
    await expect(client.call("/m")).rejects.toMatchObject({ code: "resource_exhausted" });
    client.close();
  });

  it("on a socket that is closing a call waits for the next", async () => {
    const { client, sockets } = dial();
    sockets.last.open();
    sockets.last.readyState = 2;
    expect(client.notify("/n")).toBe("queued");
    sockets.last.drop();
    vi.runOnlyPendingTimers();
    sockets.last.open();
    expect(sockets.last.sent.map(({ method }) => method)).toEqual(["/n"]);
    client.close();
  });

  describe("keepalive", () => {
    const commands = (sockets: ReturnType<typeof fakeSockets>): number[] =>
      sockets.last.sent.map(({ cmd }) => cmd);

    it("pings an idle peer after 25 s, and gives it up 35 s later", () => {
      const { client, sockets, states } = dial();
      sockets.last.open();
      vi.advanceTimersByTime(24_999);
      expect(commands(sockets)).toEqual([]);
      vi.advanceTimersByTime(1);
      expect(commands(sockets)).toEqual([4]);
      vi.advanceTimersByTime(34_999);
      expect(states).toEqual(["open"]);
      vi.advanceTimersByTime(1);
      expect(states).toEqual(["open", "waiting"]);
      expect(sockets.last.closedWith?.code).toBe(4011);
      client.close();
    });

    it("anything the peer says is a sign of life", () => {
      const { client, sockets, states } = dial();
      sockets.last.open();
      for (let i = 0; i < 20; i++) {
        vi.advanceTimersByTime(24_000);
        sockets.last.receive(notify("/n"));
      }
      expect(commands(sockets)).toEqual([]);
      vi.advanceTimersByTime(25_000);
      sockets.last.receive(frame(5, "", 0n));
      vi.advanceTimersByTime(60_000 - 1);
      expect(states).toEqual(["open"]);
      expect(commands(sockets)).toEqual([4, 4]);
      client.close();
    });

    it("a peer that works on a call is left in peace", async () => {
      const { client, sockets, states } = dial();
      sockets.last.open();
      const call = client.call("/long", 1, { timeout: 0 });
      vi.advanceTimersByTime(600_000);
      expect(commands(sockets)).toEqual([1]);
      expect(states).toEqual(["open"]);
      sockets.last.receive(response(sockets.last.sent[0]!, "done"));
      expect(await call).toBe("done");
      vi.advanceTimersByTime(50_000);
      expect(commands(sockets)).toEqual([1, 4]);
      client.close();
    });

    it("a ping is answered at once, with its seq", () => {
      const { client, sockets } = dial();
      sockets.last.open();
      sockets.last.receive(frame(4, "", 2n ** 63n));
      expect(sockets.last.sent).toMatchObject([{ cmd: 5, seq: 2n ** 63n, method: "" }]);
      client.close();
    });
  });

  describe("close", () => {
    it("is final, leaves no timer, and fails what waits", async () => {
      const { client, sockets, states } = dial();
      sockets.last.open();
      const sent = client.call("/sent", 1);
      sockets.last.readyState = 2;
      const unsent = client.call("/unsent", 1);
      const results = Promise.allSettled([sent, unsent]);
      client.close();
      client.close();
      expect(vi.getTimerCount()).toBe(0);
      expect(await results).toMatchObject([
        { reason: { code: "unavailable", sent: true } },
        { reason: { code: "unavailable", sent: false } },
      ]);
      sockets.last.drop();
      vi.advanceTimersByTime(1_000_000);
      expect(sockets.all).toHaveLength(1);
      expect(states).toEqual(["open", "closed"]);
      expect(sockets.last.closedWith).toEqual({ code: 1000, reason: "" });
    });

    it.each(["connecting", "waiting"] as const)("while %s", (state) => {
      const { client, sockets } = dial();
      if (state === "waiting") sockets.last.drop();
      expect(client.state).toBe(state);
      client.close();
      expect(client.state).toBe("closed");
      expect(vi.getTimerCount()).toBe(0);
    });

    it("within a listener or a handler", () => {
      const { client, sockets } = dial();
      client.on("state", (state) => state === "waiting" && client.close());
      sockets.last.open();
      sockets.last.drop();
      expect(client.state).toBe("closed");
      expect(vi.getTimerCount()).toBe(0);
    });

    it("a call afterwards fails", async () => {
      const { client } = dial();
      client.close();
      await expect(client.call("/m")).rejects.toMatchObject({ code: "unavailable", sent: false });
      expect(vi.getTimerCount()).toBe(0);
    });
  });

  it("a listener that throws stops neither the others nor the client", () => {
    const log = vi.spyOn(console, "error").mockImplementation(() => {});
    const { client, sockets } = dial();
    const off = client.on("state", () => {
      throw new Error("listener");
    });
    const heard = vi.fn();
    client.on("state", heard);
    sockets.last.open();
    expect(heard).toHaveBeenCalledTimes(1);
    expect(log).toHaveBeenCalledTimes(1);
    client.on("error", () => {
      throw new Error("error listener");
    });
    off();
    client.on("state", () => {
      throw new Error("another");
    });
    sockets.last.drop();
    expect(heard).toHaveBeenCalledTimes(2);
    expect(log).toHaveBeenCalledTimes(2);
    client.close();
  });
});

describe("connect", () => {
  it("refuses what is no URL", () => {
    const { WebSocket } = fakeSockets();
    expect(() => connect("/relative", { WebSocket })).toThrow(
      expect.objectContaining({ code: "invalid_argument" }) as Error,
    );
  });

  it("needs a WebSocket", () => {
    vi.stubGlobal("WebSocket", undefined);
    expect(() => connect("ws://fake/")).toThrow(
      expect.objectContaining({ code: "failed_precondition" }) as Error,
    );
    vi.unstubAllGlobals();
  });

  it("takes page addresses", () => {
    const urls: string[] = [];
    const { WebSocket } = fakeSockets();
    class Spy extends WebSocket {
      constructor(url: string) {
        super(url);
        urls.push(url);
      }
    }
    vi.stubGlobal("location", new URL("https://example.org/chat/"));
    for (const url of ["/ws", "http://a.example/x", new URL("wss://b.example/y")]) {
      connect(url, { WebSocket: Spy }).close();
    }
    vi.unstubAllGlobals();
    expect(urls).toEqual(["wss://example.org/ws", "ws://a.example/x", "wss://b.example/y"]);
  });
});
