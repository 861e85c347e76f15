/** What compiles and what must not. tsc reads this file, nothing runs it. */

import {
  type Client,
  connect,
  type Gap,
  type History,
  isArpcError,
  type Member,
  type Message,
  type Position,
  type Presence,
} from "../src/index.ts";

type Equal<A, B> =
  (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
function is<_ extends true>(): void {}

interface Say {
  text: string;
}

interface Api {
  calls: {
    "/say": { request: Say; reply: { id: number } };
    "/now": { request: undefined; reply: number };
  };
  notifies: { "/typing": { room: string }; "/ping": undefined };
  handles: {
    "/sum": { request: number[]; reply: number };
    "/note": { request: string; reply: undefined };
  };
  topics: { news: string; [room: `room:${string}`]: Say };
}

const client = connect<Api>("wss://example.org/ws");

// Calls
const said = client.call("/say", { text: "hi" }, { timeout: 1, signal: AbortSignal.abort() });
is<Equal<typeof said, Promise<{ id: number }>>>();
const now = client.call("/now");
is<Equal<typeof now, Promise<number>>>();
void client.call("/now", undefined, { as: "text" });
// @ts-expect-error the request is missing
void client.call("/say");
// @ts-expect-error the request has another type
void client.call("/say", "hi");
// @ts-expect-error there is no such method
void client.call("/none");
// @ts-expect-error there is no such option
void client.call("/now", undefined, { timeOut: 1 });

// Notifies
const result = client.notify("/typing", { room: "a" });
is<Equal<typeof result, "sent" | "queued" | "dropped">>();
client.notify("/ping");
// @ts-expect-error the body has another type
client.notify("/typing", "a");
// @ts-expect-error a call is no notify
client.notify("/say", { text: "hi" });

// Handles
const undo = client.handle("/sum", (ctx) => {
  is<Equal<typeof ctx.body, number[]>>();
  return ctx.body.length;
});
is<Equal<typeof undo, () => void>>();
client.handle("/sum", async ({ body }) => body.length);
client.handle("/note", ({ body }) => {
  is<Equal<typeof body, string>>();
});
// @ts-expect-error the reply has another type
client.handle("/sum", () => "text");
// @ts-expect-error there is no such method
client.handle("/none", () => 1);

// Topics
const news = client.subscribe("news", (message) => {
  is<Equal<typeof message, Message<string>>>();
});
is<Equal<typeof news.ready, Promise<void>>>();
const room = client.subscribe("room:42", { as: "json", buffer: 1 });
for await (const message of room) is<Equal<typeof message.data, Say>>();
void client.publish("news", "text");
void client.publish("room:1", { text: "hi" }, { timeout: 1 });
const place = await client.publish("news", "text", { key: "k", echo: false, one: true });
is<Equal<typeof place, Position>>();
client.subscribe("news", { since: place, policy: "latest", presence: { info: 1 }, recover: false });
client.subscribe("news", () => {}, { since: undefined, last: 9, presence: true, echo: false });
is<Equal<typeof news.position, Position>>();
is<Equal<typeof news.members, readonly Member[]>>();
news.on("gap", (gap) => is<Equal<typeof gap, Gap>>());
news.on("join", (member) => is<Equal<typeof member, Member>>());
news.on("members", (members) => is<Equal<typeof members, readonly Member[]>>());
client.on("gap", ({ missed, from }) =>
  is<Equal<[typeof missed, typeof from], [number | undefined, number]>>(),
);
client.on("subscribed", (topic) => is<Equal<typeof topic, string>>());
const past = await client.history("room:1", { before: 9, limit: 1, as: "json", timeout: 1 });
is<Equal<typeof past, History<Say>>>();
is<Equal<(typeof past.messages)[number], Message<Say>>>();
const present = await client.presence("news", { timeout: 1 });
is<Equal<typeof present, Presence>>();
// @ts-expect-error there is no such policy
client.subscribe("news", { policy: "newest" });
// @ts-expect-error a position is an epoch and an offset
client.subscribe("news", { since: 7 });
// @ts-expect-error there is no such topic
void client.history("none");
// @ts-expect-error the position is not for the application to set
news.position = place;
// @ts-expect-error the data has another type
void client.publish("news", 1);
// @ts-expect-error there is no such topic
client.subscribe("none");

// Without an Api all is unknown, and never any
const untyped = connect("wss://example.org/ws");
const reply = untyped.call("/anything", { any: "thing" });
is<Equal<typeof reply, Promise<unknown>>>();
void untyped.call("/anything");
untyped.notify("/anything", 1);
untyped.notify("/anything");
untyped.handle("/anything", (ctx) => {
  is<Equal<typeof ctx.body, unknown>>();
  return ctx.body;
});
untyped.subscribe("anything", (message) => {
  is<Equal<typeof message.data, unknown>>();
});
void untyped.publish("anything", 1);

// Options
connect("wss://example.org/ws", { token: "secret", hello: "require" });
connect("wss://example.org/ws", { token: () => "secret" });
connect("wss://example.org/ws", { token: async () => "secret", hello: "never" });
// @ts-expect-error a token is a text
connect("wss://example.org/ws", { token: () => 1 });
// @ts-expect-error there is no such mode
connect("wss://example.org/ws", { hello: "always" });

// An Api may say less than all
const partial = connect<{ topics: { news: string } }>("wss://example.org/ws");
const any = partial.call("/anything", 1);
is<Equal<typeof any, Promise<unknown>>>();
// @ts-expect-error there is no such topic
void partial.publish("none", 1);

// The rest
untyped.use(async (ctx, next) => {
  is<Equal<typeof ctx.body, unknown>>();
  await next();
});
untyped.on("state", (state, { error, delay }) => {
  is<Equal<typeof state, "connecting" | "open" | "waiting" | "closed">>();
  is<Equal<typeof delay, number | undefined>>();
  is<Equal<typeof error, import("../src/index.ts").ArpcError | undefined>>();
});
// @ts-expect-error there is no such event
untyped.on("close", () => {});
const caught: unknown = undefined;
if (isArpcError(caught)) is<Equal<typeof caught.sent, boolean>>();
const held: Client<Api> = client;
held.close();
// @ts-expect-error clients are made by connect
new (Object.getPrototypeOf(client).constructor as typeof Client)();
