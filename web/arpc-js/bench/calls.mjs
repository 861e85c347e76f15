// Calls per second of arpc-js to the Go server, beside those of socket.io-client to a socket.io one:
// 10 outstanding on one loopback connection, alternating rounds in one run, each server a process of
// its own. And frames per second encoded and decoded. It measures the built package: npm run build,
// npm ci in bench/socketio of the root, then node bench/calls.mjs [rounds] [seconds]
import { fork } from "node:child_process";
import { once } from "node:events";
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";
import { serve } from "./server.mjs";

const { WebSocket } = createRequire(import.meta.url)("ws");
const fromSocketIo = createRequire(
  new URL("../../../bench/socketio/package.json", import.meta.url),
);

const OUTSTANDING = 10;
const request = { text: "x".repeat(64) };

/** Starts what echoes, for each contender; resolves with its port and with what ends it. */
const servers = {
  arpc: serve,
  /** This program, in another process. */
  async socketio() {
    const child = fork(fileURLToPath(import.meta.url));
    const [port] = await once(child, "message");
    return { port, stop: () => child.kill() };
  },
};

async function serveSocketIo() {
  const { Server } = fromSocketIo("socket.io");
  const web = (await import("node:http")).createServer();
  const io = new Server(web, { transports: ["websocket"], serveClient: false });
  io.on("connection", (socket) => {
    socket.on("echo", (message, acknowledge) => acknowledge(message));
  });
  web.listen(0, "127.0.0.1");
  await once(web, "listening");
  return web.address().port;
}

/** What calls: gives a function that makes one call and resolves with the reply. */
const clients = {
  async arpc(port) {
    const { connect } = await import(new URL("../dist/index.js", import.meta.url));
    const client = connect(`ws://127.0.0.1:${port}/ws`, { WebSocket });
    return { call: () => client.call("/echo", request), close: () => client.close() };
  },
  async socketio(port) {
    const { io } = fromSocketIo("socket.io-client");
    const socket = io(`ws://127.0.0.1:${port}`, { transports: ["websocket"], forceNew: true });
    await new Promise((resolve, reject) => {
      socket.once("connect", resolve);
      socket.once("connect_error", reject);
    });
    return { call: () => socket.emitWithAck("echo", request), close: () => socket.close() };
  },
};

async function measure(name, port, ms) {
  const { call, close } = await clients[name](port);
  let calls = 0;
  const callUntil = async (end) => {
    while (performance.now() < end) {
      const { text } = await call();
      if (text.length !== request.text.length) throw new Error(`${name} gave ${text.length} bytes`);
      calls++;
    }
  };
  const run = (time) => {
    const end = performance.now() + time;
    return Promise.all(Array.from({ length: OUTSTANDING }, () => callUntil(end)));
  };
  await run(ms / 4);
  calls = 0;
  const start = performance.now();
  await run(ms);
  const rate = (1000 * calls) / (performance.now() - start);
  close();
  return rate;
}

/** Frames per second through the encoder and the decoder, 100 frames a message. */
async function frames(ms) {
  const { build } = await import("esbuild");
  const source = fileURLToPath(new URL("../src/wire.ts", import.meta.url));
  const { outputFiles } = await build({ entryPoints: [source], format: "esm", write: false });
  const code = Buffer.from(outputFiles[0].contents).toString("base64");
  const { encodeFrame, encodeText, frameDecoder } = await import(
    `data:text/javascript;base64,${code}`
  );
  const body = encodeText(JSON.stringify(request));
  const encodeOne = (seq) => encodeFrame({ cmd: 1, flag: 0x30, method: "/echo", seq, body });
  const message = Buffer.concat(Array.from({ length: 100 }, (_, i) => encodeOne(BigInt(i))));
  const rate = (work) => {
    let count = 0;
    const start = performance.now();
    while (performance.now() - start < ms) count += work();
    return (1000 * count) / (performance.now() - start);
  };
  const encode = () => {
    for (let seq = 0n; seq < 100n; seq++) encodeOne(seq);
    return 100;
  };
  const decode = () => {
    const decoder = frameDecoder(1 << 20);
    decoder.push(message);
    let count = 0;
    while (decoder.next()) count++;
    return count;
  };
  rate(encode);
  rate(decode);
  return { encoded: rate(encode), decoded: rate(decode) };
}

const median = (values) => values.toSorted((a, b) => a - b)[values.length >> 1];

if (process.send) {
  process.send(await serveSocketIo());
} else {
  const [rounds = 3, seconds = 3] = process.argv.slice(2).map(Number);
  const running = {};
  const rates = { arpc: [], socketio: [] };
  try {
    for (const name of Object.keys(rates)) running[name] = await servers[name]();
    for (let round = 0; round < rounds; round++) {
      for (const name of Object.keys(rates)) {
        rates[name].push(await measure(name, running[name].port, 1000 * seconds));
      }
    }
  } finally {
    for (const { stop } of Object.values(running)) await stop();
  }
  for (const [name, list] of Object.entries(rates))
    say(`${name}: ${list.map(Math.round).join(" ")}`);
  const [ours, theirs] = [median(rates.arpc), median(rates.socketio)];
  say(`FIGURE js_calls_per_second=${Math.round(ours)}`);
  say(`FIGURE socketio_calls_per_second=${Math.round(theirs)}`);
  say(`FIGURE js_calls_ratio=${(ours / theirs).toFixed(2)}`);
  const { encoded, decoded } = await frames(1000);
  say(`FIGURE js_frames_encoded_per_second=${Math.round(encoded)}`);
  say(`FIGURE js_frames_decoded_per_second=${Math.round(decoded)}`);
}

function say(line) {
  process.stdout.write(`${line}\n`);
}
