/** Two ends that talk over a network that moves, stops and breaks anywhere, and a model of them. */

import fc from "fast-check";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { connect } from "../src/index.ts";
import { decodeText } from "../src/wire.ts";
import { notify, request, response } from "./helpers/server.ts";
import { SessionServer } from "./helpers/session-server.ts";

const STEPS = process.env["ARPC_SLOW"] ? 100_000 : 10_000;
const STEPS_PER_RUN = 200;

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "performance"] });
});
afterEach(() => {
  vi.useRealTimers();
});

/** A client and a server, what each was told to send, and what the other saw of it. */
function world() {
  const server = new SessionServer();
  server.isManual = true;
  const sent = { client: [] as string[], server: [] as string[] };
  const seen = { client: [] as string[], server: [] as string[] };
  const replies: string[] = [];
  const lost = vi.fn();
  let next = 0;
  server.serve = (frame, session) => {
    const text = decodeText(frame.body);
    seen.server.push(text);
    if (frame.cmd === 1) session.send(response(frame, `"re ${text}"`));
  };
  const client = connect("ws://fake/", {
    WebSocket: server.WebSocket,
    backoff: { min: 1, max: 1, random: () => 1 },
    pingTimeout: 1e9,
    // Who hears nothing for long is no base server.
    hello: "require",
  });
  client.on("lost", lost);
  // A session whose first answer is lost never was one.
  let hasBegun = false;
  client.on("state", (state) => {
    hasBegun ||= state === "open";
  });
  client.handleNotFound(({ body }) => {
    seen.client.push(String(body));
    return `answer ${body}`;
  });
  return {
    server,
    client,
    sent,
    seen,
    replies,
    lost,
    tell(): void {
      sent.client.push(`n${next}`);
      client.notify("/n", `n${next++}`);
    },
    ask(): void {
      const text = `c${next++}`;
      sent.client.push(text);
      void client.call<string>("/c", text, { timeout: 0 }).then(
        (reply) => replies.push(String(reply)),
        () => {},
      );
    },
    told(): void {
      if (!hasBegun) return;
      sent.server.push(`N${next}`);
      server.session.send(notify("/n", `N${next++}`, 0x10));
    },
    asked(): void {
      if (!hasBegun) return;
      sent.server.push(`C${next}`);
      server.session.send(request("/c", BigInt(++next), sent.server.at(-1), 0x10));
    },
  };
}

type World = ReturnType<typeof world>;

/** What can happen, and how often. */
const steps: Array<[weight: number, (world: World, n: number) => void]> = [
  [3, (world) => world.tell()],
  [2, (world) => world.ask()],
  [3, (world) => world.told()],
  [2, (world) => world.asked()],
  [6, ({ server }) => server.line.open()],
  [8, ({ server }, n) => repeat(1 + (n % 4), () => server.line.flow("up"))],
  [8, ({ server }, n) => repeat(1 + (n % 4), () => server.line.flow("down"))],
  // What comes next breaks somewhere, or whole.
  [2, ({ server }, n) => server.line.limit(n % 2 ? "up" : "down", n % 500)],
  [1, ({ server }) => server.line.cut()],
  [8, ({ server }) => server.line.tell()],
  // Chance alone seldom gets a hello answered.
  [
    4,
    ({ server: { line } }) => {
      line.open();
      line.flow("up");
      line.flow("down");
    },
  ],
  [6, (_, n) => vi.advanceTimersByTime(n % 700)],
];
const often = steps.flatMap(([weight, step]) => Array.from({ length: weight }, () => step));

function repeat(times: number, work: () => void): void {
  for (let i = 0; i < times; i++) work();
}

/** What is in the microtasks is done. */
async function settle(): Promise<void> {
  for (let i = 0; i < 8; i++) await null;
}

/** All that is under way arrives. */
async function heal({ server }: World): Promise<void> {
  server.line.cut();
  for (let i = 0; i < 60; i++) {
    server.line.tell();
    vi.advanceTimersByTime(100);
    server.line.open();
    await settle();
    for (let messages = 0; messages < 20; messages++) {
      server.line.flow("up");
      server.line.flow("down");
      await settle();
    }
  }
}

it(`${STEPS} steps: all that was said is heard, once and in order`, async () => {
  const step = fc.tuple(fc.nat(often.length - 1), fc.nat(10_000));
  const run = fc.array(step, { minLength: STEPS_PER_RUN, maxLength: STEPS_PER_RUN });
  let resumed = 0;
  const property = fc.asyncProperty(run, async (chosen) => {
    // Of a run that failed.
    vi.clearAllTimers();
    const it = world();
    const { client, server, sent, seen, replies, lost } = it;
    client.on("resumed", () => resumed++);
    for (const [kind, n] of chosen) {
      often[kind]?.(it, n);
      await settle();
      expect(seen.server.filter((text) => text.startsWith("n"))).toEqual(
        sent.client.filter((text) => text.startsWith("n")).slice(0, count(seen.server, "n")),
      );
      expect(seen.client).toEqual(sent.server.slice(0, seen.client.length));
    }
    await heal(it);
    // A call that waited for its connection may be behind a notify that did not.
    expect(notAnswers(seen.server).sort()).toEqual([...sent.client].sort());
    expect(seen.client).toEqual(sent.server);
    expect(seen.server.filter((text) => text.startsWith("answer ")).sort()).toEqual(
      sent.server
        .filter((text) => text.startsWith("C"))
        .map((text) => `answer ${text}`)
        .sort(),
    );
    expect([...replies].sort()).toEqual(
      sent.client
        .filter((text) => text.startsWith("c"))
        .map((text) => `re ${text}`)
        .sort(),
    );
    expect(lost).not.toHaveBeenCalled();
    // Nothing is held for nothing.
    expect(server.session.journal).toEqual([]);
    client.close();
    expect(vi.getTimerCount()).toBe(0);
  });
  await fc.assert(property, { numRuns: STEPS / STEPS_PER_RUN });
  expect(resumed).toBeGreaterThan(STEPS / 200);
});

function count(of: readonly string[], first: string): number {
  return of.filter((text) => text.startsWith(first)).length;
}

function notAnswers(of: readonly string[]): string[] {
  return of.filter((text) => !text.startsWith("answer "));
}
