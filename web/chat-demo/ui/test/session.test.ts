// FakeConnection is an arpc client a test holds in its hands:
//   connection.live("chat/lobby")          the server confirms the subscription
//   connection.lost("chat/lobby")          the connection is gone
//   connection.refuse("chat/lobby", e)     the server refuses the subscription
//   connection.deliver("chat/lobby", data) something is published there
//   connection.published[0].resolve()      the server acknowledges
import { ArpcError, type ClientState, type Message, type StateDetail } from "arpc-js";
import { beforeEach, describe, expect, test } from "vitest";
import { type Connection, type RoomSubscription, Session } from "../src/session.ts";
import { currentRoom } from "../src/state.ts";
import { createStore, type Store } from "../src/store.ts";

const topic = "chat/lobby";
type OnState = Parameters<RoomSubscription["on"]>[1];

class FakeConnection implements Connection {
  readonly published: Array<{
    topic: string;
    data: unknown;
    resolve(): void;
    reject(error: Error): void;
  }> = [];
  readonly topics = new Map<string, { handler(message: Message): void; onState: OnState }>();
  listener: ((state: ClientState, detail: StateDetail) => void) | undefined;
  closed = false;

  on(_: "state", listener: (state: ClientState, detail: StateDetail) => void): () => void {
    this.listener = listener;
    return () => {
      this.listener = undefined;
    };
  }

  subscribe(name: string, handler: (message: Message) => void): RoomSubscription {
    return {
      on: (_, onState) => {
        this.topics.set(name, { handler, onState });
        return () => this.topics.delete(name);
      },
    };
  }

  publish(name: string, data: unknown): Promise<void> {
    return new Promise((resolve, reject) => {
      this.published.push({ topic: name, data, resolve, reject });
    });
  }

  close(): void {
    this.closed = true;
  }

  live(name: string): void {
    this.listener?.("open", {});
    this.topics.get(name)?.onState("subscribed", undefined);
  }

  lost(name: string): void {
    this.topics.get(name)?.onState("subscribing", undefined);
    this.listener?.("waiting", { delay: 500 });
  }

  refuse(name: string, error: ArpcError): void {
    this.topics.get(name)?.onState("closed", error);
  }

  deliver(name: string, data: unknown): void {
    this.topics.get(name)?.handler({ topic: name, data, offset: 1, time: 2000 });
  }
}

let connection: FakeConnection;
let store: Store;

beforeEach(() => {
  connection = new FakeConnection();
  store = createStore();
  store.dispatch({ type: "joined", name: "Ada" });
});

function write(id: string): void {
  store.dispatch({ type: "wrote", id, text: id, time: 1000 });
}

function page(): string[] {
  return currentRoom(store.state).messages.map(({ id, delivery }) => `${id} ${delivery}`);
}

// What a settled promise sets off happens in microtasks.
function settled(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

describe("sending", () => {
  test("begins when the room is live, one message after the other", async () => {
    new Session(connection, store, false);
    write("a");
    write("b");
    expect(connection.published).toHaveLength(0);

    connection.live(topic);
    expect(page()).toEqual(["a sending", "b waiting"]);
    expect(connection.published.map(({ data }) => data)).toEqual([
      { id: "a", name: "Ada", text: "a" },
    ]);

    connection.published[0]?.resolve();
    await settled();
    expect(page()).toEqual(["a sent", "b sending"]);
  });

  test("goes on after a lost connection with what it swallowed", async () => {
    new Session(connection, store, false);
    connection.live(topic);
    write("a");

    connection.lost(topic);
    connection.published[0]?.reject(new ArpcError("unavailable", "lost", { sent: true }));
    await settled();
    expect(page()).toEqual(["a waiting"]);
    expect(connection.published).toHaveLength(1);

    connection.live(topic);
    expect(page()).toEqual(["a sending"]);
    expect(connection.published[1]?.data).toEqual({ id: "a", name: "Ada", text: "a" });
  });

  test("stops with what the server refuses, until it is tried again", async () => {
    new Session(connection, store, false);
    connection.live(topic);
    write("a");

    connection.published[0]?.reject(new ArpcError("unknown", "too large", { remote: true }));
    await settled();
    expect(page()).toEqual(["a failed"]);
    expect(currentRoom(store.state).messages[0]?.reason).toBe("too large");
    expect(connection.published).toHaveLength(1);

    store.dispatch({ type: "retried", id: "a" });
    expect(connection.published).toHaveLength(2);
  });

  test("does not spin on a connection that takes nothing", async () => {
    new Session(connection, store, false);
    connection.live(topic);
    write("a");

    connection.published[0]?.reject(new ArpcError("unavailable", "the client is closed"));
    await settled();
    expect(page()).toEqual(["a failed"]);
    expect(connection.published).toHaveLength(1);
  });
});

describe("hearing", () => {
  test("shows what has the shape of a message and ignores the rest", () => {
    new Session(connection, store, false);
    connection.live(topic);

    connection.deliver(topic, { id: "x", name: "Grace", text: "hello" });
    connection.deliver(topic, { id: 1, name: {}, text: [] });
    connection.deliver(topic, null);
    expect(page()).toEqual(["x sent"]);
  });

  test("goes on in every room that was visited", () => {
    new Session(connection, store, false);
    store.dispatch({ type: "visited", room: "kitchen" });
    connection.deliver(topic, { id: "x", name: "Grace", text: "hello" });

    expect([...connection.topics.keys()]).toEqual([topic, "chat/kitchen"]);
    expect(page()).toEqual([]);
    store.dispatch({ type: "visited", room: "lobby" });
    expect(page()).toEqual(["x sent"]);
  });
});

describe("the door", () => {
  test.each([
    [false, "locked"],
    [true, "refused"],
  ])("a refusal with a password given: %s means %s", (hasPassword, access) => {
    new Session(connection, store, hasPassword);

    connection.refuse(topic, new ArpcError("unknown", "not authenticated", { remote: true }));
    expect(store.state.access).toBe(access);
  });

  test("a closed session hears and sends nothing more", () => {
    const session = new Session(connection, store, false);
    connection.live(topic);

    session.close();
    write("a");
    expect(connection.closed).toBe(true);
    expect(connection.listener).toBeUndefined();
    expect(connection.published).toHaveLength(0);
  });

  test("the next session sends what the last one could not", async () => {
    const first = new Session(connection, store, false);
    write("a");
    first.close();
    store.dispatch({ type: "left" });
    store.dispatch({ type: "visited", room: "kitchen" });

    const next = new FakeConnection();
    store.dispatch({ type: "joined", name: "Ada" });
    new Session(next, store, false);
    next.live(topic);
    expect(next.published.map((sent) => sent.topic)).toEqual([topic]);
  });
});
