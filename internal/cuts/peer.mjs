// The clients of arpc-js in the chaos, told what to do by lines of standard input: a task, "go",
// "stop", and "report" with what the other side said. It says "ready" and "stopped", and reports
// its account, which has the names of the Go side's.
import { once } from "node:events";
import process from "node:process";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { ArpcError, connect } from "arpc-js";
import { WebSocket } from "ws";
import { Account, patience, within } from "./account.mjs";

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const next = async () => (await lines.next()).value ?? "";
const task = JSON.parse(await next());
const account = new Account();
const clients = task.names.map(open);
let isOver = false;

async function say(line) {
  if (!process.stdout.write(`${line}\n`)) await once(process.stdout, "drain");
}

/** A source of numbers from 0 up to a bound, by a seed of its own. */
function randomOf(who) {
  let state = task.seed % 2 ** 32;
  for (const letter of who) state = Math.imul(state ^ letter.charCodeAt(0), 0x9e3779b1) >>> 0;
  return (bound) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let n = Math.imul(state ^ (state >>> 15), state | 1);
    n ^= n + Math.imul(n ^ (n >>> 7), n | 61);
    return ((n ^ (n >>> 14)) >>> 0) % bound;
  };
}

/** Connects a client that does for the server what the server does for it. */
function open(name) {
  const backoff = { min: 1, max: 5, stable: 1 };
  const client = connect(task.url, { WebSocket, backoff, timeout: patience });
  client.on("error", (error) => account.complain(`${name}: ${error}`));
  client.on("lost", (reason) => account.complain(`${name}: the session is lost: ${reason}`));
  let resumed = 0;
  client.on("resumed", () => {
    resumed++;
  });
  account.serve(client);
  const record = { name, events: [], complete: {} };
  const all = client.subscribe(task.all, ({ epoch, offset, data }) => {
    record.events.push({ kind: "message", topic: task.all, epoch, offset, payload: data });
  });
  all.on("gap", (gap) => account.complain(`${name} was told of a gap: ${JSON.stringify(gap)}`));
  const one = client.subscribe(task.one, ({ data }) => account.handle(data));
  const ready = Promise.all([all.ready, one.ready, client.call("/here")]).then(() => {
    record.events.unshift({ kind: "started", topic: task.all, ...all.position });
  });
  return { name, client, record, ready, resumed: () => resumed };
}

/** Does something until it is over, each time under another id. */
async function keepOn(who, does) {
  const random = randomOf(who);
  for (let n = 0; !isOver && !account.failed(); n++) await does(`${who} ${n}`, random);
}

async function ask({ client }, id, random) {
  const kind = random(10);
  if (kind === 0) await account.refused(client, id);
  else if (kind === 1) await account.gaveUp(client, id);
  else await account.call(client, kind < 5 ? "/back" : "/echo", id);
}

async function notes({ name, client }, id, random) {
  for (let n = 1 + random(10); n > 0; n--) account.note(client, `${name} note`);
  await account.call(client, "/echo", id);
}

async function streams({ client }, id, random) {
  if (random(4) === 0) return account.tapped(client, id);
  const sizes = Array.from({ length: 1 + random(12) }, () => random(2 ** random(13)));
  await account.mirrored(client, id, sizes);
}

const published = [];

/** Publishes, without keys: what sessions carry comes once all the same. */
async function publish({ name, client }, payload, random) {
  await sleep(random(20));
  if (random(2) === 0) return publishToOne(client, payload);
  const publication = { topic: task.all, publisher: name, n: published.length, payload };
  try {
    published.push({ ...publication, acked: true, ...(await client.publish(task.all, payload)) });
  } catch (error) {
    account.complain(`publish ${payload}: ${error}`);
  }
}

/** It may be that nobody is there at the moment. */
async function publishToOne(client, id) {
  account.ask(id);
  let failure;
  await within(patience, async () => {
    failure = await client.publish(task.one, id, { one: true }).then(
      () => undefined,
      (error) => error,
    );
    return !(failure instanceof ArpcError && failure.code === "not_found");
  });
  account.answer(id, "", "", failure);
}

function work(peer) {
  const { name } = peer;
  return Promise.all([
    keepOn(`${name} caller 0`, (...args) => ask(peer, ...args)),
    keepOn(`${name} caller 1`, (...args) => ask(peer, ...args)),
    keepOn(`${name} notes`, (...args) => notes(peer, ...args)),
    keepOn(`${name} streams`, (...args) => streams(peer, ...args)),
    keepOn(`${name} publication`, (...args) => publish(peer, ...args)),
  ]);
}

await Promise.all(clients.map(({ ready }) => ready));
await say("ready");
if ((await next()) === "go") {
  const working = Promise.all(clients.map(work));
  await next(); // stop
  isOver = true;
  await working;
  await say("stopped");
}
const { said, ...other } = JSON.parse(await next()); // of the other side, to those here
const newest = Math.max(other.newest, ...published.map(({ offset }) => offset));
await within(patience, () => {
  const heard = Object.entries(account.heard).every(([series, n]) => n >= (said[series] ?? 0));
  return (
    heard &&
    account.isFree() &&
    clients.every(({ record }) => record.events.at(-1).offset >= newest)
  );
});
for (const { record } of clients) record.complete[task.all] = newest;
await say(
  JSON.stringify({
    account,
    published,
    subscribers: clients.map(({ record }) => record),
    resumed: clients.reduce((sum, { resumed }) => sum + resumed(), 0),
  }),
);
await next();
for (const { client } of clients) client.close();
