/** Topics that are logs: subscriptions, their positions, and what becomes of them. */

import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import {
  type ArpcError,
  type Client,
  connect,
  type Gap,
  type Message,
  type SubscribeOptions,
} from "../src/index.ts";
import { encodePublication } from "../src/publication.ts";
import { encodeText, FLAG_OUTSIDE, type Frame } from "../src/wire.ts";
import { type FakeSockets, fakeSockets, until } from "./helpers/fake-socket.ts";
import { becomes, frame, helloAnswer, open, startServer } from "./helpers/server.ts";
import { overSockets, plug, Refusal, type Session, TopicServer } from "./helpers/topic-server.ts";

// Time stands still: what arrives is handled at once, however slow the machine is.
beforeEach(() => {
  vi.useFakeTimers({ toFake: ["performance"] });
});
afterEach(() => {
  vi.useRealTimers();
});

/** A client of a topic server, over a fake socket: nothing takes time. */
function dial(server = new TopicServer(), options = {}) {
  const sockets = fakeSockets();
  const backoff = { min: 0, random: () => 0 };
  const client = connect("ws://fake/", { WebSocket: sockets.WebSocket, backoff, ...options });
  const errors: ArpcError[] = [];
  client.on("error", (error) => errors.push(error));
  return { server, client, sockets, errors, session: link(server, sockets) };
}

/** Opens the socket dialed last, after what goes on, with the server at its other end. */
function link(server: TopicServer, sockets: FakeSockets): Session {
  const { last } = sockets;
  const session = plug(server, last);
  queueMicrotask(() => last.open());
  return session;
}

/** Cuts the connection, and makes the next. */
async function relink(
  server: TopicServer,
  sockets: FakeSockets,
  session: Session,
): Promise<Session> {
  const dialed = sockets.all.length;
  session.end();
  sockets.last.drop();
  await until(() => sockets.all.length > dialed);
  return link(server, sockets);
}

/** Subscribes a client to the room, and keeps what it gets and the gaps it is told of. */
function follow(client: Client, options: SubscribeOptions = {}) {
  const seen: Message[] = [];
  const gaps: Gap[] = [];
  const room = client.subscribe("room", (message) => void seen.push(message), options);
  room.on("gap", (gap) => gaps.push(gap));
  return { room, seen, gaps };
}

/** A client that is subscribed to the room. */
async function live(options: SubscribeOptions = {}) {
  const dialed = dial();
  const followed = follow(dialed.client, options);
  await followed.room.ready;
  return { ...dialed, ...followed };
}

const asked = (session: Session): string[] => session.asked.map(({ method }) => method);
const texts = (messages: readonly Message[]): unknown[] => messages.map(({ data }) => data);

function publish(server: TopicServer, from: number, to: number): void {
  for (let i = from; i <= to; i++) server.publish("room", String(i));
}

const numbers = (from: number, to: number): string[] =>
  Array.from({ length: to - from + 1 }, (_, i) => String(from + i));

describe("a subscription", () => {
  it("rides in hello, and is live with its answer", async () => {
    const { client, session, server, room, seen } = await live();
    expect(session.asked).toEqual([
      {
        method: "arpc.hello",
        body: expect.objectContaining({ topics: [{ topic: "" }, { topic: "room" }] }) as unknown,
      },
    ]);
    publish(server, 1, 2);
    expect(seen).toMatchObject([
      { topic: "room", data: "1", offset: 1, epoch: "e2", time: 1234 },
      { topic: "room", data: "2", offset: 2, epoch: "e2" },
    ]);
    expect(room.position).toEqual({ epoch: "e2", offset: 2 });
    client.close();
  });

  it("later is asked for outside the session", async () => {
    const { client, session, server } = dial();
    await until(() => client.state === "open");
    const room = client.subscribe("room", { policy: "latest", echo: false });
    await room.ready;
    expect(session.asked.slice(1)).toEqual([
      { method: "arpc.subscribe", body: { topic: "room", lag: "latest", echo: false } },
    ]);
    await room.unsubscribe();
    expect(asked(session).slice(2)).toEqual(["arpc.unsubscribe"]);
    publish(server, 1, 1);
    expect(server.sessions.size).toBe(1);
    expect(session.subscribers.has("room")).toBe(false);
    client.close();
  });

  it("begins now, with the last, or since a position", async () => {
    const server = new TopicServer();
    publish(server, 1, 10);
    const { epoch } = server.log("room");
    for (const [options, first] of [
      [{}, 11],
      [{ last: 3 }, 8],
      [{ last: 100 }, 1],
      [{ since: { epoch, offset: 4 } }, 5],
      [{ since: { epoch, offset: 10 } }, 11],
      [{ since: { epoch: "", offset: 0 } }, 11],
    ] as const) {
      const { client } = dial(server);
      const { room, seen, gaps } = follow(client, options);
      await room.ready;
      const newest = server.publish("room", "new");
      expect(seen[0]?.offset).toBe(first === 11 ? newest : first);
      expect(seen.at(-1)).toMatchObject({ data: "new", offset: newest });
      expect(gaps).toEqual([]);
      client.close();
      server.log("room").frames.length = 10;
    }
  });

  it("takes up a position kept across a page's life", async () => {
    const server = new TopicServer();
    const before = dial(server);
    let stored = "";
    const first = before.client.subscribe("room", ({ epoch, offset }) => {
      stored = JSON.stringify({ epoch, offset });
    });
    await first.ready;
    publish(server, 1, 3);
    before.client.close();
    publish(server, 4, 6);
    const { client } = dial(server);
    const { seen } = follow(client, { since: JSON.parse(stored) });
    await until(() => seen.length === 3);
    expect(texts(seen)).toEqual(["4", "5", "6"]);
    client.close();
  });

  it("has the position of what its loop has taken", async () => {
    const { client, server } = dial();
    const room = client.subscribe("room");
    await room.ready;
    publish(server, 1, 3);
    expect(room.position.offset).toBe(0);
    const messages = room[Symbol.asyncIterator]();
    expect((await messages.next()).value?.offset).toBe(1);
    expect(room.position).toEqual({ epoch: "e2", offset: 1 });
    await messages.next();
    await messages.next();
    expect(room.position.offset).toBe(3);
    client.close();
  });

  it("that is refused ends with the server's word, and the others go on", async () => {
    const { client, server, errors } = dial();
    server.authorize = (_, { topic, presence }) => {
      if (topic === "secret" || presence) throw new Refusal("permission_denied");
    };
    const { room, seen } = follow(client);
    const secret = client.subscribe("secret");
    const denied = { code: "permission_denied", remote: true };
    await expect(secret.ready).rejects.toMatchObject(denied);
    await room.ready;
    const also = client.subscribe("room", { presence: true });
    await expect(also.ready).rejects.toMatchObject(denied);
    await until(() => server.sessions.size === 1);
    publish(server, 1, 2);
    await until(() => seen.length === 2);
    expect([room.state, secret.state, also.state]).toEqual(["subscribed", "closed", "closed"]);
    expect(errors).toHaveLength(2);
    client.close();
  });

  it("to which the server is unavailable is asked for again", async () => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "performance"] });
    const { client, server, session } = dial();
    let isAway = true;
    server.authorize = (method, { topic }) => {
      if (isAway && topic === "room") throw new Refusal("unavailable");
      void method;
    };
    const room = client.subscribe("room");
    await until(() => asked(session).length === 2);
    await vi.advanceTimersByTimeAsync(999);
    expect(asked(session)).toEqual(["arpc.hello", "arpc.subscribe"]);
    isAway = false;
    await vi.advanceTimersByTimeAsync(1);
    await room.ready;
    client.close();
    expect(vi.getTimerCount()).toBe(0);
  });

  it("left while it is unavailable leaves no timer", async () => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "performance"] });
    const { client, server, session } = dial();
    server.authorize = (_, { topic }) => {
      if (topic === "room") throw new Refusal("unavailable");
    };
    const room = client.subscribe("room");
    // Of the connection, and of the call.
    await until(() => asked(session).length === 2 && vi.getTimerCount() === 3);
    await room.unsubscribe();
    expect(vi.getTimerCount()).toBe(2);
    client.close();
  });

  it("waits for the password, where there is one", async () => {
    const server = new TopicServer();
    const { serve, hello, of } = overSockets(server);
    const listening = await startServer(
      (asked, peer) => {
        if (asked.method === "in_A") peer.send({ ...asked, cmd: 2 });
        else serve(asked, peer);
      },
      { hello },
    );
    const client = open(listening, { password: "x" });
    await client.subscribe("room").ready;
    const { asked } = of(await listening.peer());
    expect(asked[0]?.body["topics"]).toEqual([{ topic: "" }]);
    expect(asked[1]).toMatchObject({ method: "arpc.subscribe" });
  });

  it("of more topics than hello has room for are all made", async () => {
    const { client, session } = dial();
    const subscriptions = Array.from({ length: 1500 }, (_, i) => client.subscribe(`röom:${i}`));
    await Promise.all(subscriptions.map(({ ready }) => ready));
    expect(session.subscribers.size).toBe(1501);
    const { body } = session.asked[0]!;
    expect(encodeText(JSON.stringify(body)).length).toBeLessThanOrEqual(16_384);
    expect((body["topics"] as unknown[]).length).toBeGreaterThan(200);
    client.close();
  });
});

describe("subscriptions of one topic", () => {
  it("begin each where they say, and share a cursor", async () => {
    const { client, server, session } = dial();
    publish(server, 1, 10);
    const { epoch } = server.log("room");
    const seen: Record<string, Message[]> = { now: [], last: [], since: [], late: [], later: [] };
    const take = (name: string) => (message: Message) => void seen[name]?.push(message);
    const now = client.subscribe("room", take("now"));
    const last = client.subscribe("room", take("last"), { last: 2 });
    const since = client.subscribe("room", take("since"), { since: { epoch, offset: 5 } });
    await Promise.all([now.ready, last.ready, since.ready]);
    publish(server, 11, 12);
    const late = client.subscribe("room", take("late"), { last: 3 });
    const later = client.subscribe("room", take("later"));
    await Promise.all([late.ready, later.ready]);
    publish(server, 13, 13);
    expect(texts(seen["now"]!)).toEqual(numbers(11, 13));
    expect(texts(seen["last"]!)).toEqual(numbers(9, 13));
    expect(texts(seen["since"]!)).toEqual(numbers(6, 13));
    expect(texts(seen["late"]!)).toEqual(numbers(10, 13));
    expect(texts(seen["later"]!)).toEqual(["13"]);
    expect(asked(session)).toEqual(["arpc.hello", "arpc.subscribe"]);
    client.close();
  });

  it("do so too where the server does not tell its newest, but for who begins now", async () => {
    const { client, server } = dial();
    server.tellsLast = false;
    publish(server, 1, 10);
    const { epoch } = server.log("room");
    const { room, seen } = follow(client, { since: { epoch, offset: 5 } });
    await room.ready;
    await until(() => seen.length === 5);
    expect(texts(seen)).toEqual(numbers(6, 10));
    client.close();
  });

  it("of different epochs each get all there is, or what they miss", async () => {
    const { client, server } = dial();
    publish(server, 1, 5);
    const { epoch } = server.log("room");
    const take = (into: Message[]) => (message: Message) => void into.push(message);
    const old: Message[] = [];
    const good: Message[] = [];
    const gaps: Gap[] = [];
    client.subscribe("room", take(good), { since: { epoch, offset: 3 } });
    const room = client.subscribe("room", take(old), { since: { epoch: "gone", offset: 2 } });
    room.on("gap", (gap) => gaps.push(gap));
    await room.ready;
    await until(() => good.length === 2);
    expect(texts(good)).toEqual(["4", "5"]);
    expect(gaps).toHaveLength(1);
    expect(texts(old)).toEqual(numbers(gaps[0]!.from, 5));
    client.close();
  });

  it("share what they ask of the server: the strictest of policies, presence if one wants it", async () => {
    const { client, session } = dial();
    await until(() => client.state === "open");
    const quiet = client.subscribe("room", { policy: "latest", echo: false });
    await quiet.ready;
    const present = client.subscribe("room", { presence: { info: { name: "Ann" } } });
    await until(() => present.members.length === 1);
    await present.unsubscribe();
    expect(session.asked.slice(1).map(({ body }) => body)).toEqual([
      { topic: "room", lag: "latest", echo: false },
      {
        topic: "room",
        epoch: "e2",
        offset: 0,
        presence: true,
        member: expect.any(String) as unknown,
        info: { name: "Ann" },
      },
      { topic: "room", epoch: "e2", offset: 0, lag: "latest", echo: false },
    ]);
    expect(quiet.members).toEqual([]);
    client.close();
  });

  it("in the middle of leaving get nothing twice and nothing lost", async () => {
    const { client, server } = dial();
    const first = client.subscribe("room");
    await first.ready;
    const left = first.unsubscribe();
    const { room: second, seen } = follow(client);
    publish(server, 1, 2);
    await Promise.all([left, second.ready]);
    publish(server, 3, 4);
    expect(texts(seen)).toEqual(["3", "4"]);
    client.close();
  });
});

describe("after a reconnect", () => {
  it("everything missed arrives once, and in order", async () => {
    const { client, server, sockets, session, room, seen, gaps } = await live();
    publish(server, 1, 3);
    session.end();
    publish(server, 4, 6);
    const next = await relink(server, sockets, session);
    await until(() => room.state === "subscribed");
    publish(server, 7, 7);
    expect(next.asked[0]?.body["topics"]).toEqual([
      { topic: "", epoch: "e1", offset: 0 },
      { topic: "room", epoch: "e2", offset: 3 },
    ]);
    expect(texts(seen)).toEqual(numbers(1, 7));
    expect(gaps).toEqual([]);
    client.close();
  });

  it("what the server no longer has is told once", async () => {
    const { client, server, sockets, session, room, seen, gaps } = await live();
    publish(server, 1, 3);
    session.end();
    publish(server, 4, 9);
    server.forget("room", 8);
    const second = await relink(server, sockets, session);
    await until(() => seen.length === 5);
    expect(texts(seen)).toEqual([...numbers(1, 3), ...numbers(8, 9)]);
    expect(gaps).toEqual([{ missed: 4, from: 8, epoch: "e2" }]);
    await relink(server, sockets, second);
    await until(() => room.state === "subscribed");
    publish(server, 10, 10);
    expect(gaps).toHaveLength(1);
    client.close();
  });

  it("another epoch is a gap of unknown size, and all of it arrives", async () => {
    const { client, server, sockets, session, seen, gaps } = await live();
    publish(server, 1, 3);
    session.end();
    server.restart("room");
    publish(server, 1, 2);
    await relink(server, sockets, session);
    await until(() => seen.length === 5);
    expect(gaps).toEqual([{ missed: undefined, from: 1, epoch: "e3" }]);
    expect(seen.slice(3)).toMatchObject([
      { offset: 1, epoch: "e3" },
      { offset: 2, epoch: "e3" },
    ]);
    client.close();
  });

  it("a server that lost its newest gives their offsets again, and nothing is ignored", async () => {
    const { client, server, sockets, session, room, seen, gaps } = await live();
    publish(server, 1, 5);
    session.end();
    server.log("room").frames.length = 3;
    await relink(server, sockets, session);
    await until(() => room.state === "subscribed");
    server.publish("room", "new 4");
    expect(gaps).toEqual([{ missed: undefined, from: 4, epoch: "e2" }]);
    expect(seen.at(-1)).toMatchObject({ data: "new 4", offset: 4 });
    client.close();
  });

  it("who does not want to recover begins as it began first", async () => {
    const { client, server, sockets, session } = dial();
    publish(server, 1, 5);
    const { epoch } = server.log("room");
    const since = { epoch, offset: 4 };
    const { room, seen, gaps } = follow(client, { recover: false, since });
    await until(() => seen.length === 1);
    session.end();
    publish(server, 6, 9);
    await relink(server, sockets, session);
    await until(() => room.state === "subscribed");
    publish(server, 10, 10);
    expect(texts(seen)).toEqual(["5", "10"]);
    expect(gaps).toEqual([]);
    client.close();
  });

  it("a subscription whose connection died before it was open is made again", async () => {
    const server = new TopicServer();
    const { serve, hello } = overSockets(server);
    let passwords = 0;
    const listening = await startServer(
      (asked, peer) => {
        if (asked.method !== "in_A") serve(asked, peer);
        else if (++passwords === 2) peer.terminate();
        else peer.send({ ...asked, cmd: 2 });
      },
      { hello },
    );
    const client = open(listening, { password: "x" });
    const { room, seen } = follow(client);
    await room.ready;
    publish(server, 1, 1);
    await until(() => seen.length === 1);
    const back = becomes(room, "subscribed");
    (await listening.peer()).terminate();
    await back;
    publish(server, 2, 2);
    await until(() => seen.length === 2);
    expect(passwords).toBe(3);
  });
});

describe("pushes", () => {
  const push = (offset: bigint | number, text = "forged"): Frame => ({
    ...frame(3, "in_P", BigInt(offset), "", FLAG_OUTSIDE | 0x10),
    body: encodePublication({ topic: "room", data: encodeText(text), time: 0 }),
  });

  it("that come twice are delivered once", async () => {
    const { client, server, sockets, seen, session } = await live();
    publish(server, 1, 2);
    sockets.last.receive(push(1), push(2), push(0));
    publish(server, 3, 3);
    expect(texts(seen)).toEqual(numbers(1, 3));
    expect(asked(session)).toEqual(["arpc.hello"]);
    client.close();
  });

  it("with a hole make it subscribe again, once, since where it is", async () => {
    const { client, server, sockets, seen, gaps, session } = await live();
    publish(server, 1, 2);
    session.isLagging = true;
    publish(server, 3, 9);
    sockets.last.receive(push(5), push(6), push(7));
    session.isLagging = false;
    await until(() => seen.length === 9);
    expect(texts(seen)).toEqual(numbers(1, 9));
    expect(session.asked.slice(1)).toEqual([
      { method: "arpc.subscribe", body: { topic: "room", epoch: "e2", offset: 2 } },
    ]);
    expect(gaps).toEqual([]);
    client.close();
  });

  it("that never fit end with an error instead of asking for ever", async () => {
    const { client, sockets, room, session } = await live();
    const closed = becomes(room, "closed");
    let asks = 0;
    sockets.last.onsend = (sent) => {
      if (sent.method !== "arpc.subscribe") return;
      asks++;
      queueMicrotask(() => {
        session.receive(sent);
        sockets.last.receive(push(9));
      });
    };
    sockets.last.receive(push(9));
    expect(await closed).toMatchObject({ code: "data_loss" });
    expect(asks).toBe(8);
    client.close();
  });

  it.each([2n ** 53n, 2n ** 64n - 1n])("of offset %i mean nothing", async (offset) => {
    const { client, server, sockets, seen, session } = await live();
    sockets.last.receive(push(offset), {
      ...frame(3, "/notify", offset, "", FLAG_OUTSIDE),
    });
    publish(server, 1, 1);
    expect(texts(seen)).toEqual(["1"]);
    expect(asked(session)).toEqual(["arpc.hello"]);
    client.close();
  });

  it("to one subscriber are no part of the log", async () => {
    const { client, server, seen } = await live();
    publish(server, 1, 1);
    expect(await client.publish("room", "mine", { one: true })).toEqual({ epoch: "", offset: 0 });
    publish(server, 2, 2);
    expect(seen).toMatchObject([
      { offset: 1 },
      { data: "mine", offset: 0, epoch: "" },
      { offset: 2 },
    ]);
    client.close();
  });

  it("skipped for us are no gap, and move the position", async () => {
    const { client, server, room, seen, gaps, session } = await live({ echo: false });
    publish(server, 1, 1);
    await client.publish("room", "mine", { echo: false });
    expect(room.position.offset).toBe(2);
    publish(server, 3, 3);
    expect(texts(seen)).toEqual(["1", "3"]);
    expect(gaps).toEqual([]);
    expect(asked(session)).toEqual(["arpc.hello", "arpc.publish"]);
    client.close();
  });

  it("that a slow connection lost are a gap, told once", async () => {
    const { client, server, seen, gaps, session } = await live();
    publish(server, 1, 1);
    session.isLagging = true;
    publish(server, 2, 9);
    server.forget("room", 8);
    session.isLagging = false;
    publish(server, 10, 10);
    expect(gaps).toEqual([{ missed: 6, from: 8, epoch: "e2" }]);
    expect(texts(seen)).toEqual(["1", "8", "9", "10"]);
    client.close();
  });

  it("of a new epoch go on there", async () => {
    const { client, server, room, seen, gaps } = await live();
    publish(server, 1, 3);
    server.restart("room");
    publish(server, 1, 2);
    expect(gaps).toEqual([{ missed: undefined, from: 1, epoch: "e3" }]);
    expect(texts(seen)).toEqual(["1", "2", "3", "1", "2"]);
    expect(room.position).toEqual({ epoch: "e3", offset: 2 });
    client.close();
  });

  it("1,000 in one burst all arrive", async () => {
    const { client, server, seen, session, sockets } = await live();
    session.isLagging = true;
    publish(server, 1, 1000);
    sockets.last.receiveRaw(Buffer.concat(server.log("room").frames));
    await until(() => seen.length === 1000);
    expect(texts(seen)).toEqual(numbers(1, 1000));
    client.close();
  });
});

describe("the server", () => {
  it("ends a subscription, with its reason", async () => {
    const { client, session, errors } = dial();
    const room = client.subscribe("room");
    await room.ready;
    const closed = becomes(room, "closed");
    session.subscribers.delete("room");
    session.event("room", "ended", { code: "permission_denied", message: "banned" });
    expect(await closed).toMatchObject({ code: "permission_denied", message: "banned" });
    expect(errors).toHaveLength(1);
    await client.subscribe("room").ready;
    expect(asked(session)).toEqual(["arpc.hello", "arpc.subscribe"]);
    client.close();
  });

  it("subscribes the client, and the application takes it", async () => {
    const { client, server, session, sockets } = dial();
    const seen: Message[] = [];
    client.on("subscribed", (topic) => {
      client.subscribe(topic, (message) => void seen.push(message));
    });
    await until(() => client.state === "open");
    publish(server, 1, 3);
    session.join("room");
    publish(server, 4, 5);
    expect(texts(seen)).toEqual(["4", "5"]);
    expect(asked(session)).toEqual(["arpc.hello"]);
    session.end();
    publish(server, 6, 6);
    await relink(server, sockets, session);
    await until(() => seen.length === 3);
    expect(texts(seen)).toEqual(["4", "5", "6"]);
    client.close();
  });

  it("subscribes the client to what nobody wants, and it is left", async () => {
    const { client, session } = dial();
    await until(() => client.state === "open");
    session.join("room");
    await until(() => !session.subscribers.has("room"));
    expect(asked(session)).toEqual(["arpc.hello", "arpc.unsubscribe"]);
    client.close();
  });

  it("subscribes the client to what it has: nothing is told", async () => {
    const { client, server, session } = dial();
    const told = vi.fn();
    client.on("subscribed", told);
    const { room, seen } = follow(client);
    await room.ready;
    publish(server, 1, 1);
    session.event("room", "subscribed");
    publish(server, 2, 2);
    expect(texts(seen)).toEqual(["1", "2"]);
    expect(told).not.toHaveBeenCalled();
    client.close();
  });

  it("without topics is subscribed to as ever, and what was missed there is told", async () => {
    const { client, server, sockets, session, room, seen, gaps } = await live();
    publish(server, 1, 3);
    session.end();
    sockets.last.drop();
    await until(() => sockets.all.length === 2);
    sockets.last.open();
    const [hello] = sockets.last.sent.splice(0);
    sockets.last.receive({ ...hello!, cmd: 2, flag: 1, body: encodeText("method not found") });
    await until(() => sockets.last.sent.length === 1);
    const [subscribe] = sockets.last.sent;
    expect(subscribe?.method).toBe("in_S");
    sockets.last.receive({ ...subscribe!, cmd: 2, body: encodeText("") });
    await until(() => room.state === "subscribed");
    expect(gaps).toEqual([{ missed: undefined, from: 1, epoch: "" }]);
    sockets.last.receive(push0(7n), push0(7n));
    expect(seen.slice(3)).toMatchObject([
      { offset: 7, epoch: "" },
      { offset: 7, epoch: "" },
    ]);
    client.close();
  });

  const push0 = (seq: bigint): Frame => ({
    ...frame(3, "in_P", seq),
    body: encodePublication({ topic: "room", data: encodeText("base"), time: 0 }),
  });
});

describe("broadcasts", () => {
  it("are handled once, and those that are lost are told", async () => {
    const { client, server, sockets, session } = dial();
    const seen: unknown[] = [];
    const gaps: Gap[] = [];
    client.handle("/broadcast", ({ body }) => void seen.push(body));
    client.on("gap", (gap) => gaps.push(gap));
    await until(() => client.state === "open");
    const broadcast = (text: string): number => server.publish("", text);
    broadcast("1");
    sockets.last.receiveRaw(server.log("").frames[0]!);
    await until(() => seen.length === 1);
    session.end();
    broadcast("2");
    broadcast("3");
    const second = await relink(server, sockets, session);
    await until(() => seen.length === 3);
    second.end();
    for (const text of ["4", "5", "6"]) broadcast(text);
    server.forget("", 6);
    const third = await relink(server, sockets, second);
    await until(() => seen.length === 4);
    expect(seen).toEqual(["1", "2", "3", "6"]);
    expect(gaps).toEqual([{ missed: 2, from: 6, epoch: "e1" }]);
    third.event("", "skip", { offset: 7 });
    third.event("", "gap", { offset: 9 });
    const data = frame(3, "/broadcast", 12n, "12", FLAG_OUTSIDE);
    sockets.last.receive(data);
    await until(() => seen.length === 5);
    expect(gaps.slice(1)).toEqual([
      { missed: 2, from: 10, epoch: "e1" },
      { missed: 2, from: 12, epoch: "e1" },
    ]);
    client.close();
  });

  it("before the answer to hello are ignored: their place is not known", async () => {
    const sockets = fakeSockets();
    const client = connect("ws://fake/", { WebSocket: sockets.WebSocket });
    const seen: unknown[] = [];
    client.handle("/broadcast", ({ body }) => void seen.push(body));
    sockets.last.open();
    const push = (seq: bigint): Frame => frame(3, "/broadcast", seq, String(seq), FLAG_OUTSIDE);
    const [hello] = sockets.last.sent.splice(0);
    const topics = [{ epoch: "e", offset: 4, recovered: true }];
    sockets.last.receive(push(5n), helloAnswer(hello!, { caps: ["topics"], topics }), push(5n));
    await until(() => seen.length > 0);
    expect(seen).toEqual([5]);
    client.close();
  });

  it("cannot be subscribed", async () => {
    const { client, session } = dial();
    expect(() => client.subscribe("")).toThrow("topic of 0 bytes");
    await until(() => client.state === "open");
    expect(asked(session)).toEqual(["arpc.hello"]);
    client.close();
  });
});

describe("a hostile server", () => {
  it.each([
    ["nothing", {}],
    ["no epoch", { offset: 1 }],
    ["an empty epoch", { epoch: "", offset: 1 }],
    ["an offset below 0", { epoch: "e", offset: -1 }],
    ["half an offset", { epoch: "e", offset: 0.5 }],
    ["an offset over what is safe", { epoch: "e", offset: 2 ** 53 }],
    ["members that are none", { epoch: "e", offset: 1, members: {}, version: 1 }],
    ["a list", []],
  ])("that answers with %s ends the subscription", async (_, answer) => {
    const { client, server } = dial();
    server.authorize = (method) => {
      if (method === "arpc.hello") vi.spyOn(server, "log");
    };
    const session = [...server.sessions][0] as Session;
    const subscribe = session.subscribe.bind(session);
    session.subscribe = (body) =>
      (body["topic"] === "" ? subscribe(body) : (answer as object)) as never;
    const listed = client.subscribe("room");
    const wrong = { code: "data_loss" };
    await expect(listed.ready).rejects.toMatchObject(wrong);
    await expect(client.subscribe("room").ready).rejects.toMatchObject(wrong);
    expect(client.state).toBe("open");
    client.close();
  });

  it.each([
    undefined,
    null,
    7,
    "x",
    {},
    [],
    [null],
    [{ error: 1 }, { error: { message: { toString: 1, valueOf: 1 } } }],
  ])("that answers hello's topics with %j ends none of them wrongly", async (topics) => {
    const sockets = fakeSockets();
    const client: Client = connect("ws://fake/", { WebSocket: sockets.WebSocket });
    const errors = vi.fn();
    client.on("error", errors);
    const room = client.subscribe("room");
    sockets.last.agree({ caps: ["topics"], topics });
    await until(() => room.state === "closed" || sockets.last.sent.length > 0);
    if (room.state === "closed") {
      await expect(room.ready).rejects.toMatchObject({ name: "ArpcError", code: "unknown" });
    } else {
      expect(sockets.last.sent[0]?.method).toBe("arpc.subscribe");
    }
    client.close();
  });

  it("cannot do anything by events that make no sense", async () => {
    const { client, server, session, errors, room, seen } = await live({ presence: true });
    for (const body of [
      null,
      7,
      [],
      {},
      { topic: "room" },
      { topic: 7, event: "subscribed" },
      { topic: "", event: "subscribed", epoch: "e", offset: 1 },
      { topic: "x".repeat(300), event: "subscribed", epoch: "e", offset: 1 },
      { topic: "other", event: "ended" },
      { topic: "room", event: "of a later version", epoch: "x", offset: 9 },
      { topic: "other", event: "ended", message: { toString: 1, valueOf: 1 } },
      { topic: "room", event: "gap" },
      { topic: "room", event: "gap", epoch: "e2", offset: "9" },
      { topic: "room", event: "epoch", epoch: { toString: 1 }, offset: 9 },
      { topic: "room", event: "join", member: "x", version: 9 },
      { topic: "room", event: "join", member: { id: 1 }, version: 9 },
      { topic: "room", event: "leave", member: { id: "x" }, version: "9" },
      { topic: "room", event: "members", members: 1, version: 9 },
      { topic: "__proto__", event: "gap", epoch: "x", offset: 1 },
      { topic: "constructor", event: "ended" },
    ]) {
      session.raw("arpc.topic", body);
    }
    expect(room.members.map(({ id }) => id)).toEqual([session.id]);
    publish(server, 1, 2);
    expect(texts(seen)).toEqual(["1", "2"]);
    expect(({} as { polluted?: unknown }).polluted).toBeUndefined();
    expect(new Set(errors.map(({ code }) => code))).toEqual(new Set(["data_loss"]));
    client.close();
  });

  it("ends a subscription with an error whatever its text is", async () => {
    const { client, session } = dial();
    const room = client.subscribe("room");
    await room.ready;
    const ended = { topic: "room", event: "ended", code: "aborted" };
    session.raw("arpc.topic", { ...ended, message: { toString: 1, valueOf: 1 } });
    const [next] = await Promise.allSettled([room[Symbol.asyncIterator]().next()]);
    expect(next).toMatchObject({ reason: { code: "aborted", message: "ended", remote: true } });
    client.close();
  });
});
