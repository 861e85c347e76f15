/** What a page goes through: network changes, hiding, freezing, the back-forward cache, sleep. */

import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { type ClientState, connect } from "../src/index.ts";
import type { Frame } from "../src/wire.ts";
import { fakeSockets, until } from "./helpers/fake-socket.ts";
import { frame, notify, response } from "./helpers/server.ts";

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.unstubAllGlobals();
  vi.useRealTimers();
});

/** A document that counts its listeners. */
class Target extends EventTarget {
  hidden = false;
  listeners = 0;

  override addEventListener(...args: Parameters<EventTarget["addEventListener"]>): void {
    this.listeners++;
    super.addEventListener(...args);
  }

  override removeEventListener(...args: Parameters<EventTarget["removeEventListener"]>): void {
    this.listeners--;
    super.removeEventListener(...args);
  }
}

function transition(name: string, persisted: boolean): Event {
  return Object.assign(new Event(name), { persisted });
}

/** A client in a page. */
function page(options: Parameters<typeof connect>[1] = {}) {
  const window = new Target();
  const document = new Target();
  vi.stubGlobal("addEventListener", window.addEventListener.bind(window));
  vi.stubGlobal("removeEventListener", window.removeEventListener.bind(window));
  vi.stubGlobal("document", document);
  const sockets = fakeSockets();
  const client = connect("ws://fake/", {
    WebSocket: sockets.WebSocket,
    backoff: { min: 1000, random: () => 1 },
    ...options,
  });
  const states: ClientState[] = [];
  client.on("state", (state) => states.push(state));
  const pings = (): number => sockets.last.sent.filter(({ cmd }) => cmd === 4).length;
  return { window, document, sockets, client, states, pings };
}

describe("a connection that may be dead", () => {
  const signs: Array<[string, (of: ReturnType<typeof page>) => void]> = [
    ["online", ({ window }) => window.dispatchEvent(new Event("online"))],
    ["offline", ({ window }) => window.dispatchEvent(new Event("offline"))],
    ["pageshow", ({ window }) => window.dispatchEvent(transition("pageshow", false))],
    ["the page is seen", ({ document }) => document.dispatchEvent(new Event("visibilitychange"))],
    ["the page is thawed", ({ document }) => document.dispatchEvent(new Event("resume"))],
  ];

  it.each(signs)("%s: is pinged, and ended if nothing comes", (_, sign) => {
    const it = page();
    it.sockets.last.agree({ caps: [] });
    sign(it);
    expect(it.pings()).toBe(1);
    vi.advanceTimersByTime(4999);
    expect(it.client.state).toBe("open");
    vi.advanceTimersByTime(1);
    expect(it.client.state).toBe("waiting");
    expect(it.client.detail.error?.message).toBe("peer silent");
    it.client.close();
  });

  it.each(signs)("%s: is kept if it answers", (_, sign) => {
    const it = page();
    it.sockets.last.agree({ caps: [] });
    sign(it);
    vi.advanceTimersByTime(100);
    it.sockets.last.receive(frame(5, "", 1n));
    vi.advanceTimersByTime(20_000);
    expect(it.client.state).toBe("open");
    expect(it.pings()).toBe(1);
    it.client.close();
  });

  it.each(signs)("%s: a base peer is kept if it answers, without a seq", (_, sign) => {
    const it = page({ hello: "never" });
    it.sockets.last.open();
    sign(it);
    vi.advanceTimersByTime(100);
    it.sockets.last.receive(frame(5, "", 0n));
    vi.advanceTimersByTime(10_000);
    expect(it.client.state).toBe("open");
    it.client.close();
  });

  it.each(signs)("%s: what was under way before is no sign of life", (_, sign) => {
    const it = page();
    it.sockets.last.agree({ caps: [] });
    // The answer to an earlier ping may be among it.
    sign(it);
    vi.advanceTimersByTime(50);
    sign(it);
    it.sockets.last.receive(notify("/n"), frame(5, "", 1n));
    vi.advanceTimersByTime(999);
    it.sockets.last.receive(notify("/n"));
    vi.advanceTimersByTime(4000);
    expect(it.client.state).toBe("open");
    vi.advanceTimersByTime(1);
    expect(it.client.detail.error?.message).toBe("peer silent");
    it.client.close();
  });

  it.each(signs)("%s: is kept if anything comes a second later", (_, sign) => {
    const it = page();
    it.sockets.last.agree({ caps: [] });
    sign(it);
    vi.advanceTimersByTime(1000);
    // The answer may be behind something large.
    it.sockets.last.receive(notify("/n"));
    vi.advanceTimersByTime(20_000);
    expect(it.client.state).toBe("open");
    it.client.close();
  });

  describe("while what it sent is being read", () => {
    /** Its pong is behind more frames than are read in a turn, if there is one. */
    async function busy(pongs: Frame[]) {
      vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "performance", "Date"] });
      const it = page();
      const read = vi.fn();
      it.client.handle("/last", read);
      it.sockets.last.agree({ caps: [] });
      it.window.dispatchEvent(new Event("online"));
      vi.advanceTimersByTime(100);
      const many = Array.from({ length: 300 }, () => notify("/n"));
      it.sockets.last.receive(...many, ...pongs, notify("/last"));
      vi.advanceTimersByTime(4900);
      expect([it.client.state, read.mock.calls.length]).toEqual(["open", 0]);
      await until(() => read.mock.calls.length === 1);
      return it;
    }

    it("is kept: the answer may be among it", async () => {
      const { client } = await busy([frame(5, "", 1n)]);
      vi.advanceTimersByTime(59_999);
      expect(client.state).toBe("open");
      client.close();
    });

    it("is pinged again, once, and ended if nothing comes", async () => {
      const { client, pings } = await busy([]);
      vi.advanceTimersByTime(34_999);
      expect([client.state, pings()]).toEqual(["open", 2]);
      vi.advanceTimersByTime(1);
      expect(client.detail.error?.message).toBe("peer silent");
      client.close();
    });
  });

  it("of a client of less patience is kept if anything comes after a fifth of that", () => {
    const it = page({ pingTimeout: 500 });
    it.sockets.last.agree({ caps: [] });
    it.window.dispatchEvent(new Event("online"));
    vi.advanceTimersByTime(99);
    it.sockets.last.receive(notify("/n"));
    vi.advanceTimersByTime(1);
    it.sockets.last.receive(notify("/n"));
    vi.advanceTimersByTime(20_000);
    expect(it.client.state).toBe("open");
    it.client.close();
  });

  it("of a client of less patience is ended if what comes was under way before", () => {
    const it = page({ pingTimeout: 500 });
    it.sockets.last.agree({ caps: [] });
    it.window.dispatchEvent(new Event("online"));
    vi.advanceTimersByTime(99);
    it.sockets.last.receive(notify("/n"));
    vi.advanceTimersByTime(401);
    expect(it.client.detail.error?.message).toBe("peer silent");
    it.client.close();
  });

  it("a base peer that works on a call is not pinged", () => {
    const it = page({ hello: "never" });
    it.sockets.last.open();
    const call = it.client.call("/m").catch(() => {});
    it.window.dispatchEvent(new Event("online"));
    expect(it.pings()).toBe(0);
    it.sockets.last.receive(response(it.sockets.last.sent[0]!, ""));
    it.window.dispatchEvent(new Event("online"));
    expect(it.pings()).toBe(1);
    it.client.close();
    return call;
  });

  it("one that is hidden is left alone", () => {
    const it = page();
    it.sockets.last.agree({ caps: [] });
    it.document.hidden = true;
    it.document.dispatchEvent(new Event("visibilitychange"));
    expect(it.pings()).toBe(0);
    it.client.close();
  });
});

it.each([
  ["online", "window"],
  ["pageshow", "window"],
  ["visibilitychange", "document"],
] as const)("%s ends the wait for the next dial", (name, target) => {
  const it = page();
  it.sockets.last.drop();
  expect(it.client.state).toBe("waiting");
  it[target].dispatchEvent(new Event(name));
  expect(it.sockets.all).toHaveLength(2);
  it.client.close();
});

it("offline does not", () => {
  const it = page();
  it.sockets.last.drop();
  it.window.dispatchEvent(new Event("offline"));
  expect(it.sockets.all).toHaveLength(1);
  it.client.close();
});

describe("the back-forward cache", () => {
  it("holds no connection; shown again, the page has one", () => {
    const it = page();
    it.sockets.last.agree({ caps: [] });
    it.window.dispatchEvent(transition("pagehide", true));
    expect(it.sockets.last.closedWith?.code).toBe(1000);
    expect(it.client.state).toBe("waiting");
    vi.advanceTimersByTime(3_600_000);
    expect(it.sockets.all).toHaveLength(1);
    it.window.dispatchEvent(transition("pageshow", true));
    expect(it.sockets.all).toHaveLength(2);
    it.sockets.last.agree({ caps: [] });
    expect(it.states).toEqual(["open", "waiting", "connecting", "open"]);
    it.client.close();
  });

  it("a page that goes for good keeps its connection to the end", () => {
    const it = page();
    it.sockets.last.agree({ caps: [] });
    it.window.dispatchEvent(transition("pagehide", false));
    expect(it.client.state).toBe("open");
    it.client.close();
  });
});

describe("sleep", () => {
  it("a timer that jumped is no silence of the peer's: it is asked", () => {
    const it = page();
    it.sockets.last.agree({ caps: [] });
    // The clock goes on while the machine sleeps, timers do not.
    vi.setSystemTime(Date.now() + 3_600_000);
    vi.advanceTimersByTime(5000);
    expect(it.pings()).toBe(1);
    it.sockets.last.receive(frame(5, "", 1n));
    vi.advanceTimersByTime(10_000);
    expect(it.client.state).toBe("open");
    it.client.close();
  });

  it("a peer that died meanwhile is found out in ten seconds", () => {
    const it = page();
    it.sockets.last.agree({ caps: [] });
    vi.setSystemTime(Date.now() + 3_600_000);
    vi.advanceTimersByTime(10_000);
    expect(it.client.state).toBe("waiting");
    it.client.close();
  });
});

it("close leaves no listener and no timer", () => {
  const it = page();
  expect(it.window.listeners).toBeGreaterThan(0);
  expect(it.document.listeners).toBeGreaterThan(0);
  it.sockets.last.agree({ caps: [] });
  it.client.close();
  expect(it.window.listeners).toBe(0);
  expect(it.document.listeners).toBe(0);
  expect(vi.getTimerCount()).toBe(0);
  it.window.dispatchEvent(new Event("online"));
  it.window.dispatchEvent(transition("pageshow", true));
  expect(it.sockets.all).toHaveLength(1);
});
