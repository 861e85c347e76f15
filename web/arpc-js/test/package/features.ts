// What a user may write: each feature once, against the chat demo. It is compiled by the users'
// compilers, and run. usage: node features.js URL; it prints what it has seen to work.
import process from "node:process";
import {
  ArpcError,
  type Client,
  type Codec,
  type Coder,
  connect,
  type Gap,
  type History,
  isArpcError,
  type Member,
  type Message,
  type Position,
} from "arpc-js";
import { type Client as CoreClient, connect as connectCore } from "arpc-js/core";
import { WebSocket } from "ws";

interface Note {
  readonly text: string;
}
interface Api {
  calls: {
    "/echo": { request: Note | string | Uint8Array | bigint | undefined; reply: unknown };
    "/hello": { request: string; reply: string };
    "/call-back": { request: string; reply: string };
    "/sleep": { request: number; reply: number };
    "/none": { request: undefined; reply: undefined };
  };
  notifies: { "/echo": Note };
  handles: {
    "/name": { request: undefined; reply: string };
    "/refuse": { request: undefined; reply: string };
  };
  topics: { [notes: `notes:${string}`]: Note; count: number };
}

const [url = ""] = process.argv.slice(2);
const backoff = { min: 1, max: 20 };
const notes = `notes:${crypto.randomUUID()}` as const;
const seen: string[] = [];

function check(what: string, got: unknown, wanted: unknown): void {
  const [is, be] = [JSON.stringify(got), JSON.stringify(wanted)];
  if (is !== be) throw new Error(`${what}: ${is}, not ${be}`);
}

async function failure(of: Promise<unknown>): Promise<ArpcError> {
  const error: unknown = await of.then(
    () => undefined,
    (error: unknown) => error,
  );
  if (!isArpcError(error)) throw new Error(`no ArpcError: ${String(error)}`);
  return error;
}

async function calls(client: Client<Api>): Promise<void> {
  const hello: string = await client.call("/hello", "Ada");
  check("call", hello, "hello, Ada");
  for (const body of [{ text: "x" }, "123", "", undefined]) {
    check("echo", await client.call("/echo", body), body);
  }
  const bytes = await client.call("/echo", new Uint8Array([0, 255]));
  check("bytes", [bytes instanceof Uint8Array, ...(bytes as Uint8Array)], [true, 0, 255]);
  check("notify", client.notify("/echo", { text: "x" }), "sent");
  const { code, remote } = await failure(client.call("/none"));
  check("error", [code, remote], ["not_found", true]);
}

async function cancels(client: Client<Api>): Promise<void> {
  const controller = new AbortController();
  const sleeping = failure(client.call("/sleep", 5_000, { signal: controller.signal }));
  controller.abort();
  check("signal", (await sleeping).code, "canceled");
  const late = await failure(client.call("/sleep", 5_000, { timeout: 20 }));
  check("timeout", [late.code, late.sent], ["deadline_exceeded", true]);
}

async function handlers(client: Client<Api>): Promise<void> {
  const order: string[] = [];
  client.use(async (ctx, next) => {
    order.push(`before ${ctx.method}`);
    await next();
    order.push(`after ${String(ctx.reply)}`);
  });
  client.handle("/name", () => "Ada");
  client.handle("/refuse", () => {
    throw new ArpcError("permission_denied", "not now", { data: { until: 9 } });
  });
  client.handleNotFound((ctx) => `nobody handles ${ctx.method}`);
  check("handler", await client.call("/call-back", "/name"), "Ada");
  check("middleware", order, ["before /name", "after Ada"]);
  const { code, message, data } = await failure(client.call("/call-back", "/refuse"));
  check("refusal", [code, message, data], ["permission_denied", "not now", { until: 9 }]);
  check("not found", await client.call("/call-back", "/what"), "nobody handles /what");
}

async function streams(client: Client<Api>): Promise<void> {
  const stream = client.stream<string, string>("/echo");
  await stream.send("a");
  await stream.end("b");
  const texts: string[] = [];
  for await (const text of stream) texts.push(text);
  check("iterated", texts, ["a", "b"]);

  const piped: string[] = [];
  const web = client.stream<string, string>("/echo");
  const source = new ReadableStream<string>({
    start(controller) {
      for (const text of ["c", "d", "e"]) controller.enqueue(text);
      controller.close();
    },
  });
  const sink = new WritableStream<string>({ write: (text) => void piped.push(text) });
  await Promise.all([source.pipeTo(web.writable), web.readable.pipeTo(sink)]);
  check("piped", piped, ["c", "d", "e"]);

  const left = client.stream<string, string>("/echo");
  await left.send("once");
  for await (const _ of left) break;
  check("left", (await failure(left.send("more"))).code, "canceled");
}

/** Sockets that can be cut. */
class Cut extends WebSocket {
  static readonly open: Cut[] = [];
  constructor(address: string) {
    super(address);
    Cut.open.push(this);
  }
  static all(): void {
    for (const socket of Cut.open.splice(0)) socket.terminate();
  }
}

async function topics(client: Client<Api>): Promise<void> {
  const reader = connect<Api>(url, { WebSocket: Cut, backoff });
  const texts: string[] = [];
  const gaps: Gap[] = [];
  let heard: () => void = () => {};
  const take = ({ data }: Message<Note>): void => {
    texts.push(data.text);
    heard();
  };
  const until = (count: number): Promise<void> =>
    new Promise((resolve) => {
      heard = () => texts.length >= count && resolve();
      heard();
    });
  const room = reader.subscribe(notes, take);
  room.on("gap", (gap) => gaps.push(gap));
  await room.ready;
  const first: Position = await client.publish(notes, { text: "0" }, { key: "k" });
  check("key", await client.publish(notes, { text: "again" }, { key: "k" }), first);
  await until(1);
  Cut.all();
  for (let i = 1; i < 20; i++) await client.publish(notes, { text: `${i}` });
  await until(20);
  check("recovered", [texts.map(Number), gaps], [Array.from({ length: 20 }, (_, i) => i), []]);

  const kept: Position = room.position;
  reader.close();
  await client.publish(notes, { text: "meanwhile" });
  for await (const { data, offset } of client.subscribe(notes, { since: kept })) {
    check("since", [data.text, offset], ["meanwhile", 21]);
    break;
  }
  const page: History<Note> = await client.history(notes, { before: 3, limit: 1 });
  check("history", [page.messages[0]?.data.text, page.more, page.last], ["1", true, 21]);
}

async function presence(client: Client<Api>): Promise<void> {
  const other = connect<Api>(url, { WebSocket });
  const here = client.subscribe("count", () => {}, { presence: { info: "ada" } });
  await here.ready;
  const joined = new Promise<Member>((resolve) => here.on("join", resolve));
  const left = new Promise<Member>((resolve) => here.on("leave", resolve));
  const there = other.subscribe("count", () => {}, { presence: { info: "bob" }, echo: false });
  check("join", (await joined).info, "bob");
  check("members", here.members.map(({ info }) => info).sort(), ["ada", "bob"]);
  check("presence", (await other.presence("count")).members.length, 2);
  await there.unsubscribe();
  check("leave", (await left).info, "bob");
  await here.unsubscribe();
  other.close();
}

async function codec(): Promise<void> {
  // Numbers that JSON has no room for, as strings that end with n.
  const bigints: Codec = {
    name: "json",
    encode: (value) =>
      new TextEncoder().encode(
        JSON.stringify(value, (_, v: unknown) => (typeof v === "bigint" ? `${v}n` : v)),
      ),
    decode: (bytes) =>
      JSON.parse(new TextDecoder().decode(bytes), (_, v: unknown) =>
        typeof v === "string" && /^-?\d+n$/.test(v) ? BigInt(v.slice(0, -1)) : v,
      ) as unknown,
  };
  const client = connect<Api>(url, { WebSocket, codec: bigints });
  check("codec", String(await client.call("/echo", 2n ** 64n)), "18446744073709551616");
  client.close();
}

async function debug(): Promise<void> {
  const frames: string[] = [];
  const client = connect(url, {
    WebSocket,
    debug: (direction, { method }) => void frames.push(`${direction} ${method}`),
  });
  await client.call("/hello", "you");
  check("debug", frames.filter((frame) => frame.endsWith("/hello")).length, 2);
  client.close();
}

/** The demo knows no coders, so that it is never used. */
async function coder(): Promise<void> {
  const unused: Coder = { name: "unused", bit: 1, encode: fail, decode: fail };
  const client = connect(url, { WebSocket });
  client.useCoder(unused);
  check("coder", await client.call("/hello", "you"), "hello, you");
  client.close();
}

function fail(): never {
  throw new Error("a coder that was not agreed is used");
}

async function states(): Promise<void> {
  const client = connect(url, { WebSocket: Cut, backoff });
  const states: string[] = [];
  const again = new Promise<void>((resolve) => {
    client.on("state", (state) => {
      if (states.push(state) > 3 && state === "open") resolve();
      if (states.length === 1) setTimeout(() => Cut.all());
    });
  });
  await again;
  client.close();
  const wanted = ["open", "waiting", "connecting", "open", "closed"];
  check(
    "states",
    states.filter((state, i) => i > 0 || state !== "connecting"),
    wanted,
  );
  check("closed", (await failure(client.call("/hello", "x"))).code, "unavailable");
}

async function core(): Promise<void> {
  const client: CoreClient<Api> = connectCore<Api>(url, { WebSocket });
  check("core", await client.call("/hello", "core"), "hello, core");
  client.close();
}

const client = connect<Api>(url, { WebSocket, backoff });
const features = { calls, cancels, handlers, streams, topics, presence };
const apart = { codec, debug, coder, states, core };
for (const [name, feature] of Object.entries(features)) {
  await feature(client);
  seen.push(name);
}
client.close();
for (const [name, feature] of Object.entries(apart)) {
  await feature();
  seen.push(name);
}
process.stdout.write(`${JSON.stringify(seen)}\n`);
