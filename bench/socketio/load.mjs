// Usage: node load.mjs ADDRESS SIZE CONNECTIONS CALLERS
// Keeps that many calls in flight on each connection, as the Go loads do.

import { io } from "socket.io-client";
import { obey, say } from "./control.mjs";

const [address, size, connections, callers] = process.argv.slice(2);
const request = { text: "x".repeat(Number(size)) };

const sockets = await Promise.all(Array.from({ length: Number(connections) }, connect));
say({});
await obey(({ seconds }) => run(seconds));

function connect() {
  const socket = io(`ws://${address}`, { transports: ["websocket"], forceNew: true });
  return new Promise((resolve, reject) => {
    socket.once("connect", () => resolve(socket));
    socket.once("connect_error", reject);
  });
}

async function run(seconds) {
  const took = []; // ms of each call
  const start = performance.now();
  const until = start + seconds * 1000;
  const all = sockets.flatMap((socket) =>
    Array.from({ length: Number(callers) }, () => callUntil(socket, until, took)),
  );
  await Promise.all(all);
  const elapsed = (performance.now() - start) / 1000;
  const sorted = Float64Array.from(took).sort();
  return {
    calls: sorted.length,
    seconds: elapsed,
    p50: quantile(sorted, 0.5),
    p99: quantile(sorted, 0.99),
    p999: quantile(sorted, 0.999),
  };
}

async function callUntil(socket, until, took) {
  for (let from = performance.now(); from < until; ) {
    const reply = await socket.emitWithAck("echo", request);
    if (reply.text.length !== request.text.length) {
      throw new Error(`echo has ${reply.text.length} bytes, want ${request.text.length}`);
    }
    const now = performance.now();
    took.push(now - from);
    from = now;
  }
}

/** In microseconds. */
function quantile(sorted, q) {
  return 1000 * sorted[Math.floor(q * (sorted.length - 1))];
}
