// What a session costs: CPU of a client a call, user and system, with one and without. 8 connections
// of 10 callers on loopback, alternating rounds, each in a process of its own. It measures the built
// package: npm run build, then node bench/session.mjs [rounds] [seconds]
import { fork } from "node:child_process";
import { once } from "node:events";
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";
import { serve } from "./server.mjs";

const CONNECTIONS = 8;
const CALLERS = 10;
const body = new Uint8Array(64);

/** Calls for so long; resolves with the microseconds of CPU that a call took. */
async function call(port, session, ms) {
  const { connect } = await import(new URL("../dist/index.js", import.meta.url));
  const { WebSocket } = createRequire(import.meta.url)("ws");
  const url = `ws://127.0.0.1:${port}/ws`;
  const clients = Array.from({ length: CONNECTIONS }, () => connect(url, { WebSocket, session }));
  let calls = 0;
  const callUntil = async (client, end) => {
    while (performance.now() < end) {
      await client.call("/echo", body);
      calls++;
    }
  };
  const run = (time) => {
    const end = performance.now() + time;
    const callers = clients.flatMap((client) => Array(CALLERS).fill(client));
    return Promise.all(callers.map((client) => callUntil(client, end)));
  };
  await run(ms / 2);
  calls = 0;
  const before = process.cpuUsage();
  await run(ms);
  const { user, system } = process.cpuUsage(before);
  for (const client of clients) client.close();
  return (user + system) / calls;
}

/** The same in a process of its own: what was compiled for the one must not serve the other. */
async function callApart(...args) {
  const child = fork(fileURLToPath(import.meta.url), ["child", ...args.map(String)]);
  const [cost] = await once(child, "message");
  return cost;
}

const median = (values) => values.toSorted((a, b) => a - b)[values.length >> 1];

if (process.argv[2] === "child") {
  const [port, session, ms] = process.argv.slice(3);
  process.send(await call(port, session, Number(ms)));
  process.disconnect();
} else {
  const [rounds = 5, seconds = 3] = process.argv.slice(2).map(Number);
  const costs = { memory: [], none: [] };
  const { port, stop } = await serve();
  try {
    for (let round = 0; round < rounds; round++) {
      for (const [session, list] of Object.entries(costs)) {
        list.push(await callApart(port, session, 1000 * seconds));
      }
    }
  } finally {
    await stop();
  }
  for (const [session, list] of Object.entries(costs)) {
    say(`${session}: ${list.map((cost) => cost.toFixed(2)).join(" ")}`);
  }
  const [kept, bare] = [median(costs.memory), median(costs.none)];
  say(`FIGURE js_call_cpu_us=${kept.toFixed(2)} without_session=${bare.toFixed(2)}`);
  say(`FIGURE js_session_cpu_percent=${(100 * (kept / bare - 1)).toFixed(1)}`);
}

function say(line) {
  process.stdout.write(`${line}\n`);
}
