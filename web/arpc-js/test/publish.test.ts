/** Publishing to topics that are logs, and reading what they hold. */

import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { type ArpcError, type Client, connect, type Message } from "../src/index.ts";
import { decodePublication, decodeWithOptions, encodeWithOptions } from "../src/publication.ts";
import { decodeText, encodeText } from "../src/wire.ts";
import { type FakeSockets, fakeSockets, until } from "./helpers/fake-socket.ts";
import { failure, response } from "./helpers/server.ts";
import { plug, type Session, TopicServer } from "./helpers/topic-server.ts";

// Time stands still: what arrives is handled at once, however slow the machine is.
beforeEach(() => {
  vi.useFakeTimers({ toFake: ["performance"] });
});
afterEach(() => {
  vi.useRealTimers();
});

interface Dialed {
  readonly server: TopicServer;
  readonly client: Client;
  readonly sockets: FakeSockets;
  readonly session: Session;
  readonly errors: ArpcError[];
}

function dial(): Dialed {
  const server = new TopicServer();
  const sockets = fakeSockets();
  const client = connect("ws://fake/", { WebSocket: sockets.WebSocket, backoff: { max: 0 } });
  const errors: ArpcError[] = [];
  client.on("error", (error) => errors.push(error));
  const session = plug(server, sockets.last);
  queueMicrotask(() => sockets.last.open());
  return { server, client, sockets, session, errors };
}

describe("publish", () => {
  it("resolves with the place in the log, also of what waited for the connection", async () => {
    const { client, server, session } = dial();
    const { epoch } = server.log("room");
    const all = ["a", { b: 1 }, Uint8Array.of(7), undefined];
    const places = await Promise.all(all.map((data) => client.publish("room", data)));
    expect(places).toEqual([1, 2, 3, 4].map((offset) => ({ epoch, offset })));
    expect(session.asked.slice(1)).toEqual(
      all.map(() => ({ method: "arpc.publish", body: { topic: "room" } })),
    );
    const { messages } = await client.history("room");
    expect(messages.map(({ data }) => data)).toEqual(all);
    client.close();
  });

  it("with a key can be repeated, and lands once", async () => {
    const { client, server, sockets } = dial();
    await client.publish("room", 1, { key: "k" });
    sockets.last.onsend = () => {};
    const lost = client.publish("room", 2, { key: "x" });
    const failed = expect(lost).rejects.toMatchObject({ code: "unavailable", sent: true });
    await until(() => client.state === "open");
    sockets.last.drop();
    await failed;
    server.append("room", encodeText("2"), 0x30);
    server.log("room").keys.set("x", 2);
    await until(() => sockets.all.length === 2);
    plug(server, sockets.last);
    sockets.last.open();
    expect(await client.publish("room", 2, { key: "x" })).toMatchObject({ offset: 2 });
    expect(await client.publish("room", 1, { key: "k" })).toMatchObject({ offset: 1 });
    expect(server.log("room").newest).toBe(2);
    client.close();
  });

  it("says what the options ask for", async () => {
    const { client, session } = dial();
    await client.publish("room", 1, { key: "k", echo: false, timeout: 1000 });
    expect(session.asked[1]?.body).toEqual({ topic: "room", key: "k", echo: false });
    client.close();
  });

  it.each([
    [{}, "in_P"],
    [{ one: true, key: "k" }, "in_P1"],
  ])("to a base server with %j is %s, without a place", async (options, route) => {
    const { client, sockets } = dial();
    sockets.last.onsend = undefined;
    const data = Uint8Array.of(1, 2);
    const published = client.publish("röom", data, options);
    // What it was when it was published counts.
    data.fill(9);
    await until(() => sockets.last.sent.length === 1);
    sockets.last.receive(failure(sockets.last.sent[0]!, "method not found"));
    const sent = sockets.last.sent[1]!;
    expect(sent).toMatchObject({ method: route, cmd: 1, flag: 0 });
    expect(decodePublication(sent.body)).toMatchObject({
      topic: "röom",
      data: Uint8Array.of(1, 2),
    });
    sockets.last.receive(response(sent, ""));
    expect(await published).toEqual({ epoch: "", offset: 0 });
    client.close();
  });

  it.each(["", "x".repeat(256)])("refuses a topic that is none", async (topic) => {
    const { client, session } = dial();
    const invalid = { code: "invalid_argument", sent: false };
    await expect(client.publish(topic, 1)).rejects.toMatchObject(invalid);
    await expect(client.publish("room", 1, { key: "k".repeat(65_536) })).rejects.toMatchObject(
      invalid,
    );
    await until(() => session.asked.length === 1);
    expect(session.asked).toHaveLength(1);
    client.close();
  });

  it.each(["", "{}", "[]", '{"epoch":"e","offset":-1}', '{"epoch":1,"offset":1}'])(
    "rejects an answer of %j",
    async (body) => {
      const { client, sockets } = dial();
      const published = client.publish("room", 1);
      const failed = expect(published).rejects.toMatchObject({ code: "data_loss" });
      sockets.last.onsend = undefined;
      await until(() => sockets.last.sent.length === 1);
      sockets.last.agree({ caps: ["topics"] });
      const [asked] = sockets.last.sent.filter(({ method }) => method === "arpc.publish");
      sockets.last.receive(response(asked!, body));
      await failed;
      client.close();
    },
  );
});

describe("history", () => {
  it("is read in pages, forward and back", async () => {
    const { client, server } = dial();
    for (let i = 1; i <= 10; i++) server.publish("room", String(i));
    server.forget("room", 3);
    const { epoch } = server.log("room");
    const offsets = (messages: readonly Message[]): number[] =>
      messages.map(({ offset }) => offset);
    const newest = await client.history("room", { limit: 3 });
    expect(newest).toMatchObject({ epoch, from: 3, last: 10, more: true });
    expect(offsets(newest.messages)).toEqual([8, 9, 10]);
    expect(newest.messages[0]).toEqual({ topic: "room", epoch, offset: 8, time: 1234, data: "8" });
    const before = await client.history("room", { before: 8 });
    expect([offsets(before.messages), before.more]).toEqual([[3, 4, 5, 6, 7], false]);
    const after = await client.history("room", { after: 4, limit: 2 });
    expect([offsets(after.messages), after.more]).toEqual([[5, 6], true]);
    client.close();
  });

  it("of a topic without publications is empty", async () => {
    const { client } = dial();
    expect(await client.history("new")).toMatchObject({
      from: 0,
      last: 0,
      more: false,
      messages: [],
    });
    client.close();
  });

  it("leaves out what nobody can read, and tells it", async () => {
    const { client, server, errors } = dial();
    server.append("room", encodeText("{"), 0x30);
    server.append("room", encodeText("12"), 0);
    const { messages } = await client.history("room", { as: "text" });
    expect(messages).toMatchObject([{ offset: 2, data: "12" }]);
    expect(errors).toMatchObject([{ code: "invalid_argument" }]);
    client.close();
  });

  const options = encodeWithOptions(new Uint8Array(), { epoch: "e", last: 1 });
  it.each([
    ["nothing", new Uint8Array()],
    ["a byte", Uint8Array.of(1)],
    ["a length over its own", Uint8Array.of(0xff, 0xff)],
    ["options that are none", encodeWithOptions(new Uint8Array(), [])],
    ["no last", encodeWithOptions(new Uint8Array(), { epoch: "e" })],
    [
      "a frame that is none",
      encodeWithOptions(new Uint8Array(16).fill(0xff), { epoch: "e", last: 1 }),
    ],
    ["half a frame", Uint8Array.from([1, 2, 3, ...options])],
  ])("rejects an answer of %s", async (_, body) => {
    const { client, sockets } = dial();
    await until(() => client.state === "open");
    sockets.last.onsend = undefined;
    const history = client.history("room");
    const failed = expect(history).rejects.toMatchObject({ code: "data_loss" });
    await until(() => sockets.last.sent.length === 1);
    sockets.last.receive(response(sockets.last.sent[0]!, body));
    await failed;
    client.close();
  });

  it("is unknown to a base server", async () => {
    const { client, sockets } = dial();
    await until(() => client.state === "open");
    sockets.last.onsend = undefined;
    const history = client.history("room");
    const failed = expect(history).rejects.toMatchObject({ code: "not_found" });
    await until(() => sockets.last.sent.length === 1);
    sockets.last.receive(failure(sockets.last.sent[0]!, "method not found"));
    await failed;
    client.close();
  });
});

it("data with options is both again", () => {
  const data = encodeText("data");
  const [view, options] = decodeWithOptions(encodeWithOptions(data, { topic: "é".repeat(300) }));
  expect([decodeText(view), options]).toEqual(["data", { topic: "é".repeat(300) }]);
});
