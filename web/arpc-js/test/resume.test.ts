/** The rules of a session: what is counted, confirmed, kept, sent again, refused and given up. */

import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { connect as connectCore } from "../src/core.ts";
import { type ConnectOptions, connect } from "../src/index.ts";
import { decodeText, encodeFrame, type Frame, KIND_SHIFT } from "../src/wire.ts";
import { type FakeSocket, fakeSockets, until } from "./helpers/fake-socket.ts";
import {
  type Answer,
  base,
  failure,
  frame,
  notify,
  request,
  response,
  structuredFailure,
} from "./helpers/server.ts";

const CONFIRM = 9;
const CANCEL = 7;
const OUTSIDE = 8;
// Without `batch` a frame is sent in the turn of what sends it.
const caps = ["cancel", "errors", "kind", "goaway", "credit", "resume"];
const opening = { caps, ticket: "one", grace: 60_000, window: 1 << 18 };

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "performance"] });
});
afterEach(() => {
  vi.unstubAllGlobals();
  vi.useRealTimers();
});

/** A client that dials 100 ms after it lost a connection. */
function dial(options: ConnectOptions = {}) {
  const sockets = fakeSockets();
  const backoff = { min: 100, max: 100, random: () => 1 };
  const client = connect("ws://fake/", { WebSocket: sockets.WebSocket, backoff, ...options });
  const events: string[] = [];
  client.on("paused", ({ message }) => events.push(`paused: ${message}`));
  client.on("resumed", () => events.push("resumed"));
  client.on("lost", (reason) => events.push(`lost: ${reason}`));
  const errors = vi.fn();
  client.on("error", errors);
  return { client, sockets, events, errors };
}

/** One whose session began; nothing is in `sent`. */
function begin(options: ConnectOptions = {}) {
  const it = dial(options);
  it.sockets.last.agree(opening);
  it.sockets.last.sent.length = 0;
  return it;
}

type Begun = ReturnType<typeof begin>;

/** Its connection is lost, and the next one is open; gives the hello that was said. */
function redial({ sockets }: Begun): { hello: Frame; session: unknown; socket: FakeSocket } {
  if (sockets.last.readyState !== 2) sockets.last.drop();
  vi.advanceTimersByTime(100);
  const socket = sockets.last;
  socket.open();
  const hello = socket.sent.splice(0)[0] as Frame;
  return { hello, session: JSON.parse(decodeText(hello.body)).session, socket };
}

function answer(socket: FakeSocket, hello: Frame, more: Answer): void {
  const sent = socket.sent.splice(0);
  socket.sent.push(hello, ...sent);
  const answered = { ...opening, ticket: "two", ...more };
  socket.receive({
    ...response(hello, JSON.stringify({ arpc: 1, ...answered })),
    flag: OUTSIDE | (3 << KIND_SHIFT),
  });
  socket.sent.shift();
}

function resume(begun: Begun, received: number) {
  const next = redial(begun);
  answer(next.socket, next.hello, { resumed: true, received });
  return next;
}

const what = (socket: FakeSocket): string[] =>
  socket.sent.map(({ cmd, method, seq }) => `${cmd & 0x3f} ${method || seq}`);

describe("confirms", () => {
  it("of nothing, at once: the ticket arrived", () => {
    const { client, sockets } = dial();
    sockets.last.agree(opening);
    expect(sockets.last.sent).toMatchObject([{ cmd: CONFIRM, seq: 0n, flag: 0, method: "" }]);
    client.close();
  });

  it("every 256 frames", () => {
    const { client, sockets } = begin();
    for (let i = 0; i < 255; i++) sockets.last.receive(notify("/n"));
    expect(sockets.last.sent).toEqual([]);
    sockets.last.receive(notify("/n"));
    expect(what(sockets.last)).toEqual(["9 256"]);
    for (let i = 0; i < 256; i++) sockets.last.receive(notify("/n"));
    expect(what(sockets.last)).toEqual(["9 256", "9 512"]);
    client.close();
  });

  it("every 64 KiB", () => {
    const { client, sockets } = begin();
    const body = "x".repeat(32_000);
    for (let i = 0; i < 5; i++) sockets.last.receive(notify("/n", body));
    expect(what(sockets.last)).toEqual(["9 3"]);
    client.close();
  });

  it("with a pong, and with a ping, if there is something to confirm", () => {
    const events = new EventTarget();
    vi.stubGlobal("addEventListener", events.addEventListener.bind(events));
    const { client, sockets } = begin();
    const ping = (): void => {
      sockets.last.sent.length = 0;
      sockets.last.receive(frame(4, "", 7n));
    };
    ping();
    expect(what(sockets.last)).toEqual(["5 7"]);
    sockets.last.receive(notify("/n"));
    ping();
    expect(what(sockets.last)).toEqual(["5 7", "9 1"]);
    ping();
    expect(what(sockets.last)).toEqual(["5 7"]);
    sockets.last.receive(notify("/n"));
    events.dispatchEvent(new Event("offline"));
    expect(what(sockets.last)).toEqual(["5 7", "4 1", "9 2"]);
    client.close();
  });

  it("when nothing came for a while, and not before", () => {
    const { client, sockets } = begin();
    // Traffic that goes on for 20 s is confirmed once, after it.
    for (let i = 0; i < 100; i++) {
      sockets.last.receive(notify("/n"));
      vi.advanceTimersByTime(200);
    }
    expect(sockets.last.sent).toEqual([]);
    vi.advanceTimersByTime(1000);
    expect(what(sockets.last)).toEqual(["9 100"]);
    client.close();
  });

  it("nothing in a minute in which nothing comes", () => {
    const { client, sockets } = begin({ pingTimeout: 100_000 });
    sockets.last.receive(notify("/n"));
    vi.advanceTimersByTime(1000);
    sockets.last.sent.length = 0;
    vi.advanceTimersByTime(60_000);
    expect(sockets.last.sent).toEqual([]);
    expect(client.state).toBe("open");
    client.close();
    expect(vi.getTimerCount()).toBe(0);
  });

  it("what is outside of the session is not counted, nor are pings, pongs and confirms", () => {
    const begun = begin();
    const { client, sockets } = begun;
    sockets.last.receive(
      notify("/broadcast", "", OUTSIDE),
      notify("arpc.topic", "{}", OUTSIDE),
      frame(4, "", 0n),
      frame(5, "", 0n),
      frame(CONFIRM, "", 0n),
      notify("/n"),
      frame(CANCEL, "", 5n),
      frame(63, "", 0n),
    );
    expect(redial(begun).session).toEqual({ ticket: "one", received: 3 });
    client.close();
  });
});

describe("of the server", () => {
  it("free what is kept", async () => {
    const begun = begin();
    const { client, sockets, events } = begun;
    for (let i = 0; i < 5; i++) client.notify("/n", i);
    sockets.last.receive(frame(CONFIRM, "", 3n));
    // One of less than before says nothing new.
    sockets.last.receive(frame(CONFIRM, "", 2n));
    const { socket } = resume(begun, 3);
    expect(what(socket)).toEqual(["9 0", "3 /n", "3 /n"]);
    expect(socket.sent.slice(1).map(({ body }) => decodeText(body))).toEqual(["3", "4"]);
    expect(events).toEqual(["paused: connection closed (1006)", "resumed"]);
    client.close();
  });

  it("of more than was sent ends the connection, and the session", () => {
    const begun = begin();
    const { client, sockets, events } = begun;
    client.notify("/n");
    sockets.last.receive(frame(CONFIRM, "", 2n ** 64n - 1n));
    expect(sockets.last.closedWith?.code).toBe(4002);
    expect(what(sockets.last)).toEqual(["3 /n", "3 arpc.goaway"]);
    expect(events).toEqual(["lost: gap"]);
    expect(redial(begun).session).toBeUndefined();
    client.close();
  });
});

describe("a connection that is lost", () => {
  it("is a pause: calls, handlers and their signals go on", async () => {
    const begun = begin();
    const { client, sockets, events } = begun;
    const signals: AbortSignal[] = [];
    let release = (_: string): void => {};
    client.handle("/slow", ({ signal }) => {
      signals.push(signal);
      return new Promise<string>((resolve) => (release = resolve));
    });
    const call = client.call("/m", 1, { timeout: 0 });
    await null;
    sockets.last.receive(request("/slow", 9n));
    sockets.last.drop();
    expect(client.state).toBe("waiting");
    expect(signals[0]?.aborted).toBe(false);
    release("done");
    await null;
    await null;
    // The server has the call: what is missing is our answer.
    const { socket, session } = resume(begun, 1);
    expect(session).toEqual({ ticket: "one", received: 1 });
    expect(socket.sent).toMatchObject([
      { cmd: CONFIRM, seq: 1n },
      { cmd: 2, seq: 9n },
    ]);
    socket.receive(response({ method: "/m", seq: 1n, flag: 0 } as Frame, '"reply"'));
    expect(await call).toBe("reply");
    expect(events).toEqual(["paused: connection closed (1006)", "resumed"]);
    client.close();
  });

  it("is over when there is another: time goes on without harm", () => {
    const begun = begin();
    const { client, events } = begun;
    const { socket } = resume(begun, 0);
    for (let minutes = 0; minutes < 5; minutes++) {
      socket.receive(frame(4, "", 0n));
      vi.advanceTimersByTime(59_000);
    }
    expect(events).toEqual(["paused: connection closed (1006)", "resumed"]);
    expect(client.state).toBe("open");
    client.close();
  });

  it("because the peer is silent, it is a pause too", () => {
    const begun = begin();
    vi.advanceTimersByTime(60_000);
    expect(begun.sockets.last.closedWith?.code).toBe(4011);
    expect(begun.events).toEqual(["paused: peer silent"]);
    expect(redial(begun).session).toEqual({ ticket: "one", received: 0 });
    begun.client.close();
  });

  it("because what answers the dial talks nonsense, it is a pause too", () => {
    const begun = begin();
    const { socket } = redial(begun);
    socket.receiveRaw(new Uint8Array(16).fill(0xff));
    expect(socket.closedWith?.code).toBe(4009);
    expect(redial(begun).session).toEqual({ ticket: "one", received: 0 });
    expect(begun.events).toEqual(["paused: connection closed (1006)"]);
    begun.client.close();
  });

  it("what comes before hello is answered is no part of it", () => {
    const begun = begin();
    const { client, sockets } = begun;
    const { socket, hello } = redial(begun);
    socket.receive(notify("/n"), frame(CONFIRM, "", 5n));
    answer(socket, hello, { resumed: true, received: 0 });
    socket.receive(notify("/n"));
    expect(redial(begun).session).toEqual({ ticket: "two", received: 1 });
    expect(sockets.all).toHaveLength(3);
    client.close();
  });

  it("what is said before hello is answered is no part of it: the server counts from there", async () => {
    const { client, sockets } = dial();
    const socket = sockets.last;
    client.handle("/early", () => "yes");
    socket.open();
    socket.receive(request("/early", 9n));
    await until(() => socket.sent.length > 1);
    expect(socket.sent[1]).toMatchObject({ cmd: 2, seq: 9n, flag: OUTSIDE });
    client.close();
  });

  it("an answer that is ready later goes to the connection there is then", async () => {
    const begun = begin();
    const { client, sockets } = begun;
    let release = (): void => {};
    client.handle("/slow", () => new Promise<void>((resolve) => (release = resolve)));
    sockets.last.receive(request("/slow", 9n));
    resume(begun, 0);
    const { socket } = resume(begun, 0);
    socket.sent.length = 0;
    release();
    await until(() => socket.sent.length > 0);
    expect(socket.sent).toMatchObject([{ cmd: 2, seq: 9n }]);
    client.close();
  });

  it("what waits meanwhile comes behind what is sent again", () => {
    const begun = begin();
    const { client, sockets } = begun;
    client.notify("/before");
    sockets.last.drop();
    expect(client.notify("/meanwhile")).toBe("queued");
    const { socket } = resume(begun, 0);
    client.notify("/after");
    expect(what(socket)).toEqual(["9 0", "3 /before", "3 /meanwhile", "3 /after"]);
    client.close();
  });

  it("a call that found it closing never left, and is sent in the next session", async () => {
    const begun = begin();
    const { client, sockets } = begun;
    sockets.last.readyState = 2;
    const call = client.call("/m");
    const failed = expect(call).rejects.toMatchObject({ code: "unavailable", sent: true });
    expect(client.notify("/n")).toBe("queued");
    await null;
    sockets.last.drop();
    vi.advanceTimersByTime(100);
    sockets.last.agree({ ...opening, resumed: false, reason: "unknown" });
    expect(what(sockets.last)).toEqual(["9 0", "1 /m", "3 /n"]);
    sockets.last.drop();
    vi.advanceTimersByTime(100);
    sockets.last.agree({ ...opening, resumed: false, reason: "unknown" });
    await failed;
    client.close();
  });

  it("a password is told again, behind what is sent again and before what waited", async () => {
    const begun = dial({ password: "secret" });
    const { client, sockets, events, errors } = begun;
    const authenticated = async (): Promise<void> => {
      await until(() => sockets.last.sent.at(-1)?.method === "in_A");
      sockets.last.receive(response(sockets.last.sent.at(-1) as Frame, ""));
      await until(() => client.state === "open");
    };
    sockets.last.agree(opening);
    await authenticated();
    client.notify("/sent");
    sockets.last.drop();
    client.notify("/waits");
    // A connection that ends while it is told.
    for (let i = 0; i < 2; i++) resume(begun, 1);
    await authenticated();
    const again = ["9 1", "3 /sent", "1 in_A", "7 2", "1 in_A", "3 /waits"];
    expect(what(sockets.last)).toEqual(again);
    expect(events).toEqual(["paused: connection closed (1006)", "resumed"]);
    expect(errors).not.toHaveBeenCalled();
    client.close();
  });

  it("a call that is given up meanwhile is canceled on the next", async () => {
    const begun = begin();
    const { client, sockets } = begun;
    const controller = new AbortController();
    const call = client.call("/m", 1, { signal: controller.signal });
    const failed = expect(call).rejects.toMatchObject({ code: "canceled", sent: true });
    await null;
    sockets.last.drop();
    controller.abort();
    await failed;
    const { socket } = resume(begun, 1);
    expect(what(socket)).toEqual(["9 0", "7 1"]);
    client.close();
  });

  it("a call's own timeout still counts", async () => {
    const begun = begin();
    const call = begun.client.call("/m", 1, { timeout: 1000 });
    const failed = expect(call).rejects.toMatchObject({ code: "deadline_exceeded", sent: true });
    await null;
    begun.sockets.last.drop();
    vi.advanceTimersByTime(1000);
    await failed;
    begun.client.close();
  });

  it("with failFast only what did not leave fails", async () => {
    const begun = begin({ failFast: true });
    const { client, sockets } = begun;
    const call = client.call("/sent");
    await null;
    sockets.last.drop();
    await expect(client.call("/new")).rejects.toMatchObject({ code: "unavailable", sent: false });
    const { socket } = resume(begun, 1);
    socket.receive(response({ method: "/sent", seq: 1n, flag: 0 } as Frame, '"reply"'));
    expect(await call).toBe("reply");
    client.close();
  });

  it("what is bound to it fails with it: a token that is being shown", async () => {
    const begun = dial({ token: "old" });
    const { client, sockets, errors } = begun;
    await until(() => sockets.all.length === 1);
    sockets.last.agree({ ...opening, expires: 10_000 });
    vi.advanceTimersByTime(7500);
    await until(() => sockets.last.sent.some(({ method }) => method === "arpc.token"));
    sockets.last.drop();
    vi.advanceTimersByTime(100);
    await until(() => sockets.all.length === 2);
    sockets.last.agree({ ...opening, resumed: true, received: 0 });
    expect(what(sockets.last)).toEqual(["9 0", "7 1"]);
    expect(errors).not.toHaveBeenCalled();
    client.close();
  });

  it("a hello whose answer is lost is said again", () => {
    const begun = begin();
    const { client, sockets } = begun;
    client.notify("/n");
    expect(redial(begun).session).toEqual({ ticket: "one", received: 0 });
    expect(redial(begun).session).toEqual({ ticket: "one", received: 0 });
    const { socket } = resume(begun, 0);
    expect(what(socket)).toEqual(["9 0", "3 /n"]);
    expect(redial(begun).session).toEqual({ ticket: "two", received: 0 });
    expect(begun.events).toEqual([
      "paused: connection closed (1006)",
      "resumed",
      expect.anything(),
    ]);
    expect(sockets.all).toHaveLength(5);
    client.close();
  });

  it("frames that were not dispatched are not counted, and find nobody", () => {
    const window = new EventTarget();
    vi.stubGlobal("addEventListener", window.addEventListener.bind(window));
    const begun = begin();
    const { client, sockets } = begun;
    let seen = 0;
    client.handle("/n", () => {
      // The page goes into the back-forward cache while there is more to read.
      if (++seen === 300) {
        window.dispatchEvent(Object.assign(new Event("pagehide"), { persisted: true }));
      }
    });
    const socket = sockets.last;
    const { onmessage } = socket;
    for (let i = 0; i < 2; i++) socket.receive(...Array.from({ length: 255 }, () => notify("/n")));
    expect(seen).toBe(300);
    (onmessage as (event: object) => void)({ data: new ArrayBuffer(0) });
    window.dispatchEvent(Object.assign(new Event("pageshow"), { persisted: true }));
    sockets.last.open();
    const { session } = JSON.parse(decodeText(sockets.last.sent[0]!.body));
    expect(session).toEqual({ ticket: "one", received: 300 });
    client.close();
  });
});

describe("coders", () => {
  const BIT = 0x02;
  const flip = (frame: Uint8Array): Uint8Array => {
    const bytes = frame.slice();
    bytes[4] = (bytes[4] as number) ^ BIT;
    return bytes;
  };
  /** Decodes when it is told to. */
  const coded = () => {
    const window = new EventTarget();
    vi.stubGlobal("addEventListener", window.addEventListener.bind(window));
    const begun = dial();
    const gates: Array<() => void> = [];
    begun.client.useCoder({
      name: "slow",
      bit: BIT,
      encode: (frame) => frame,
      decode: (frame) => new Promise((resolve) => gates.push(() => resolve(flip(frame)))),
    });
    begun.sockets.last.agree({ ...opening, coders: ["slow"] });
    const seen: unknown[] = [];
    begun.client.handle("/n", ({ body }) => void seen.push(body));
    const receive = (i: number): void =>
      begun.sockets.last.receiveRaw(flip(encodeFrame(notify("/n", String(i)))));
    return { begun, window, gates, seen, receive };
  };

  it("what they were still at when we hung up is not counted, and comes again", async () => {
    const { begun, window, gates, seen, receive } = coded();
    receive(1);
    receive(2);
    gates[0]?.();
    await until(() => seen.length === 1);
    window.dispatchEvent(Object.assign(new Event("pagehide"), { persisted: true }));
    gates[1]?.();
    for (let i = 0; i < 10; i++) await null;
    window.dispatchEvent(Object.assign(new Event("pageshow"), { persisted: true }));
    begun.sockets.last.open();
    const { session } = JSON.parse(decodeText(begun.sockets.last.sent[0]!.body));
    expect(session).toEqual({ ticket: "one", received: 1 });
    expect(seen).toEqual([1]);
    begun.client.close();
  });

  it("what they are still at when there is another connection goes first", async () => {
    const begun = dial();
    const { client, sockets } = begun;
    const gates: Array<() => void> = [];
    let isSlow = false;
    client.useCoder({
      name: "slow",
      bit: BIT,
      encode: (frame) =>
        isSlow ? new Promise((resolve) => gates.push(() => resolve(frame))) : frame,
      decode: flip,
    });
    sockets.last.agree({ ...opening, coders: ["slow"] });
    isSlow = true;
    client.notify("/first");
    isSlow = false;
    client.notify("/second");
    // Twice, before the coder is done.
    for (const _ of [1, 2]) {
      const { socket, hello } = redial(begun);
      answer(socket, hello, { coders: ["slow"], resumed: true, received: 0 });
      client.notify("/later");
      expect(what(socket)).toEqual(["9 0"]);
    }
    gates[0]?.();
    await until(() => sockets.last.sent.length === 5);
    expect(what(sockets.last)).toEqual(["9 0", "3 /first", "3 /second", "3 /later", "3 /later"]);
    client.close();
  });

  it("what they are still at when the session is lost is no part of the next", async () => {
    const begun = dial();
    const { client, sockets } = begun;
    let gate: (() => void) | undefined;
    client.useCoder({
      name: "slow",
      bit: BIT,
      encode: (frame) =>
        decodeText(frame).includes("/slow")
          ? new Promise((resolve) => (gate = () => resolve(frame)))
          : frame,
      decode: flip,
    });
    const agreed = { ...opening, coders: ["slow"] };
    sockets.last.agree(agreed);
    client.notify("/slow");
    const lost = redial(begun);
    answer(lost.socket, lost.hello, { ...agreed, resumed: false, reason: "gap" });
    gate?.();
    for (let i = 0; i < 10; i++) await null;
    const { socket, hello } = redial(begun);
    answer(socket, hello, { ...agreed, resumed: true, received: 0 });
    expect(what(socket)).toEqual(["9 0"]);
    client.close();
  });

  it("what they were still at when the peer hung up is waited for", async () => {
    const { begun, gates, seen, receive } = coded();
    receive(1);
    begun.sockets.last.drop();
    expect(begun.client.state).toBe("open");
    gates[0]?.();
    await until(() => begun.client.state === "waiting");
    expect(seen).toEqual([1]);
    expect(redial(begun).session).toEqual({ ticket: "one", received: 1 });
    begun.client.close();
  });
});

describe("topics", () => {
  it("a subscription that was being asked for is listed in hello, and not asked for twice", async () => {
    const begun = dial();
    const { client, sockets } = begun;
    const agreed = { ...opening, caps: [...caps, "topics"] };
    sockets.last.agree({ ...agreed, topics: [{ epoch: "e", offset: 0 }] });
    const room = client.subscribe("room");
    await null;
    expect(what(sockets.last)).toEqual(["9 0", "1 arpc.subscribe"]);
    sockets.last.drop();
    vi.advanceTimersByTime(100);
    const position = { epoch: "e", offset: 0 };
    sockets.last.agree({ ...agreed, resumed: true, received: 0, topics: [position, position] });
    await room.ready;
    // Nobody waits for the answer to the first one.
    expect(what(sockets.last)).toEqual(["9 0", "7 1"]);
    client.close();
  });

  it("of a server without logs: the answer to the first request is not that to the second", async () => {
    const begun = begin();
    const { client, sockets } = begun;
    const room = client.subscribe("room");
    await null;
    const { socket } = resume(begun, 0);
    await until(() => socket.sent.length === 4);
    expect(what(socket)).toEqual(["9 0", "1 in_S", "7 1", "1 in_S"]);
    socket.receive(response(socket.sent[1]!, ""));
    await null;
    expect(room.state).toBe("subscribing");
    socket.receive(response(socket.sent[3]!, ""));
    await room.ready;
    expect(sockets.all).toHaveLength(2);
    client.close();
  });
});

describe("a session that is not resumed", () => {
  it.each([
    ["expired", "expired"],
    ["unknown", "unknown"],
    ["gap", "gap"],
    ["identity", "identity"],
    ["of a later version", "unknown"],
  ])("%s: what was sent fails, what was not is sent", async (reason, told) => {
    const begun = begin();
    const { client, sockets, events } = begun;
    const signals: AbortSignal[] = [];
    let release = (): void => {};
    client.handle("/slow", ({ signal }) => {
      signals.push(signal);
      return new Promise<void>((resolve) => (release = resolve));
    });
    sockets.last.receive(request("/slow", 1n));
    client.notify("/n");
    const sent = client.call("/sent", 1, { timeout: 0 });
    const stream = client.stream("/s");
    await stream.send("a");
    await null;
    sockets.last.drop();
    const unsent = client.call("/unsent", 1, { timeout: 0 });
    await null;
    const { socket, hello } = redial(begun);
    const failed = expect(sent).rejects.toMatchObject({ code: "unavailable", sent: true });
    answer(socket, hello, { resumed: false, reason });
    await failed;
    await expect(stream.send("b")).rejects.toMatchObject({ code: "unavailable", sent: true });
    expect(signals[0]?.aborted).toBe(true);
    expect(events).toEqual(["paused: connection closed (1006)", `lost: ${told}`]);
    // Nor does who asked in the old one get an answer in the new.
    release();
    for (let i = 0; i < 10; i++) await null;
    expect(what(socket)).toEqual(["9 0", "1 /unsent"]);
    const asked = socket.sent[1] as Frame;
    socket.receive(response(asked, '"reply"'));
    expect(await unsent).toBe("reply");
    // The new session counts from 0.
    expect(redial(begun).session).toEqual({ ticket: "two", received: 1 });
    client.close();
  });

  it.each(["invalid_argument", "failed_precondition"])("refused with %s is given up", (code) => {
    const begun = begin();
    const { client, events, errors } = begun;
    const { socket, hello } = redial(begun);
    const refusal = structuredFailure(hello, { code, message: "no" });
    socket.receive({ ...refusal, flag: refusal.flag | OUTSIDE });
    expect(events).toEqual(["paused: connection closed (1006)", "lost: unknown"]);
    expect(errors).toHaveBeenCalledTimes(1);
    expect(redial(begun).session).toBeUndefined();
    client.close();
  });

  it.each(["unavailable", "unauthenticated", "resource_exhausted"])(
    "refused with %s is tried again",
    (code) => {
      const begun = begin();
      const { client, events } = begun;
      const { socket, hello } = redial(begun);
      const refusal = structuredFailure(hello, { code, message: "no" });
      socket.receive({ ...refusal, flag: refusal.flag | OUTSIDE });
      expect(redial(begun).session).toEqual({ ticket: "one", received: 0 });
      expect(events).toEqual(["paused: connection closed (1006)"]);
      client.close();
    },
  );

  it("a base server in its place is not fallen back to", () => {
    const begun = begin();
    const { client, sockets, events } = begun;
    const { socket, hello } = redial(begun);
    base(hello, { send: (...frames: Frame[]) => socket.receive(...frames) } as never);
    expect(failure(hello, "").flag).toBe(1);
    expect(client.state).toBe("waiting");
    vi.advanceTimersByTime(100);
    sockets.last.open();
    vi.advanceTimersByTime(5000);
    expect(client.state).toBe("waiting");
    expect(redial(begun).session).toEqual({ ticket: "one", received: 0 });
    expect(events).toHaveLength(1);
    client.close();
  });

  it("a server that has no sessions any more", async () => {
    const begun = begin();
    const { client, events } = begun;
    const call = client.call("/m", 1, { timeout: 0 });
    await null;
    const { socket, hello } = redial(begun);
    const failed = expect(call).rejects.toMatchObject({ code: "unavailable", sent: true });
    answer(socket, hello, { caps: ["errors"], ticket: undefined as never });
    await failed;
    expect(events).toEqual(["paused: connection closed (1006)", "lost: unknown"]);
    expect([client.state, socket.sent.length]).toEqual(["open", 0]);
    expect(redial(begun).session).toBeUndefined();
    client.close();
  });

  it("is given up a minute after the server did", async () => {
    const begun = begin();
    const { client, sockets, events } = begun;
    const call = client.call("/m", 1, { timeout: 0 });
    await null;
    sockets.last.drop();
    const failed = expect(call).rejects.toMatchObject({ code: "unavailable", sent: true });
    // No dial gets through: each is lost at once, but for the last.
    for (let waited = 0; waited < 119_800; waited += 100) {
      vi.advanceTimersByTime(100);
      sockets.last.drop();
    }
    vi.advanceTimersByTime(199);
    sockets.last.open();
    const [hello] = sockets.last.sent.splice(0);
    expect(events).toEqual(["paused: connection closed (1006)"]);
    vi.advanceTimersByTime(1);
    // A server that has it all the same has it no longer.
    answer(sockets.last, hello as Frame, { resumed: true, received: 0 });
    expect(sockets.last.closedWith).toBeDefined();
    expect(redial(begun).session).toBeUndefined();
    await failed;
    expect(events).toEqual(["paused: connection closed (1006)", "lost: expired"]);
    client.close();
    expect(vi.getTimerCount()).toBe(0);
  });
});

it("a server is not believed to keep a session for longer than a day", async () => {
  const { client, sockets, events } = dial();
  sockets.last.agree({ ...opening, grace: 1e12 });
  const waits = { timeout: 0 };
  const failed = expect(client.call("/m", 1, waits)).rejects.toMatchObject({ sent: true });
  sockets.last.drop();
  // Nothing is heard of the next one, and it is not given up either.
  vi.advanceTimersByTime(86_400_000 + 60_000 - 1);
  expect(events).toEqual(["paused: connection closed (1006)"]);
  vi.advanceTimersByTime(1);
  await failed;
  expect(events.at(-1)).toBe("lost: expired");
  client.close();
});

it("a client that is closed when it hears of the loss leaves no timer", () => {
  const begun = begin();
  const { client, sockets } = begun;
  client.on("lost", () => client.close());
  const { socket, hello } = redial(begun);
  answer(socket, hello, { reason: "unknown" });
  expect(begun.events).toEqual(["paused: connection closed (1006)", "lost: unknown"]);
  expect([client.state, sockets.last.closedWith?.code]).toEqual(["closed", 1000]);
  expect(vi.getTimerCount()).toBe(0);
});

describe("more than is kept", () => {
  const notifies = (client: Begun["client"], from: number, to: number): void => {
    for (let i = from; i < to; i++) client.notify("/n", "x".repeat(100 - 18));
  };

  it("goes, the oldest first: a server that has it all the same is resumed", () => {
    const begun = begin({ maxJournal: 1000 });
    const { client, events } = begun;
    notifies(begun.client, 0, 15);
    const { socket } = resume(begun, 5);
    expect(what(socket)).toHaveLength(1 + 10);
    expect(events).toEqual(["paused: connection closed (1006)", "resumed"]);
    client.close();
  });

  it("a journal that is sent again is not taken for answers that are not read", () => {
    const begun = begin({ maxBody: 400, maxQueueBytes: 50, maxJournal: 1000 });
    notifies(begun.client, 0, 10);
    const { socket, hello } = redial(begun);
    socket.onsend = (sent) => {
      socket.bufferedAmount += encodeFrame(sent).length;
    };
    answer(socket, hello, { resumed: true, received: 0 });
    // And a confirm.
    expect(socket.bufferedAmount).toBe(1000 + 16);
    socket.receive(frame(4, "", 1n));
    expect(begun.client.state).toBe("open");
    begun.client.close();
  });

  it.each([4, 16, -1, 5.5, "5", undefined, null])(
    "a server that says it has %s of 15 is not",
    async (received) => {
      const begun = begin({ maxJournal: 1000 });
      const { client, sockets, events, errors } = begun;
      notifies(client, 0, 14);
      const call = client.call("/m", "x".repeat(100 - 18), { timeout: 0 });
      await null;
      const { socket, hello } = redial(begun);
      const failed = expect(call).rejects.toMatchObject({ code: "unavailable", sent: true });
      answer(socket, hello, { resumed: true, received });
      await failed;
      expect(events).toEqual(["paused: connection closed (1006)", "lost: gap"]);
      // The server ends it too, and the next connection begins another.
      expect(what(socket)).toEqual(["3 arpc.goaway"]);
      expect(socket.closedWith).toBeDefined();
      expect(errors).not.toHaveBeenCalled();
      expect(redial(begun).session).toBeUndefined();
      answer(sockets.last, hello, {});
      expect(client.state).toBe("open");
      client.close();
    },
  );

  it("a stream waits for room while there is no connection", async () => {
    const begun = begin({ maxJournal: 1000 });
    const { client, sockets } = begun;
    const stream = client.stream("/s");
    await stream.send("first");
    sockets.last.drop();
    let sent = 0;
    const sending = (async () => {
      for (let i = 0; i < 30; i++) {
        await stream.send("x".repeat(100));
        sent++;
      }
    })();
    await vi.advanceTimersByTimeAsync(50);
    expect(sent).toBeGreaterThan(3);
    expect(sent).toBeLessThan(12);
    const { socket } = resume(begun, 1);
    await vi.advanceTimersByTimeAsync(50);
    await sending;
    expect(what(socket).filter((each) => each === "6 /s")).toHaveLength(30);
    client.close();
  });
});

describe("the end of a session", () => {
  it("close says so, last", () => {
    const begun = begin();
    const { client, sockets, events } = begun;
    client.notify("/n");
    client.close();
    expect(sockets.last.sent.at(-1)).toMatchObject({
      cmd: 3,
      method: "arpc.goaway",
      flag: OUTSIDE,
      body: new Uint8Array(0),
    });
    expect(events).toEqual([]);
    expect(vi.getTimerCount()).toBe(0);
  });

  it("close while there is no connection fails what was sent, and leaves no timer", async () => {
    const begun = begin();
    const { client, sockets } = begun;
    const call = client.call("/m", 1, { timeout: 0 });
    await null;
    sockets.last.drop();
    const failed = expect(call).rejects.toMatchObject({ code: "unavailable", sent: true });
    client.close();
    await failed;
    expect(vi.getTimerCount()).toBe(0);
    vi.advanceTimersByTime(1_000_000);
    expect(sockets.all).toHaveLength(1);
  });

  it("a server that goes is told goodbye, and the next connection begins another", async () => {
    const begun = begin();
    const { client, sockets, events } = begun;
    const call = client.call("/m");
    await null;
    sockets.last.receive(notify("arpc.goaway", '{"delay":100,"until":60000}', OUTSIDE));
    expect(client.notify("/new")).toBe("queued");
    sockets.last.receive(response(sockets.last.sent[0]!, '"reply"'));
    expect(await call).toBe("reply");
    expect(what(sockets.last)).toEqual(["1 /m", "3 arpc.goaway"]);
    const { session, socket, hello } = redial(begun);
    expect(session).toBeUndefined();
    answer(socket, hello, {});
    expect(what(socket)).toEqual(["9 0", "3 /new"]);
    expect(events).toEqual([]);
    client.close();
  });

  it("a server that goes without waiting for us is asked for the session", () => {
    const begun = begin();
    const { client, sockets } = begun;
    void client.call("/m").catch(() => {});
    sockets.last.receive(notify("arpc.goaway", '{"delay":100,"until":60000}', OUTSIDE));
    expect(redial(begun).session).toEqual({ ticket: "one", received: 0 });
    client.close();
  });

  it("a bad frame ends it, since it would come again", () => {
    const begun = begin();
    const { client, sockets, events } = begun;
    sockets.last.receiveRaw(new Uint8Array(16));
    sockets.last.receiveRaw(new Uint8Array([0xff, 0xff, 0xff, 0xff, ...new Uint8Array(12)]));
    expect(sockets.last.closedWith?.code).toBe(4009);
    expect(what(sockets.last)).toEqual(["3 arpc.goaway"]);
    expect(events).toEqual(["lost: gap"]);
    expect(redial(begun).session).toBeUndefined();
    client.close();
  });

  const text = { data: "text" };
  const overrun = Array.from({ length: 200 }, () => notify("/n", "x".repeat(30_000)));
  const faults: Array<[string, (socket: FakeSocket) => void]> = [
    ["a bad frame", (socket) => socket.receiveRaw(new Uint8Array(16).fill(0xff))],
    ["a text", ({ onmessage }) => (onmessage as (event: typeof text) => void)(text)],
    ["an overrun", (socket) => socket.receive(...overrun)],
  ];

  it.each(faults)(
    "by %s: a client that is closed when it hears of that stays closed",
    (_, fault) => {
      const { client, sockets, events, errors } = begin();
      const states: string[] = [];
      client.on("state", (state) => states.push(state));
      client.on("lost", () => client.close());
      client.handle("/n", () => new Promise<void>(() => {}));
      fault(sockets.last);
      expect(events).toEqual(["lost: gap"]);
      expect(what(sockets.last).at(-1)).toBe("3 arpc.goaway");
      expect(sockets.last.closedWith).toBeDefined();
      expect(vi.getTimerCount()).toBe(0);
      expect([client.state, ...states]).toEqual(["closed", "closed"]);
      expect(sockets.all).toHaveLength(1);
      expect(errors).not.toHaveBeenCalled();
    },
  );

  it("a notify for which there is no room ends it: it was counted", () => {
    const begun = begin();
    const { client, sockets, events } = begun;
    client.handle("/n", () => new Promise<void>(() => {}));
    const many = Array.from({ length: 200 }, () => notify("/n", "x".repeat(30_000)));
    for (const each of many) sockets.last.receive(each);
    expect(sockets.last.closedWith?.code).toBe(4008);
    expect(events).toEqual(["lost: gap"]);
    client.close();
  });
});

describe("without a session", () => {
  it.each([
    ["none is wanted", { session: "none" }, opening],
    ["the server has none", {}, { caps: ["errors", "kind"] }],
    ["the server gives no ticket", {}, { ...opening, ticket: undefined as never }],
  ] as const)("%s: what was sent fails with the connection", async (_, options, agreed) => {
    const { client, sockets, events } = dial(options);
    sockets.last.agree(agreed as Answer);
    expect(sockets.last.sent).toEqual([]);
    const call = client.call("/m", 1, { timeout: 0 });
    await null;
    const failed = expect(call).rejects.toMatchObject({ code: "unavailable", sent: true });
    sockets.last.receive(notify("/n"));
    vi.advanceTimersByTime(5000);
    sockets.last.drop();
    await failed;
    expect(events).toEqual([]);
    client.close();
    expect(what(sockets.last)).toEqual(["1 /m"]);
  });

  it.each([
    ["none is wanted", connect, { session: "none" }],
    ["the client is the core", connectCore, {}],
  ] as const)("hello does not offer it where %s", (_, connect, options) => {
    const sockets = fakeSockets();
    const client = connect("ws://fake/", { WebSocket: sockets.WebSocket, ...options });
    sockets.last.open();
    expect(JSON.parse(decodeText(sockets.last.sent[0]!.body)).caps).not.toContain("resume");
    client.close();
  });
});
