/** Who is present: a snapshot and the events after it are one truth, whatever happens between. */

import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { type Client, connect, type Member, type Subscription } from "../src/index.ts";
import { type FakeSockets, fakeSockets, until } from "./helpers/fake-socket.ts";
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
  readonly room: Subscription;
  session(): Session;
}

async function dial(server = new TopicServer()): Promise<Dialed> {
  const sockets = fakeSockets();
  const backoff = { min: 0, random: () => 0 };
  const client = connect("ws://fake/", { WebSocket: sockets.WebSocket, backoff });
  let session: Session;
  const open = (): void => {
    const { last } = sockets;
    session = plug(server, last);
    last.open();
  };
  queueMicrotask(open);
  client.on("state", (state) => {
    if (state === "connecting") queueMicrotask(open);
  });
  const room = client.subscribe("room", () => {}, { presence: { info: { name: "we" } } });
  await room.ready;
  return { server, client, sockets, room, session: () => session };
}

const ids = (members: readonly Member[]): string[] => members.map(({ id }) => id).sort();
const member = (id: string): Member => ({ id, user: `user ${id}`, info: { a: 1 }, since: 5 });

describe("presence", () => {
  it("is known when the subscription is ready, ourselves included, without a join of each", async () => {
    const server = new TopicServer();
    server.present("room", "join", { ...member("ann") });
    const { client, room, session } = await dial(server);
    expect(room.members).toEqual([
      member("ann"),
      { id: session().id, info: { name: "we" }, since: 5 },
    ]);
    expect(session().asked[0]?.body["topics"]).toEqual([
      { topic: "" },
      {
        topic: "room",
        presence: true,
        member: expect.stringMatching(/^[0-9-]{16,64}$/) as unknown,
        info: { name: "we" },
      },
    ]);
    client.close();
  });

  it("changes with joins and leaves, which are told, and the list stays the same between", async () => {
    const { client, room, server } = await dial();
    const told: unknown[] = [];
    room.on("join", ({ id }) => told.push(`+${id}`));
    room.on("leave", ({ id }) => told.push(`-${id}`));
    room.on("members", (members) => told.push(members.length));
    const before = room.members;
    expect(room.members).toBe(before);
    server.present("room", "join", { ...member("ann") });
    expect(room.members).not.toBe(before);
    server.present("room", "join", { ...member("bob") });
    server.present("room", "leave", { ...member("ann") });
    expect(told).toEqual(["+ann", 2, "+bob", 3, "-ann", 2]);
    expect(room.members.at(-1)).toEqual(member("bob"));
    client.close();
  });

  it("ignores what its snapshot already says", async () => {
    const { client, room, session, server } = await dial();
    server.present("room", "join", { ...member("ann") });
    const { version } = server.log("room");
    session().event("room", "leave", { member: member("ann"), version });
    session().event("room", "leave", { member: member("ann"), version: version - 1 });
    session().event("room", "members", { members: [], version: version - 1 });
    expect(ids(room.members)).toContain("ann");
    session().event("room", "members", { members: [member("cleo")], version: version + 5 });
    expect(ids(room.members)).toEqual(["cleo"]);
    client.close();
  });

  it("is told over a reconnect as if it had been seen", async () => {
    const { client, room, server, sockets, session } = await dial();
    server.present("room", "join", { ...member("ann") });
    const told: string[] = [];
    room.on("join", ({ id }) => told.push(`+${id}`));
    room.on("leave", ({ id }) => told.push(`-${id}`));
    const before = session();
    before.end();
    server.present("room", "leave", { ...member("ann") });
    server.present("room", "join", { ...member("bob") });
    sockets.last.drop();
    await until(() => session() !== before && room.state === "subscribed");
    const [first, second] = [before, session()].map(({ asked }) => asked[0]?.body["topics"]);
    expect((first as Array<{ member?: string }>)[1]?.member).toBe(
      (second as Array<{ member?: string }>)[1]?.member,
    );
    expect(told.sort()).toEqual([`+${session().id}`, "+bob", "-ann", `-${before.id}`].sort());
    expect(ids(room.members)).toEqual(["bob", session().id].sort());
    client.close();
  });

  it("is forgotten when nobody asks for it any more", async () => {
    const { client, room, session } = await dial();
    const plain = client.subscribe("room", () => {});
    await room.unsubscribe();
    expect(plain.members).toEqual([]);
    expect(session().asked.at(-1)).toMatchObject({
      method: "arpc.subscribe",
      body: { topic: "room", offset: 0 },
    });
    client.close();
  });

  it("is refused to info that has no JSON, before anything is asked", async () => {
    const { client, session } = await dial();
    const subscribe = (): unknown => client.subscribe("x", { presence: { info: 1n } });
    expect(subscribe).toThrow(expect.objectContaining({ code: "invalid_argument" }) as Error);
    expect(session().asked).toHaveLength(1);
    client.close();
  });

  it("can be asked for alone", async () => {
    const { client, server } = await dial();
    server.present("lobby", "join", { ...member("ann") });
    expect(await client.presence("lobby")).toEqual({ members: [member("ann")], version: 1 });
    client.close();
  });

  it("converges, and so does who counts joins and leaves", async () => {
    const step = fc.oneof(
      fc.record({ event: fc.constantFrom("join" as const, "leave" as const), id: fc.nat(5) }),
      fc.record({ event: fc.constantFrom("cut" as const, "snapshot" as const), id: fc.nat(5) }),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 30 }), async (steps) => {
        const { client, room, server, sockets, session } = await dial();
        const counted = new Set(ids(room.members));
        room.on("join", ({ id }) => counted.add(id));
        room.on("leave", ({ id }) => counted.delete(id));
        const log = server.log("room");
        for (const { event, id } of steps) {
          if (event === "cut") {
            const before = session();
            before.end();
            server.present("room", "join", { ...member(String(id)) });
            sockets.last.drop();
            await until(() => session() !== before && room.state === "subscribed");
          } else if (event === "snapshot") {
            const { version, members } = log;
            session().event("room", "members", { members: [...members.values()], version });
          } else {
            server.present("room", event, { ...member(String(id)) });
          }
        }
        expect(ids(room.members)).toEqual([...log.members.keys()].sort());
        expect([...counted].sort()).toEqual(ids(room.members));
        client.close();
      }),
      { numRuns: 100 },
    );
  });
});
