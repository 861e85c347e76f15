import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { currentRoom, type Event, type State } from "../src/state.ts";
import { createStore, type Store } from "../src/store.ts";

class FakeStorage {
  readonly items = new Map<string, string>();

  getItem(key: string): string | null {
    return this.items.get(key) ?? null;
  }

  setItem(key: string, value: string): void {
    this.items.set(key, value);
    Object.defineProperty(this, key, { value, enumerable: true, configurable: true });
  }

  removeItem(key: string): void {
    this.items.delete(key);
    Reflect.deleteProperty(this, key);
  }
}

const memory = await import("../src/memory.ts");
let store: Store;

beforeEach(() => {
  vi.stubGlobal("localStorage", new FakeStorage());
  vi.stubGlobal("sessionStorage", new FakeStorage());
});

afterEach(() => vi.unstubAllGlobals());

/** A page is opened, and what happens on it is remembered. */
function open(...events: Event[]): State {
  store = createStore(memory.restoredState());
  let before = store.state;
  store.subscribe((state) => {
    memory.remember(state, before);
    before = state;
  });
  for (const event of events) {
    store.dispatch(event);
  }
  return store.state;
}

const inside: Event[] = [
  { type: "joined", name: "Ada" },
  { type: "known", author: "ada" },
  { type: "visited", room: "attic" },
];
const wrote = (id: string, time: number): Event => ({
  type: "wrote",
  room: "attic",
  id,
  text: `text of ${id}`,
  time,
});

describe("a page that is opened again", () => {
  test("knows who was inside, in which rooms, how far they had read", () => {
    const heard = { id: "g", author: "grace", name: "Grace", text: "hi", time: 1 };
    const place = { epoch: "e1", offset: 7 };
    open(
      ...inside,
      { type: "heard", room: "attic", ...heard, place },
      { type: "themed", theme: "dark" },
    );

    const state = open();
    expect(state).toMatchObject({ name: "Ada", author: "ada", theme: "dark" });
    expect(state.rooms.get("attic")).toMatchObject({ readTo: place, messages: [] });
  });

  test("has what was not sent, in order, and what was half written", () => {
    open(...inside, wrote("b", 2), wrote("a", 1), wrote("c", 3));
    store.dispatch({ type: "sent", room: "attic", id: "c", place: { epoch: "e1", offset: 1 } });
    store.dispatch({ type: "drafted", room: "attic", text: "half" });

    const { messages, draft } = currentRoom(open({ type: "visited", room: "attic" }));
    expect(messages.map(({ id, text, own, delivery }) => [id, text, own, delivery])).toEqual([
      ["a", "text of a", true, "waiting"],
      ["b", "text of b", true, "waiting"],
    ]);
    expect(draft).toBe("half");
  });

  test("has nothing of a room that was left, nor of a message that was removed", () => {
    open(
      ...inside,
      wrote("a", 1),
      { type: "visited", room: "lobby" },
      { type: "forgotten", room: "attic" },
    );
    expect(open().rooms.has("attic")).toBe(false);

    open({ type: "visited", room: "attic" }, wrote("a", 1), {
      type: "discarded",
      room: "attic",
      id: "a",
    });
    expect(open().rooms.get("attic")?.messages).toEqual([]);
  });

  test("shows the door to who has left", () => {
    open(...inside, { type: "left" });
    expect(open().name).toBe("");
    expect(memory.rememberedName()).toBe("Ada");
  });
});

test("the secret stays the same", () => {
  expect(memory.secret()).toMatch(/^[0-9a-f]{24}$/);
  expect(memory.secret()).toBe(memory.secret());
});

describe("what someone tampered with", () => {
  test.each(["null", "7", "{", "[[1]]", '[["no room",{}],["attic",{"epoch":1}],["lobby"]]'])(
    "rooms %s do no harm",
    (rooms) => {
      localStorage.setItem("arpc-chat.rooms", rooms);
      for (const { readTo } of open().rooms.values()) {
        expect(readTo).toBeUndefined();
      }
    },
  );

  test.each([
    "null",
    "{",
    '{"room":"no room","text":"x","time":1}',
    '{"room":"attic","text":1,"time":1}',
  ])("an unsent message %s does no harm", (unsent) => {
    localStorage.setItem("arpc-chat.name", "Ada");
    localStorage.setItem("arpc-chat.unsent.x", unsent);
    expect(open().rooms.size).toBe(0);
  });
});

test("a browser that refuses storage forgets, and that is all", () => {
  const refused = {
    get() {
      throw new Error("refused");
    },
  };
  Object.defineProperty(globalThis, "localStorage", { ...refused, configurable: true });
  Object.defineProperty(globalThis, "sessionStorage", { ...refused, configurable: true });
  open(...inside, wrote("a", 1));
  expect(open().name).toBe("");
  expect(memory.secret()).not.toBe(memory.secret());
});
