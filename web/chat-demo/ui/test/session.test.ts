import { ArpcError } from "arpc-js";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { TYPING_FOR } from "../src/conversation.ts";
import { Session } from "../src/session.ts";
import { currentRoom } from "../src/state.ts";
import { createStore, type Store } from "../src/store.ts";
import { FakeConnection } from "./fake-connection.ts";

const LOBBY = "chat:room:lobby";
const HERE = "chat:here:lobby";

let connection: FakeConnection;
let store: Store;
let session: Session;

beforeEach(() => {
  vi.useFakeTimers();
  connection = new FakeConnection();
  store = createStore();
  store.dispatch({ type: "joined", name: "Ada" });
  store.dispatch({ type: "visited", room: "lobby" });
});

afterEach(() => {
  session.close();
  expect(vi.getTimerCount()).toBe(0);
  vi.useRealTimers();
});

function start(hasPassword = false): void {
  session = new Session(connection, store, { secret: "s3cret", hasPassword });
}

/** Lets the server know us, and the room be live. */
async function enter(): Promise<void> {
  connection.open();
  connection.calls.at(-1)?.resolve({ author: "ada" });
  connection.live(LOBBY);
  await settled();
}

function write(...ids: string[]): void {
  for (const id of ids) {
    store.dispatch({ type: "wrote", room: store.state.room, id, text: id, time: 1000 });
  }
}

function page(): string[] {
  return currentRoom(store.state).messages.map(({ id, delivery }) => `${id} ${delivery}`);
}

// What a settled promise sets off happens in microtasks.
async function settled(): Promise<void> {
  await vi.advanceTimersByTimeAsync(0);
}

describe("coming in", () => {
  test("says who we are once on each connection, and learns who that is", async () => {
    start();
    expect(connection.calls).toEqual([]);
    await enter();
    expect(connection.made("/chat/enter")).toEqual([
      { name: "Ada", secret: "s3cret", room: "lobby" },
    ]);
    expect(store.state.author).toBe("ada");
    expect(connection.topics.get(HERE)?.options).toEqual({
      presence: { info: { author: "ada", name: "Ada" } },
    });

    connection.lost(LOBBY);
    connection.open();
    expect(connection.made("/chat/enter")).toHaveLength(2);
  });

  test("into another room subscribes that and stays subscribed to the first", async () => {
    start();
    await enter();
    store.dispatch({ type: "visited", room: "kitchen" });
    expect(connection.made("/chat/enter").at(-1)).toMatchObject({ room: "kitchen" });
    expect(connection.topics.get(LOBBY)?.isOver).toBe(false);
    expect(connection.topics.get(HERE)?.isOver).toBe(true);
    expect(connection.topics.has("chat:here:kitchen")).toBe(true);

    store.dispatch({ type: "forgotten", room: "lobby" });
    expect(connection.topics.get(LOBBY)?.isOver).toBe(true);
  });

  test("can be refused, and tried again", async () => {
    start();
    connection.open();
    connection.calls[0]?.reject(new ArpcError("resource_exhausted", "full", { remote: true }));
    await settled();
    expect(currentRoom(store.state).refusal).toBe("full");
    session.reenter();
    connection.calls[1]?.resolve({ author: "ada" });
    await settled();
    expect(currentRoom(store.state)).not.toHaveProperty("refusal");
  });

  test("a room read before goes on from there", () => {
    const readTo = { epoch: "e1", offset: 9 };
    connection = new FakeConnection();
    const { state } = store;
    const rooms = new Map(state.rooms).set("attic", { ...currentRoom(state), readTo });
    store = createStore({ ...state, rooms });
    start();
    expect(connection.topics.get("chat:room:attic")?.options).toEqual({ since: readTo });
    expect(connection.topics.get(LOBBY)?.options).toEqual({});
  });

  test.each([
    [false, "locked"],
    [true, "refused"],
  ])("a server with a password (we brought one: %j) is %s", (hasPassword, access) => {
    start(hasPassword);
    connection.refuse(LOBBY, new ArpcError("unauthenticated", "no", { remote: true }));
    expect(store.state.access).toBe(access);
  });
});

describe("sending", () => {
  test("waits until the server knows us and the room is live, one message after the other", async () => {
    start();
    write("a", "b");
    connection.open();
    connection.live(LOBBY);
    expect(connection.made("/chat/say")).toEqual([]);
    await enter();
    expect(connection.made("/chat/say")).toEqual([{ room: "lobby", id: "a", text: "a" }]);
    expect(page()).toEqual(["a sending", "b waiting"]);
    connection.calls.at(-1)?.resolve({ epoch: "e1", offset: 1 });
    await settled();
    expect(page()).toEqual(["a sent", "b sending"]);
  });

  test("goes on where the topic is faster than the answer", async () => {
    start();
    await enter();
    write("a", "b");
    connection.deliver(LOBBY, { id: "a", author: "ada", name: "Ada", text: "a" }, 1);
    connection.calls.at(-1)?.resolve({ epoch: "e1", offset: 1 });
    await settled();
    expect(page()).toEqual(["a sent", "b sending"]);
  });

  test("goes on after a lost connection with what it swallowed, under the same id", async () => {
    start();
    await enter();
    write("a");
    connection.lost(LOBBY);
    connection.calls.at(-1)?.reject(new ArpcError("unavailable", "lost", { sent: true }));
    await settled();
    expect(page()).toEqual(["a waiting"]);
    await enter();
    await vi.advanceTimersByTimeAsync(1000);
    expect(connection.made("/chat/say")).toEqual(
      Array(2).fill({ room: "lobby", id: "a", text: "a" }),
    );
  });

  test("rests as long as the server wants, and says so", async () => {
    start();
    await enter();
    write("a");
    const data = { retryAfter: 2000 };
    connection.calls.at(-1)?.reject(new ArpcError("resource_exhausted", "slow down", { data }));
    await settled();
    expect(page()).toEqual(["a waiting"]);
    expect(store.state.slowUntil).toBe(Date.now() + 2000);
    await vi.advanceTimersByTimeAsync(1999);
    expect(connection.made("/chat/say")).toHaveLength(1);
    await vi.advanceTimersByTimeAsync(1);
    expect(connection.made("/chat/say")).toHaveLength(2);
  });

  test("is over for what the server refuses for good; the rest goes on", async () => {
    start();
    await enter();
    write("a", "b");
    connection.calls
      .at(-1)
      ?.reject(new ArpcError("invalid_argument", "too long", { remote: true }));
    await settled();
    expect(page()).toEqual(["a failed", "b sending"]);
    expect(currentRoom(store.state).messages[0]?.reason).toBe("too long");
  });
});

describe("what was said before", () => {
  const history = (offset: number) => ({
    topic: LOBBY,
    data: { id: `m${offset}`, author: "ada", name: "Ada", text: "x" },
    offset,
    epoch: "e1",
    time: 1,
  });

  test("is fetched when the room is live and we are known", async () => {
    start();
    connection.open();
    connection.live(LOBBY);
    expect(connection.pages).toEqual([]);
    await enter();
    expect(connection.pages.map(({ body }) => body)).toEqual([{ limit: 50 }]);
    connection.pages[0]?.resolve({
      epoch: "e1",
      from: 1,
      last: 9,
      more: true,
      messages: [history(8), history(9)],
    });
    await settled();
    expect(page()).toEqual(["m8 sent", "m9 sent"]);
    expect(currentRoom(store.state)).toMatchObject({ past: "more", readTo: { offset: 9 } });

    store.dispatch({ type: "past", room: "lobby", past: "wanted" });
    expect(connection.pages[1]?.body).toEqual({ limit: 50, before: 8 });
    connection.pages[1]?.resolve({
      epoch: "e1",
      from: 7,
      last: 9,
      more: false,
      messages: [history(7)],
    });
    await settled();
    expect(currentRoom(store.state).past).toBe("cut");
  });

  test.each([
    [{ from: 0, last: 0 }, "start"],
    [{ from: 1, last: 3 }, "start"],
    [{ from: 0, last: 3 }, "cut"],
  ])("a log of %j has a %s", async (log, past) => {
    start();
    await enter();
    connection.pages[0]?.resolve({ epoch: "e1", more: false, messages: [], ...log });
    await settled();
    expect(currentRoom(store.state).past).toBe(past);
  });

  test("of another epoch is not mixed in", async () => {
    start();
    await enter();
    connection.deliver(LOBBY, { id: "now", author: "g", name: "G", text: "x" }, 5);
    connection.pages[0]?.resolve({ epoch: "e1", from: 1, last: 5, more: true, messages: [] });
    await settled();
    store.dispatch({ type: "past", room: "lobby", past: "wanted" });
    connection.pages[1]?.resolve({
      epoch: "e2",
      from: 1,
      last: 1,
      more: false,
      messages: [history(1)],
    });
    await settled();
    expect(page()).toEqual(["now sent"]);
    expect(currentRoom(store.state).past).toBe("cut");
  });

  test("that could not be had is told, unless the connection is to blame", async () => {
    start();
    await enter();
    connection.pages[0]?.reject(new ArpcError("internal", "no", { remote: true }));
    await settled();
    expect(currentRoom(store.state).past).toBe("failed");
    store.dispatch({ type: "past", room: "lobby", past: "wanted" });
    connection.lost(LOBBY);
    connection.pages[1]?.reject(new ArpcError("unavailable", "lost"));
    await settled();
    expect(currentRoom(store.state).past).toBe("wanted");
  });
});

describe("what the others do", () => {
  const member = (author: string, name = author, since = 1) => ({
    id: `${author}${name}`,
    info: { author, name },
    since,
  });
  const people = (...authors: string[]) =>
    connection.topics.get(HERE)?.listeners.members?.(authors.map((author) => member(author)));

  test("is heard, if it is a message", async () => {
    start();
    await enter();
    connection.deliver(LOBBY, { nonsense: true }, 1);
    connection.deliver(LOBBY, { id: "a", author: "g", name: "Grace", text: "hi" }, 2);
    expect(page()).toEqual(["a sent"]);
  });

  test("is seen: who is here, who came and who left", async () => {
    start();
    await enter();
    people("ada", "grace");
    expect(currentRoom(store.state).people).toHaveLength(2);
    expect(currentRoom(store.state)).not.toHaveProperty("change");
    people("ada", "grace", "bob", "bob");
    expect(currentRoom(store.state).people).toHaveLength(3);
    expect(currentRoom(store.state).change).toMatchObject({ name: "bob", came: true });
    connection.topics
      .get(HERE)
      ?.listeners.members?.([member("grace", "Grace", 2), member("grace", "once", 1)]);
    expect(currentRoom(store.state).people).toEqual([{ author: "grace", name: "Grace" }]);
    people("ada", "grace", "bob");
    people("ada", "bob");
    expect(currentRoom(store.state).change).toMatchObject({ name: "grace", came: false });
  });

  test("is told: a room opened, someone types, a gap", async () => {
    start();
    await enter();
    connection.deliver("chat:rooms", { room: "attic" }, 1);
    connection.deliver("chat:rooms", { room: "no room" }, 2);
    expect([...store.state.listed]).toEqual(["lobby", "attic"]);
    connection.deliver(HERE, { author: "grace", name: "Grace" }, 1);
    expect(currentRoom(store.state).typing).toHaveLength(1);

    connection.deliver(LOBBY, { id: "a", author: "g", name: "Grace", text: "hi" }, 2);
    connection.topics.get(LOBBY)?.listeners.gap?.({ missed: 3, epoch: "e1" });
    expect(currentRoom(store.state)).toMatchObject({ gaps: [{ after: "a", missed: 3 }] });
    expect(currentRoom(store.state).past).not.toBe("cut");
    connection.topics.get(LOBBY)?.listeners.gap?.({ epoch: "e2" });
    expect(currentRoom(store.state).past).toBe("cut");
  });

  test("is told for as long as it is new, whatever our clock says", async () => {
    start();
    await enter();
    const arrived = 1_000_000;
    const joined = member("ada", "Ada", arrived);
    connection.topics.get(HERE)?.listeners.members?.([joined, member("grace")]);
    const type = (time: number) =>
      connection.deliver(HERE, { author: "grace", name: "Grace" }, 1, { time });
    const typing = () => currentRoom(store.state).typing.map(({ until }) => until - Date.now());

    await vi.advanceTimersByTimeAsync(10_000);
    type(arrived + 5000);
    expect(typing()).toEqual([]);
    type(arrived + 6000);
    expect(typing()).toEqual([TYPING_FOR - 4000]);
    type(arrived + 10_000);
    expect(typing()).toEqual([TYPING_FOR]);
  });

  test("hears of our typing now and then", async () => {
    start();
    await enter();
    for (let i = 0; i < 50; i++) {
      session.type();
      await vi.advanceTimersByTimeAsync(100);
    }
    expect(connection.notified).toEqual(Array(3).fill("/chat/typing"));
  });
});

test("after leaving nothing is sent and nothing heard", async () => {
  start();
  await enter();
  write("a");
  session.close();
  expect(connection.isClosed).toBe(true);
  connection.calls.at(-1)?.reject(new ArpcError("unavailable", "closed"));
  await settled();
  expect(page()).toEqual(["a waiting"]);
  write("b");
  expect(connection.made("/chat/say")).toHaveLength(1);
});
