/** The token: asked for on each connect and before it expires, once at a time, shown to nobody else. */

import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { ArpcError, type ClientState, connect, type TokenProvider } from "../src/index.ts";
import { decodeText } from "../src/wire.ts";
import { type FakeSockets, fakeSockets, until } from "./helpers/fake-socket.ts";
import { response, structuredFailure } from "./helpers/server.ts";

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "performance"] });
});
afterEach(() => {
  vi.useRealTimers();
});

function dial(token: TokenProvider) {
  const sockets = fakeSockets();
  const backoff = { min: 100, random: () => 1 };
  const client = connect("ws://fake/", { WebSocket: sockets.WebSocket, backoff, token });
  const states: ClientState[] = [];
  const errors: ArpcError[] = [];
  client.on("state", (state) => states.push(state));
  client.on("error", (error) => errors.push(error));
  return { client, sockets, states, errors };
}

/** Resolves when so many sockets were dialed. */
const dialed = (sockets: FakeSockets, count: number): Promise<void> =>
  until(() => sockets.all.length === count);

const shown = ({ last }: FakeSockets): unknown =>
  (JSON.parse(decodeText(last.sent[0]!.body)) as { token?: string }).token;

/** A provider whose answers are given by hand. */
function byHand() {
  const asked: Array<{ resolve(token: string): void; reject(reason: unknown): void }> = [];
  const provider = (): Promise<string> =>
    new Promise((resolve, reject) => asked.push({ resolve, reject }));
  return { asked, provider };
}

describe("on connect", () => {
  it("a provider that never answers fails the attempt, and is asked again", async () => {
    const { asked, provider } = byHand();
    const { client, sockets, states, errors } = dial(provider);
    vi.advanceTimersByTime(10_000);
    await until(() => client.state === "waiting");
    expect(errors).toMatchObject([{ code: "deadline_exceeded", message: "no token in time" }]);
    vi.advanceTimersByTime(100);
    await until(() => asked.length === 2);
    // The first answer comes too late to matter.
    asked[0]!.resolve("late");
    asked[1]!.resolve("good");
    await dialed(sockets, 1);
    sockets.last.open();
    expect(shown(sockets)).toBe("good");
    expect(states).toEqual(["waiting", "connecting"]);
    client.close();
    expect(vi.getTimerCount()).toBe(0);
  });

  it("an answer that comes too late does not end the wait for the next attempt", async () => {
    const { asked, provider } = byHand();
    const { client } = dial(provider);
    vi.advanceTimersByTime(10_000);
    await until(() => client.state === "waiting");
    asked[0]!.resolve("late");
    await new Promise((resolve) => setImmediate(resolve));
    vi.advanceTimersByTime(100);
    expect(client.state).toBe("connecting");
    client.close();
  });

  it("a client closed while a provider does not answer leaves no timer", () => {
    const { client } = dial(() => new Promise(() => {}));
    client.close();
    expect(vi.getTimerCount()).toBe(0);
  });

  it("a string is shown", async () => {
    const { client, sockets } = dial("secret");
    await dialed(sockets, 1);
    sockets.last.open();
    expect(shown(sockets)).toBe("secret");
    client.close();
  });

  it("a provider is asked each time, before the socket is made", async () => {
    const { asked, provider } = byHand();
    const { client, sockets } = dial(provider);
    for (let i = 1; i <= 3; i++) {
      await until(() => asked.length === i);
      expect(sockets.all).toHaveLength(i - 1);
      asked.at(-1)?.resolve(`token ${i}`);
      await dialed(sockets, i);
      sockets.last.open();
      expect(shown(sockets)).toBe(`token ${i}`);
      sockets.last.drop();
      vi.advanceTimersByTime(1000);
    }
    client.close();
  });

  it.each<[string, TokenProvider]>([
    [
      "throws",
      () => {
        throw new TypeError("offline");
      },
    ],
    ["rejects", () => Promise.reject(new TypeError("offline"))],
  ])("a provider that %s fails the attempt, and is asked again", async (_, fails) => {
    let calls = 0;
    const provider = (): string | Promise<string> => {
      calls++;
      return calls < 3 && typeof fails === "function" ? fails() : "at last";
    };
    const { client, sockets, states, errors } = dial(provider);
    const details: unknown[] = [];
    client.on("state", (_state, { error }) => error && details.push(error));
    await until(() => states.length === 1);
    vi.advanceTimersByTime(99);
    expect(calls).toBe(1);
    vi.advanceTimersByTime(1);
    await until(() => states.length === 3);
    vi.advanceTimersByTime(200);
    await dialed(sockets, 1);
    expect(states).toEqual(["waiting", "connecting", "waiting", "connecting"]);
    const offline = { code: "unavailable", cause: { message: "offline" } };
    expect(details).toMatchObject([offline, offline]);
    expect(errors).toEqual([]);
    client.close();
  });

  it("a provider that says why is quoted", async () => {
    const denied = new ArpcError("unauthenticated", "logged out");
    const { client, errors, states } = dial(() => Promise.reject(denied));
    await until(() => states.length === 1);
    expect(errors).toEqual([denied]);
    client.close();
  });

  it("a refusal is told by the event and by the state", async () => {
    const { client, sockets, errors } = dial("bad");
    const details: Array<ArpcError | undefined> = [];
    client.on("state", (_, { error }) => details.push(error));
    await dialed(sockets, 1);
    sockets.last.open();
    const refusal = { code: "unauthenticated", message: "not authenticated" };
    sockets.last.receive(structuredFailure(sockets.last.sent[0]!, refusal));
    expect(details).toMatchObject([{ ...refusal, remote: true }]);
    expect(errors).toEqual(details);
    vi.advanceTimersByTime(100);
    await dialed(sockets, 2);
    client.close();
  });

  it("closing while the provider is asked leaves nothing behind", async () => {
    for (const outcome of ["resolve", "reject"] as const) {
      const { asked, provider } = byHand();
      const { client, sockets, states, errors } = dial(provider);
      await until(() => asked.length === 1);
      client.close();
      asked[0]?.[outcome]("late");
      await Promise.resolve();
      await Promise.resolve();
      await Promise.resolve();
      expect([sockets.all.length, vi.getTimerCount(), errors.length]).toEqual([0, 0, 0]);
      expect(states).toEqual(["closed"]);
    }
  });

  it("a client that is closed when it hears that it dials asks nobody, and leaves no timer", async () => {
    const { asked, provider } = byHand();
    const { client, sockets, states, errors } = dial(provider);
    client.on("state", (state) => state === "connecting" && client.close());
    asked[0]?.resolve("first");
    await dialed(sockets, 1);
    sockets.last.drop();
    vi.advanceTimersByTime(100);
    expect(states).toEqual(["waiting", "connecting", "closed"]);
    expect([client.state, asked.length, vi.getTimerCount()]).toEqual(["closed", 1, 0]);
    await new Promise((resolve) => setImmediate(resolve));
    expect([sockets.all.length, vi.getTimerCount(), errors.length]).toEqual([1, 0, 0]);
  });

  it.each(["resolves", "rejects"])(
    "a provider that closes the client and %s leaves no timer",
    async (how) => {
      let count = 0;
      let close = (): void => {};
      const { client, sockets, errors } = dial(async () => {
        count++;
        close();
        if (how === "rejects") throw new TypeError("offline");
        return "token";
      });
      close = client.close;
      await until(() => sockets.all.length === 1 || client.state === "waiting");
      sockets.all[0]?.drop();
      const before = sockets.all.length;
      vi.advanceTimersByTime(100);
      expect([client.state, count, vi.getTimerCount()]).toEqual(["closed", 2, 0]);
      await new Promise((resolve) => setImmediate(resolve));
      expect([sockets.all.length, vi.getTimerCount(), errors.length]).toEqual([before, 0, 0]);
    },
  );

  it("none is shown when the provider has none", async () => {
    const { client, sockets } = dial(() => "");
    await dialed(sockets, 1);
    sockets.last.open();
    // Without a token a base server will do.
    sockets.last.receive(response(sockets.last.sent[0]!, "catch-all"));
    expect(client.state).toBe("open");
    client.close();
  });
});

describe("before it expires", () => {
  async function opened(expires: number) {
    const { asked, provider } = byHand();
    const dialing = dial(provider);
    const { sockets } = dialing;
    await until(() => asked.length === 1);
    asked[0]?.resolve("first");
    await dialed(sockets, 1);
    sockets.last.agree({ caps: [], expires });
    return { ...dialing, asked };
  }

  it("a new one is shown at three quarters of its life, again and again", async () => {
    const { client, sockets, asked, states } = await opened(10_000);
    for (let i = 1; i <= 3; i++) {
      vi.advanceTimersByTime(7499);
      expect(asked).toHaveLength(i);
      vi.advanceTimersByTime(1);
      await until(() => asked.length === i + 1);
      asked.at(-1)?.resolve(`token ${i}`);
      await until(() => sockets.last.sent.length === i);
      const request = sockets.last.sent.at(-1)!;
      expect(request).toMatchObject({ cmd: 1, method: "arpc.token", flag: 0x18 });
      expect(decodeText(request.body)).toBe(`token ${i}`);
      sockets.last.receive({ ...response(request, '{"expires":10000}'), flag: 8 });
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect(states).toEqual(["open"]);
    client.close();
    expect(vi.getTimerCount()).toBe(0);
  });

  it("that is soon does not have the provider asked all the time", async () => {
    const { client, sockets, asked } = await opened(4);
    for (let i = 1; i <= 3; i++) {
      vi.advanceTimersByTime(999);
      await new Promise((resolve) => setImmediate(resolve));
      expect(asked).toHaveLength(i);
      vi.advanceTimersByTime(1);
      await until(() => asked.length === i + 1);
      asked.at(-1)?.resolve("as short");
      await until(() => sockets.last.sent.length === i);
      sockets.last.receive(response(sockets.last.sent.at(-1)!, '{"expires":4}'));
      await new Promise((resolve) => setImmediate(resolve));
    }
    client.close();
  });

  it("nothing is shown when it never expires", async () => {
    const { client, sockets, asked } = await opened(0);
    sockets.last.receive();
    vi.advanceTimersByTime(50_000);
    expect(asked).toHaveLength(1);
    client.close();
  });

  it("is asked for once at a time, also by a reconnect meanwhile", async () => {
    const { client, sockets, asked, errors } = await opened(10_000);
    vi.advanceTimersByTime(7500);
    await until(() => asked.length === 2);
    sockets.last.drop();
    vi.advanceTimersByTime(100);
    expect(asked).toHaveLength(2);
    asked[1]?.resolve("second");
    await dialed(sockets, 2);
    sockets.last.open();
    expect(shown(sockets)).toBe("second");
    expect(sockets.last.sent).toHaveLength(1);
    expect(errors).toEqual([]);
    client.close();
  });

  it("a refusal, and a provider that fails, are told; the connection goes on", async () => {
    const { client, sockets, asked, errors } = await opened(10_000);
    vi.advanceTimersByTime(7500);
    await until(() => asked.length === 2);
    asked[1]?.resolve("other");
    await until(() => sockets.last.sent.length === 1);
    const refusal = { code: "permission_denied", message: "the token is somebody else's" };
    sockets.last.receive(structuredFailure(sockets.last.sent[0]!, refusal));
    await until(() => errors.length === 1);
    expect(errors).toMatchObject([refusal]);
    expect(client.state).toBe("open");
    client.close();

    const second = await opened(10_000);
    vi.advanceTimersByTime(7500);
    await until(() => second.asked.length === 2);
    second.asked[1]?.reject(new TypeError("offline"));
    await until(() => second.errors.length === 1);
    expect(second.errors).toMatchObject([{ message: "offline" }]);
    expect(second.client.state).toBe("open");
    second.client.close();
  });

  it("closing right after the answer leaves no timer", async () => {
    const { client, sockets, asked } = await opened(10_000);
    vi.advanceTimersByTime(7500);
    await until(() => asked.length === 2);
    asked[1]?.resolve("second");
    await until(() => sockets.last.sent.length === 1);
    sockets.last.receive(response(sockets.last.sent[0]!, '{"expires":10000}'));
    client.close();
    await new Promise((resolve) => setImmediate(resolve));
    expect(vi.getTimerCount()).toBe(0);
  });

  it("a connection that ends stops it", async () => {
    const { client, sockets, asked, errors } = await opened(10_000);
    vi.advanceTimersByTime(7500);
    await until(() => asked.length === 2);
    asked[1]?.resolve("second");
    await until(() => sockets.last.sent.length === 1);
    sockets.last.drop();
    await until(() => client.state === "waiting");
    client.close();
    await Promise.resolve();
    expect(errors).toEqual([]);
    expect(vi.getTimerCount()).toBe(0);
  });
});
