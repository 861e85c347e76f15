/** Whatever happens to the connection: nothing lost, nothing twice, and every gap told once. */

import fc from "fast-check";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { connect, type Gap, type Message, type Subscription } from "../src/index.ts";
import { type FakeSockets, fakeSockets, until } from "./helpers/fake-socket.ts";
import { plug, type Session, TopicServer } from "./helpers/topic-server.ts";

// Time stands still: what arrives is handled at once, however slow the machine is.
beforeEach(() => {
  vi.useFakeTimers({ toFake: ["performance"] });
});
afterEach(() => {
  vi.useRealTimers();
});

/** A client that reconnects at once, to a server that waits for it. */
function dial(server: TopicServer, sockets: FakeSockets, cut = Infinity) {
  const backoff = { min: 0, random: () => 0 };
  const client = connect("ws://fake/", { WebSocket: sockets.WebSocket, backoff });
  const errors: unknown[] = [];
  client.on("error", (error) => errors.push(error));
  let session = plug(server, sockets.last, cut);
  const first = sockets.last;
  queueMicrotask(() => first.open());
  client.on("state", (state) => {
    if (state !== "connecting") return;
    queueMicrotask(() => {
      const { last } = sockets;
      session = plug(server, last);
      last.open();
    });
  });
  return { client, errors, session: () => session };
}

it("a connection cut at any byte of a session loses and doubles nothing", async () => {
  const numbers = Array.from({ length: 30 }, (_, i) => String(i + 1));
  let isCut = true;
  for (let cut = 1; isCut; cut++) {
    const server = new TopicServer();
    const publish = (from: number, to: number): void => {
      for (const text of numbers.slice(from, to)) server.publish("room", text);
    };
    publish(0, 10);
    const sockets = fakeSockets();
    const { client, errors } = dial(server, sockets, cut);
    const seen: Message[] = [];
    const { epoch } = server.log("room");
    const since = { epoch, offset: 0 };
    const room = client.subscribe("room", (message) => void seen.push(message), { since });
    const gaps: Gap[] = [];
    room.on("gap", (gap) => gaps.push(gap));
    await until(() => room.state === "subscribed" || sockets.all.length > 1);
    publish(10, 20);
    await until(() => room.state === "subscribed" && client.state === "open");
    publish(20, 30);
    await until(() => seen.length >= 30 && client.state === "open");
    isCut = sockets.all.length > 1;
    client.close();
    expect(seen.map(({ data }) => data)).toEqual(numbers);
    expect([gaps, errors]).toEqual([[], []]);
  }
}, 60_000);

/** What can happen; the numbers are chosen by fast-check. */
type Step =
  | { do: "publish" | "forget" | "lose" | "repeat" | "hole"; count: number }
  | { do: "cut" | "lag" | "resume" | "restart" };

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 6, arbitrary: fc.record({ do: fc.constant("publish" as const), count: fc.nat(5) }) },
  fc.record({
    do: fc.constantFrom("forget" as const, "lose" as const, "repeat" as const, "hole" as const),
    count: fc.nat(5),
  }),
  fc.record({ do: fc.constantFrom("cut", "lag", "resume", "restart") }),
);

/** What each publication of each epoch was, so that none can pass for another. */
class Truth {
  readonly server = new TopicServer();
  readonly #texts = new Map<string, string[]>();
  /** Epochs of which the newest were lost: their offsets mean more than one text. */
  readonly forked = new Set<string>();
  #count = 0;

  publish(): void {
    const { epoch } = this.server.log("room");
    const text = `text ${this.#count++}`;
    const offset = this.server.log("room").newest + 1;
    const key = `${epoch}/${offset}`;
    this.#texts.set(key, [...(this.#texts.get(key) ?? []), text]);
    this.server.publish("room", text);
  }

  isText({ epoch, offset, data }: Message): boolean {
    return this.#texts.get(`${epoch}/${offset}`)?.includes(String(data)) ?? false;
  }
}

/** Does a step; those of the server's end happen at once. */
async function act(
  what: Step,
  truth: Truth,
  sockets: FakeSockets,
  session: () => Session,
  room: Subscription,
): Promise<void> {
  const { server } = truth;
  const log = server.log("room");
  const frames = log.frames.slice(log.oldest - 1);
  switch (what.do) {
    case "publish":
      for (let i = 0; i < what.count; i++) truth.publish();
      break;
    case "forget":
      server.forget("room", Math.min(log.oldest + what.count, log.newest + 1));
      break;
    case "repeat":
      for (const frame of frames.slice(0, what.count)) sockets.last.receiveRaw(frame);
      break;
    case "hole":
      for (const frame of frames.slice(-what.count)) sockets.last.receiveRaw(frame);
      break;
    case "lose":
      // Only where the client is away: a server that restarts does not keep its connections.
      if (what.count === 0 || log.newest - what.count < log.oldest) break;
      truth.forked.add(log.epoch);
      await cut(sockets, session, room, () => {
        log.frames.length -= what.count;
        log.publishers.length -= what.count;
      });
      break;
    case "cut":
      await cut(sockets, session, room, () => truth.publish());
      break;
    case "lag":
    case "resume":
      session().isLagging = what.do === "lag";
      session().flush();
      break;
    case "restart":
      server.restart("room");
      break;
  }
}

async function cut(
  sockets: FakeSockets,
  session: () => Session,
  room: Subscription,
  meanwhile: () => void,
): Promise<void> {
  const before = session();
  before.end();
  sockets.last.drop();
  meanwhile();
  await until(() => session() !== before && room.state === "subscribed");
}

it("a subscription tells of every publication, or of the gap it is in", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
      const truth = new Truth();
      const sockets = fakeSockets();
      const { client, errors, session } = dial(truth.server, sockets);
      const told: Array<Message | Gap> = [];
      const room = client.subscribe("room", (message) => void told.push(message));
      room.on("gap", (gap) => told.push(gap));
      await room.ready;
      let place = room.position;
      for (const what of steps) await act(what, truth, sockets, session, room);
      session().isLagging = false;
      truth.publish();
      const log = truth.server.log("room");
      await until(() => room.position.epoch === log.epoch && room.position.offset === log.newest);
      client.close();

      for (const one of told) {
        if ("from" in one) {
          if (one.missed === undefined) {
            expect(one.epoch !== place.epoch || truth.forked.has(one.epoch)).toBe(true);
          } else {
            expect([one.epoch, one.from - one.missed - 1]).toEqual([place.epoch, place.offset]);
            expect(one.missed).toBeGreaterThan(0);
          }
          place = { epoch: one.epoch, offset: one.from - 1 };
        } else {
          expect([one.epoch, one.offset]).toEqual([place.epoch, place.offset + 1]);
          expect(truth.isText(one)).toBe(true);
          place = { epoch: one.epoch, offset: one.offset };
        }
      }
      expect(place).toEqual({ epoch: log.epoch, offset: log.newest });
      expect(errors).toEqual([]);
    }),
    { numRuns: 200 },
  );
}, 60_000);
