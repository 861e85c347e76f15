// Subscribers and publishers of arpc-js, told what to do by lines of standard input: a task, then
// "publish", then "report". It says "ready", "done", and reports what was published and what came.
import { once } from "node:events";
import process from "node:process";
import { createInterface } from "node:readline";
import { connect } from "arpc-js";
import { WebSocket } from "ws";

const options = { WebSocket, backoff: { min: 1, max: 20, stable: 1 }, timeout: 60_000 };
const clients = [];

function open(url) {
  const client = connect(url, options);
  clients.push(client);
  return client;
}

/** Follows topics from their start and writes down everything, in order. */
class Subscriber {
  constructor({ name, url, epochs, total }) {
    const client = open(url);
    let left = total;
    this.record = { name, events: [], complete: {} };
    this.done = new Promise((resolve) => {
      this.count = () => --left === 0 && resolve();
    });
    const subscribed = Object.entries(epochs).map(
      ([topic, epoch]) => this.#follow(client, topic, epoch).ready,
    );
    this.ready = Promise.all(subscribed);
  }

  #follow(client, topic, epoch) {
    const { events } = this.record;
    events.push({ kind: "started", topic, epoch, offset: 0 });
    const take = ({ epoch, offset, data }) => {
      events.push({ kind: "message", topic, epoch, offset, payload: data });
      this.count();
    };
    const subscription = client.subscribe(topic, take, { since: { epoch, offset: 0 } });
    subscription.on("gap", (gap) => {
      const kind = gap.epoch === epoch ? "gap" : "epoch";
      events.push({ kind, topic, epoch: gap.epoch, offset: gap.from - 1 });
    });
    return subscription;
  }
}

/** Publishes one after the other; resolves with what, and where it is. */
async function publish({ name, url, topics, count }) {
  const client = open(url);
  const published = [];
  for (let n = 0; n < count; n++) {
    const topic = topics[n % topics.length];
    const payload = `${name} ${n}`;
    const position = await publishOnce(client, topic, payload);
    published.push({ topic, publisher: name, n, payload, acked: true, ...position });
  }
  return published;
}

/** With a key it lands once, however often its connection is lost. */
async function publishOnce(client, topic, payload) {
  for (;;) {
    try {
      return await client.publish(topic, payload, { key: payload });
    } catch (error) {
      if (error.code !== "unavailable" || client.state === "closed") throw error;
    }
  }
}

async function say(line) {
  if (!process.stdout.write(`${line}\n`)) await once(process.stdout, "drain");
}

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const next = async () => (await lines.next()).value;

const task = JSON.parse(await next());
const subscribers = task.subscribers.map((subscriber) => new Subscriber(subscriber));
await Promise.all(subscribers.map(({ ready }) => ready));
await say("ready");
let published = [];
if ((await next()) === "publish") {
  const publishing = Promise.all(task.publishers.map(publish));
  // Not awaited: asked before it is done, it reports what there is.
  void publishing.then(async (lists) => {
    published = lists.flat();
    await Promise.all(subscribers.map(({ done }) => done));
    await say("done");
  });
}
if ((await next()) === "report") {
  await say(JSON.stringify({ published }));
  for (const { record } of subscribers) await say(JSON.stringify({ subscriber: record }));
  await say("end");
}
for (const client of clients) client.close();
