// Connects and closes many times and looks whether anything stays: heap after a full collection,
// and handles. usage: node --expose-gc bench/churn.mjs [cycles] [module, by default the built one]
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const [cycles = 10_000, path] = process.argv.slice(2);
const module = path ? pathToFileURL(path) : new URL("../dist/index.js", import.meta.url);
const { connect } = await import(module);
const { WebSocket, WebSocketServer } = createRequire(import.meta.url)("ws");

/** Heap and handles after the dust has settled. */
async function measure() {
  for (let i = 0; i < 5; i++) {
    await new Promise((resolve) => setTimeout(resolve, 20));
    globalThis.gc();
  }
  const handles = process.getActiveResourcesInfo().filter((name) => name !== "TTYWrap");
  return { heap: process.memoryUsage().heapUsed, handles: handles.length };
}

/** Opens a client, uses every part of it, and closes it while some of that is under way. */
async function cycle(url) {
  const client = connect(url, { WebSocket, timeout: 60_000 });
  client.handle("/called", () => "yes");
  const opened = new Promise((resolve) => {
    client.on("state", (state) => state === "open" && resolve());
  });
  const failed = client.call("/never").catch(() => {});
  const stream = client.stream("/never");
  const sent = stream.send("x").catch(() => {});
  const subscription = client.subscribe("never", () => {});
  await opened;
  await sent;
  client.notify("/n", "x");
  client.close();
  await failed;
  for await (const _ of subscription);
}

/** Runs cycles, so many at once, against a server of its own that answers hello and nothing else. */
async function churn(cycles, atOnce) {
  const listener = new WebSocketServer({ host: "127.0.0.1", port: 0 });
  listener.on("connection", (socket) => {
    socket.once("message", (hello) => socket.send(answerTo(hello)));
  });
  await new Promise((resolve) => listener.once("listening", resolve));
  const url = `ws://127.0.0.1:${listener.address().port}/`;
  let left = cycles;
  const work = async () => {
    while (left-- > 0) await cycle(url);
  };
  await Promise.all(Array.from({ length: atOnce }, work));
  for (const socket of listener.clients) socket.terminate();
  await new Promise((resolve) => listener.close(resolve));
}

/** The answer to hello that agrees to what there is. */
function answerTo(hello) {
  const body = Buffer.from(
    JSON.stringify({
      arpc: 1,
      caps: ["batch", "cancel", "errors", "kind", "credit"],
      window: 1024,
    }),
  );
  const method = Buffer.from("arpc.hello");
  const head = Buffer.alloc(16);
  head.writeUInt32LE(method.length + body.length, 0);
  head[5] = 2;
  head[6] = 0x38;
  head[7] = method.length;
  hello.copy(head, 8, 8, 16);
  return Buffer.concat([head, method, body]);
}

/** What the runtime itself may keep, however many cycles there are; a client is over 32 KiB. */
const MAX_GROWTH = 2 << 20;

// What is compiled and cached once is not a leak.
await churn(200, 16);
const before = await measure();
await churn(Number(cycles), 16);
const after = await measure();
const growth = after.heap - before.heap;
say(`FIGURE churn_cycles=${cycles} churn_heap_growth_bytes=${growth}`);
say(`FIGURE churn_handles_before=${before.handles} churn_handles_after=${after.handles}`);
if (growth > MAX_GROWTH || after.handles > before.handles) {
  say("something stayed");
  process.exitCode = 1;
}

function say(line) {
  process.stdout.write(`${line}\n`);
}
