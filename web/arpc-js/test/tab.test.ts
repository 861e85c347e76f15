/** A session in a tab: it survives a reload of the page, and no two pages share it. */

import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { type ConnectOptions, connect, type Orphan } from "../src/index.ts";
import { decodeText, type Frame } from "../src/wire.ts";
import { until } from "./helpers/fake-socket.ts";
import { notify, request, response, structuredFailure } from "./helpers/server.ts";
import { SessionServer } from "./helpers/session-server.ts";

const KEY = "arpc:ws://fake/";

beforeEach(() => {
  vi.stubGlobal("sessionStorage", new Storage());
});
afterEach(() => {
  vi.unstubAllGlobals();
});

/** What a page has of a tab's memory, with a quota in characters. */
class Storage {
  readonly items = new Map<string, string>();
  quota = 5_000_000;

  getItem(key: string): string | null {
    return this.items.get(key) ?? null;
  }

  setItem(key: string, value: string): void {
    if (value.length > this.quota) throw new Error("quota");
    this.items.set(key, value);
  }

  removeItem(key: string): void {
    this.items.delete(key);
  }
}

function storage(): Storage {
  return globalThis.sessionStorage as unknown as Storage;
}

/** A page, whose listeners end with it. */
function load(server: SessionServer, options: ConnectOptions = {}) {
  const window = new EventTarget();
  vi.stubGlobal("addEventListener", window.addEventListener.bind(window));
  vi.stubGlobal("removeEventListener", window.removeEventListener.bind(window));
  const client = connect("ws://fake/", {
    WebSocket: server.WebSocket,
    backoff: { min: 0, random: () => 0 },
    session: "tab",
    ...options,
  });
  const events: string[] = [];
  const orphans: Orphan[] = [];
  client.on("resumed", () => events.push("resumed"));
  client.on("lost", (reason) => events.push(`lost: ${reason}`));
  client.on("orphan", (orphan) => orphans.push(orphan));
  const hide = (persisted = false): void => {
    window.dispatchEvent(Object.assign(new Event("pagehide"), { persisted }));
  };
  return { client, events, orphans, hide };
}

async function open(server: SessionServer, options: ConnectOptions = {}) {
  const page = load(server, options);
  await until(() => page.client.state === "open");
  return page;
}

describe("a reload", () => {
  it("keeps the session; what the old page asked for comes to the new one", async () => {
    const server = new SessionServer();
    const asked: Frame[] = [];
    server.serve = (frame) => void asked.push(frame);
    const old = await open(server);
    for (const method of ["/a", "/b", "/c"]) void old.client.call(method).catch(() => {});
    await until(() => asked.length === 3);
    server.session.send(response(asked[0]!, '"in time"'));
    await null;
    old.hide();
    expect(storage().items.size).toBe(1);
    server.session.send(
      response(asked[1]!, '"late"'),
      structuredFailure(asked[2]!, { code: "aborted", message: "no" }),
    );
    const page = load(server);
    expect(storage().items.size).toBe(0);
    const call = page.client.call("/d");
    await until(() => page.orphans.length === 2);
    expect(page.orphans).toEqual([
      { method: "/b", seq: 2n, body: "late" },
      { method: "/c", seq: 3n, body: undefined, error: expect.anything() },
    ]);
    expect(page.orphans[1]?.error).toMatchObject({ code: "aborted", remote: true });
    await until(() => asked.length === 4);
    expect(asked[3]).toMatchObject({ method: "/d", seq: 4n });
    server.session.send(response(asked[3]!, '"for the new page"'));
    expect(await call).toBe("for the new page");
    expect(page.events).toEqual(["resumed"]);
    expect(server.sessions).toHaveLength(1);
    page.client.close();
  });

  it("an answer that nobody listens for is dropped", async () => {
    const server = new SessionServer();
    const asked: Frame[] = [];
    server.serve = (frame) => void asked.push(frame);
    const old = await open(server);
    void old.client.call("/a").catch(() => {});
    await until(() => asked.length === 1);
    old.hide();
    server.session.send(response(asked[0]!, "1"));
    const errors = vi.fn();
    const page = load(server);
    page.client.on("error", errors);
    const call = page.client.call("/b");
    await until(() => asked.length === 2);
    server.session.send(response(asked[1]!, "2"));
    expect(await call).toBe(2);
    expect(errors).not.toHaveBeenCalled();
    page.client.close();
  });

  it("what did not arrive is sent by the new page, once and in order", async () => {
    const server = new SessionServer();
    const served: string[] = [];
    server.serve = (frame) => void served.push(decodeText(frame.body));
    const old = await open(server);
    old.client.notify("/n", 1);
    await until(() => served.length === 1);
    // What is in the socket when the page goes is lost.
    server.isManual = true;
    old.client.notify("/n", 2);
    old.client.notify("/n", "ÿ\u0000\ud83d");
    await null;
    server.line.cut();
    old.hide();
    server.isManual = false;
    const page = load(server);
    page.client.notify("/n", 4);
    await until(() => served.length === 4);
    expect(served).toEqual(["1", "2", "ÿ\u0000\ufffd", "4"]);
    page.client.close();
  });

  it("what the server sent meanwhile comes to the new page, once", async () => {
    const server = new SessionServer();
    const old = await open(server);
    const seen: unknown[] = [];
    old.client.handle("/n", ({ body }) => void seen.push(["old", body]));
    server.session.send(notify("/n", "1"));
    await until(() => seen.length === 1);
    old.hide();
    server.session.send(notify("/n", "2"), notify("/n", "3"));
    const page = load(server);
    page.client.handle("/n", ({ body }) => void seen.push(["new", body]));
    await until(() => seen.length === 3);
    expect(seen).toEqual([
      ["old", 1],
      ["new", 2],
      ["new", 3],
    ]);
    page.client.close();
  });

  it("streams end with the page, and their late frames reach nobody", async () => {
    const server = new SessionServer();
    const frames: string[] = [];
    server.serve = ({ cmd, seq }) => void frames.push(`${cmd} ${seq}`);
    const old = await open(server);
    const opened = vi.fn();
    const ours = old.client.stream("/ours");
    await ours.send("a");
    old.client.handleStream("/theirs", async (stream) => {
      opened();
      for await (const _ of stream);
    });
    server.session.send({ cmd: 0x86, flag: 0x10, method: "/theirs", seq: 5n, body: text("b") });
    await until(() => opened.mock.calls.length === 1);
    old.hide();
    expect(frames).toEqual(["134 1", "199 1", "71 5"]);
    server.session.send(
      { cmd: 6, flag: 0x10, method: "/ours", seq: 1n, body: text("late") },
      { cmd: 0x86, flag: 0x10, method: "/theirs", seq: 5n, body: text("late") },
    );
    const page = load(server);
    page.client.handleStream("/theirs", () => opened());
    const stream = page.client.stream("/ours");
    await stream.send("new");
    await until(() => frames.length === 4);
    expect(frames[3]).toBe("134 2");
    expect(opened).toHaveBeenCalledTimes(1);
    page.client.close();
  });

  it("who waits for the old page is told", async () => {
    const server = new SessionServer();
    const answers: string[] = [];
    server.serve = ({ body }) => void answers.push(decodeText(body));
    const old = await open(server);
    const started = vi.fn();
    old.client.handle("/slow", () => {
      started();
      return new Promise<void>(() => {});
    });
    server.session.send(request("/slow", 1n));
    await until(() => started.mock.calls.length === 1);
    old.hide();
    expect(answers).toEqual(['{"code":"unavailable","message":"page left"}']);
    const page = await open(server);
    page.client.close();
  });

  it("a reload while there is no connection", async () => {
    const server = new SessionServer();
    const served: string[] = [];
    server.serve = (frame) => void served.push(decodeText(frame.body));
    const old = await open(server);
    old.client.notify("/n", 1);
    await until(() => served.length === 1);
    server.isManual = true;
    old.client.notify("/n", 2);
    await null;
    server.line.cut();
    old.hide();
    const again = load(server);
    again.hide();
    expect(storage().items.size).toBe(1);
    server.isManual = false;
    const page = await open(server);
    await until(() => served.length === 2);
    expect(served).toEqual(["1", "2"]);
    expect(page.events).toEqual(["resumed"]);
    page.client.close();
  });

  it("that comes too late begins another session", async () => {
    const server = new SessionServer();
    const old = await open(server);
    void old.client.call("/a").catch(() => {});
    await null;
    old.hide();
    server.session.isOver = true;
    const page = await open(server);
    expect(page.events).toEqual(["lost: unknown"]);
    expect(server.sessions).toHaveLength(2);
    page.client.close();
  });
});

describe("several clients of one URL", () => {
  it("find their own sessions, by the order in which they are made", async () => {
    const server = new SessionServer();
    const pages = [await open(server), await open(server), await open(server)];
    const [first, second, third] = server.sessions;
    expect(server.sessions).toHaveLength(3);
    for (const { hide } of pages) hide();
    expect(storage().items.size).toBe(3);
    const asked = server.hellos.length;
    const reloaded = [await open(server), await open(server), await open(server)];
    expect(storage().items.size).toBe(0);
    const shown = server.hellos.slice(asked).map(({ session }) => session?.ticket);
    const had = [first, second, third].map((session) => session?.tickets[0]);
    expect(new Set(shown).size).toBe(3);
    expect(server.sessions).toHaveLength(3);
    expect(had.every(Boolean)).toBe(true);
    expect(reloaded.map(({ events }) => events)).toEqual([["resumed"], ["resumed"], ["resumed"]]);
    expect(server.lines.slice(-3).map(({ session }) => session)).toEqual([first, second, third]);
    for (const { client } of reloaded) client.close();
  });

  it("one that is closed leaves its slot to the next, and nobody else's", async () => {
    const server = new SessionServer();
    const [gone, stays] = [await open(server), await open(server)];
    gone.client.close();
    const next = await open(server);
    stays.hide();
    next.hide();
    const [, ofStays, ofNext] = server.sessions;
    const reloaded = [await open(server), await open(server)];
    expect(server.lines.slice(-2).map(({ session }) => session)).toEqual([ofNext, ofStays]);
    for (const { client } of reloaded) client.close();
  });
});

describe("nothing is stored", () => {
  it("while the page is there, nor when it may come back", async () => {
    const server = new SessionServer();
    const page = await open(server);
    expect(storage().items.size).toBe(0);
    page.hide(true);
    expect(storage().items.size).toBe(0);
    expect(server.session.isOver).toBe(false);
    page.client.close();
  });

  it.each([
    ["there is too much of it", () => {}, 150_000],
    ["there is no room", () => (storage().quota = 10), 0],
    ["there is no storage", () => vi.stubGlobal("sessionStorage", undefined), 0],
  ])("if %s: the session ends", async (_, prepare, bytes) => {
    const server = new SessionServer();
    const page = await open(server);
    prepare();
    server.serve = () => {};
    if (bytes) page.client.notify("/n", "x".repeat(bytes));
    page.hide();
    await until(() => server.session.isOver);
    expect(globalThis.sessionStorage && storage().items.size).toBeFalsy();
    page.client.close();
  });

  it("while coders are at work on a frame: it would be missing", async () => {
    const server = new SessionServer();
    const client = load(server);
    client.client.useCoder({
      name: "slow",
      bit: 0x02,
      encode: async (frame) => frame,
      decode: (frame) => frame,
    });
    server.extra = { coders: ["slow"] };
    await until(() => client.client.state === "open");
    client.client.notify("/n");
    client.hide();
    expect(storage().items.size).toBe(0);
    client.client.close();
  });

  it("in memory: a page that goes ends its session, since no other page can have it", async () => {
    const server = new SessionServer();
    const page = await open(server, { session: "memory" });
    page.hide(true);
    expect(server.session.isOver).toBe(false);
    const other = await open(server, { session: "memory" });
    other.hide();
    await until(() => server.session.isOver);
    expect(storage().items.size).toBe(0);
    page.client.close();
    other.client.close();
  });

  it.each(["", "{", "null", "{}", '{"gone":0,"frames":[],"streams":["x"],"seq":"1"}'])(
    "what cannot be read is none: %s",
    async (text) => {
      storage().items.set(KEY, text);
      const server = new SessionServer();
      const page = await open(server);
      expect(server.hellos[0]?.session).toBeUndefined();
      expect(page.events).toEqual([]);
      const stream = page.client.stream("/s");
      await stream.send("a");
      await until(() => server.line.frames.some(({ cmd, seq }) => cmd === 0x86 && seq === 1n));
      page.client.close();
    },
  );
});

function text(of: string): Uint8Array {
  return Buffer.from(of);
}
