import { describe, expect, it } from "vitest";
import { ArpcError, type Client, type Message, type Subscription } from "../src/index.ts";
import { decodePublication, encodePublication } from "../src/publication.ts";
import { decodeText, encodeText, frameDecoder } from "../src/wire.ts";
import { until } from "./helpers/fake-socket.ts";
import {
  becomes,
  failure,
  frame,
  open,
  type Peer,
  response,
  silent,
  startServer,
  topics,
} from "./helpers/server.ts";
import { vectors } from "./helpers/vectors.ts";

/** A publication as the server pushes it. */
function push(topic: string, data: string, { offset = 1n, kind = 1, time = 1234 } = {}) {
  const body = encodePublication({ topic, data: encodeText(data), time });
  return { ...frame(3, "in_P", offset), flag: kind << 4, body };
}

async function subscribed(): Promise<{ client: Client; peer: Peer; room: Subscription }> {
  const server = await startServer(silent);
  const client = open(server);
  const room = client.subscribe("room");
  const peer = await server.peer();
  peer.send(response(await peer.next(), ""));
  await room.ready;
  return { client, peer, room };
}

describe("publications", () => {
  const recorded = vectors.filter(({ label }) =>
    /^(publish|subscribe|unsubscribe|server publish)/.test(label),
  );
  const bodies = recorded.flatMap(({ bytes }) => {
    const decoder = frameDecoder(1000);
    decoder.push(bytes);
    const found: Uint8Array[] = [];
    for (let next = decoder.next(); next; next = decoder.next()) {
      if (next.body.length > 0) found.push(next.body);
    }
    return found;
  });

  it("are those of the original", () => {
    const read = bodies.map((body) => decodePublication(body));
    expect(read.map(({ topic, data }) => [topic, Buffer.from(data).toString()])).toEqual([
      ["news", ""],
      ["news", "hello"],
      ["news", "hello"],
      ["news", "from server"],
      ["news", ""],
    ]);
    for (const [i, body] of bodies.entries()) {
      const again = encodePublication(read[i]!);
      // The time is kept in milliseconds: all but its eight bytes are the same.
      expect(again.subarray(0, -8)).toEqual(body.subarray(0, -8));
      expect(decodePublication(again)).toEqual(read[i]);
    }
  });

  it.each([
    ["short", 9],
    ["shorter than its topic", 12],
  ])("too %s are refused", (_, length) => {
    const body = new Uint8Array(length);
    body.set([200], Math.max(0, length - 10));
    expect(() => decodePublication(body)).toThrow(RangeError);
  });
});

describe("subscribe and publish", () => {
  it("everything published arrives, with its kind, in order", async () => {
    const server = await startServer(topics());
    const client = open(server);
    const seen: Message[] = [];
    const before = Date.now();
    const room = client.subscribe("röom", (message) => void seen.push(message));
    expect(room.state).toBe("subscribing");
    await room.ready;
    expect(room.state).toBe("subscribed");
    const values = ["123", "", null, { a: 1 }, undefined, Uint8Array.of(1, 2)];
    for (const value of values) await client.publish("röom", value);
    await until(() => seen.length === values.length);
    expect(seen.map(({ data }) => data)).toEqual(values);
    expect(seen.map(({ offset }) => offset)).toEqual([1, 2, 3, 4, 5, 6]);
    for (const { topic, time } of seen) {
      expect(topic).toBe("röom");
      expect(time).toBeGreaterThanOrEqual(before);
    }
  });

  it("publish rejects with the server's no", async () => {
    const client = open(await startServer((asked, peer) => peer.send(failure(asked, "no"))));
    await expect(client.publish("room", 1)).rejects.toMatchObject({ remote: true, message: "no" });
  });

  it.each(["", "x".repeat(256), "é".repeat(128)])(
    "a topic needs a name that fits",
    async (name) => {
      const client = open(await startServer(topics()));
      const invalid = { code: "invalid_argument" };
      expect(() => client.subscribe(name)).toThrow(expect.objectContaining(invalid) as Error);
      await expect(client.publish(name, 1)).rejects.toMatchObject(invalid);
    },
  );

  it("a name of 255 bytes fits", async () => {
    const client = open(await startServer(topics()));
    await client.subscribe("x".repeat(255)).ready;
    await client.publish("x".repeat(255), 1);
  });

  it("an error that is published is its text, of unknown kind", async () => {
    const server = await startServer(silent);
    const client = open(server);
    client.publish("room", new Error("odd")).catch(() => {});
    const { flag, body } = await (await server.peer()).next();
    expect([flag, decodeText(decodePublication(body).data)]).toEqual([0, "odd"]);
  });

  it("several subscriptions of a topic are one to the server", async () => {
    const server = await startServer(topics());
    const client = open(server);
    const seen: string[] = [];
    const first = client.subscribe("room", () => void seen.push("first"));
    const second = client.subscribe("room", () => void seen.push("second"));
    await Promise.all([first.ready, second.ready]);
    const third = client.subscribe("room", () => void seen.push("third"));
    await third.ready;
    await client.publish("room", 1);
    expect(seen).toEqual(["first", "second", "third"]);
    await second.unsubscribe();
    await client.publish("room", 2);
    expect(seen).toEqual(["first", "second", "third", "first", "third"]);
    await Promise.all([first.unsubscribe(), third.unsubscribe()]);
    await client.publish("room", 3);
    expect(seen).toHaveLength(5);
    const peer = await server.peer();
    const methods: string[] = [];
    while (peer.frames.size > 0) methods.push((await peer.next()).method);
    expect(methods).toEqual(["in_S", "in_P", "in_P", "in_U", "in_P"]);
  });

  it("leaving and joining at once ends subscribed", async () => {
    const server = await startServer(topics());
    const client = open(server);
    const first = client.subscribe("room");
    await first.ready;
    const seen: unknown[] = [];
    const left = first.unsubscribe();
    const second = client.subscribe("room", ({ data }) => void seen.push(data));
    await left;
    await second.ready;
    await client.publish("room", 1);
    expect(seen).toEqual([1]);
  });

  it("a handler that fails does not stop the others", async () => {
    const { client, peer, room } = await subscribed();
    const errors: ArpcError[] = [];
    client.on("error", (error) => errors.push(error));
    const seen: unknown[] = [];
    client.subscribe("room", () => {
      throw new Error("bug");
    });
    client.subscribe("room", () => Promise.reject(new Error("late bug")));
    client.subscribe("room", ({ data }) => void seen.push(data));
    peer.send(push("room", "1"), push("room", "2"));
    await until(() => errors.length === 4);
    expect(seen).toEqual(["1", "2"]);
    expect(room.state).toBe("subscribed");
  });

  it("a publication nobody can read is told, and the next arrives", async () => {
    const { client, peer, room } = await subscribed();
    const errors: ArpcError[] = [];
    client.on("error", (error) => errors.push(error));
    peer.send(
      { ...frame(3, "in_P", 1n, "short") },
      push("room", "{", { kind: 3 }),
      push("other", "x"),
      push("room", "good"),
    );
    const messages = room[Symbol.asyncIterator]();
    expect((await messages.next()).value?.data).toBe("good");
    expect(errors.map(({ code }) => code)).toEqual(["data_loss", "invalid_argument"]);
  });

  it("data of unknown kind is read as the subscriber says", async () => {
    const { client, peer } = await subscribed();
    const seen: unknown[] = [];
    client.subscribe("room", ({ data }) => void seen.push(data));
    client.subscribe("room", ({ data }) => void seen.push(data), { as: "text" });
    peer.send(push("room", "12", { kind: 0 }));
    await until(() => seen.length === 2);
    expect(seen).toEqual([12, "12"]);
  });
});

describe("after a reconnect", () => {
  it("topics are subscribed again, before what waited is sent", async () => {
    const server = await startServer(silent);
    const client = open(server);
    const states: string[] = [];
    const room = client.subscribe("room");
    room.on("state", (state) => states.push(state));
    const first = await server.peer();
    first.send(response(await first.next(), ""));
    await room.ready;
    const lost = becomes(client, "waiting");
    first.terminate();
    await lost;
    client.notify("/waited");
    const back = becomes(room, "subscribed");
    const second = await server.peer();
    const again = await second.next();
    expect(again.method).toBe("in_S");
    expect((await second.next()).method).toBe("/waited");
    second.send(response(again, ""), push("room", "back"));
    const { value } = await room[Symbol.asyncIterator]().next();
    expect(value?.data).toBe("back");
    await back;
    expect(states).toEqual(["subscribed", "subscribing", "subscribed"]);
  });

  it("a subscription whose answer was lost is made again", async () => {
    const server = await startServer(silent);
    const client = open(server);
    const room = client.subscribe("room");
    const first = await server.peer();
    await first.next();
    first.terminate();
    const second = await server.peer();
    second.send(response(await second.next(), ""));
    await room.ready;
    expect(client.state).toBe("open");
  });

  it("what was left while away is not subscribed", async () => {
    const server = await startServer(silent);
    const client = open(server);
    const room = client.subscribe("room");
    const first = await server.peer();
    first.send(response(await first.next(), ""));
    await room.ready;
    const lost = becomes(client, "waiting");
    first.terminate();
    await lost;
    await room.unsubscribe();
    client.notify("/only");
    const second = await server.peer();
    expect((await second.next()).method).toBe("/only");
  });

  it("a refusal is told and ends the subscription", async () => {
    const server = await startServer(silent);
    const client = open(server);
    const errors: ArpcError[] = [];
    client.on("error", (error) => errors.push(error));
    const room = client.subscribe("room");
    const first = await server.peer();
    first.send(response(await first.next(), ""));
    await room.ready;
    const next = room[Symbol.asyncIterator]().next();
    first.terminate();
    const second = await server.peer();
    second.send(failure(await second.next(), "banned"));
    await expect(next).rejects.toThrow("banned");
    expect(room.state).toBe("closed");
    expect(errors.map(({ message }) => message)).toEqual(["banned"]);
  });
});

describe("a password", () => {
  it("is told on each connection, before all else", async () => {
    const server = await startServer(topics({ password: "123qwe" }));
    const client = open(server, { password: "123qwe" });
    const room = client.subscribe("room");
    await room.ready;
    const first = await server.peer();
    expect((await first.next()).method).toBe("in_A");
    const again = becomes(room, "subscribed");
    first.terminate();
    await again;
    const second = await server.peer();
    expect([(await second.next()).method, (await second.next()).method]).toEqual(["in_A", "in_S"]);
  });

  it("that is wrong is told, and topics are refused", async () => {
    const server = await startServer(topics({ password: "right" }));
    const client = open(server, { password: "wrong" });
    const errors: ArpcError[] = [];
    client.on("error", (error) => errors.push(error));
    const room = client.subscribe("room");
    await expect(room.ready).rejects.toThrow("unauthenticated");
    await expect(client.publish("room", 1)).rejects.toThrow("unauthenticated");
    expect(errors.map(({ message }) => message)).toEqual(["invalid password", "unauthenticated"]);
    expect(client.state).toBe("open");
  });

  it("that is never answered does not hold the client for ever", async () => {
    const server = await startServer(silent);
    const client = open(server, { password: "x", connectTimeout: 200 });
    client.on("error", () => {});
    await server.peer();
    const second = await server.peer();
    second.send(response(await second.next(), ""));
    await until(() => client.state === "open");
  });
});

describe("an iterator", () => {
  it("gives every message since the subscription, and leaving it unsubscribes", async () => {
    const { client, peer, room } = await subscribed();
    peer.send(push("room", "1"), push("room", "2"));
    client.handle("/sync", () => undefined);
    peer.send(frame(1, "/sync", 1n));
    await peer.next();
    const seen: unknown[] = [];
    for await (const { data } of room) {
      seen.push(data);
      if (data === "2") peer.send(push("room", "3"));
      if (data === "3") break;
    }
    expect(seen).toEqual(["1", "2", "3"]);
    expect(room.state).toBe("closed");
    expect((await peer.next()).method).toBe("in_U");
  });

  it("several next() at once get a message each, in order", async () => {
    const { peer, room } = await subscribed();
    const messages = room[Symbol.asyncIterator]();
    const waiting = [messages.next(), messages.next()];
    peer.send(push("room", "a"), push("room", "b"));
    expect((await Promise.all(waiting)).map(({ value }) => value?.data)).toEqual(["a", "b"]);
  });

  it("that is too slow ends with an error after what it holds", async () => {
    const server = await startServer(topics());
    const client = open(server);
    const room = client.subscribe("room", { buffer: 3 });
    await room.ready;
    for (let i = 0; i < 5; i++) await client.publish("room", i);
    const seen: unknown[] = [];
    const loop = async (): Promise<void> => {
      for await (const { data } of room) seen.push(data);
    };
    await expect(loop()).rejects.toMatchObject({ code: "resource_exhausted" });
    expect(seen).toEqual([0, 1, 2]);
    expect(room.state).toBe("closed");
  });

  it("beside a handler begins when it is asked for", async () => {
    const { client, peer } = await subscribed();
    const seen: unknown[] = [];
    const both = client.subscribe("room", ({ data }) => void seen.push(data), { buffer: 1 });
    peer.send(push("room", "1"), push("room", "2"));
    await until(() => seen.length === 2);
    const messages = both[Symbol.asyncIterator]();
    peer.send(push("room", "3"));
    expect((await messages.next()).value?.data).toBe("3");
    expect(seen).toEqual(["1", "2", "3"]);
  });

  it("ends when the subscription does", async () => {
    const { client, room } = await subscribed();
    const messages = room[Symbol.asyncIterator]();
    const waiting = [messages.next(), messages.next()];
    client.close();
    expect(await Promise.all(waiting)).toEqual([
      { value: undefined, done: true },
      { value: undefined, done: true },
    ]);
    expect(await messages.next()).toEqual({ value: undefined, done: true });
  });
});

describe("closing the client", () => {
  it("ends its subscriptions, also those not confirmed", async () => {
    const client = open(await startServer(silent));
    const room = client.subscribe("room");
    const states: string[] = [];
    room.on("state", (state) => states.push(state));
    client.close();
    await expect(room.ready).rejects.toMatchObject({ code: "canceled" });
    expect(states).toEqual(["closed"]);
    await room.unsubscribe();
    expect(() => client.subscribe("room")).toThrow(ArpcError);
  });
});
