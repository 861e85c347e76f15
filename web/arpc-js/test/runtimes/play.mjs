// Plays the scenarios of internal/scenarios, as its Go test does, with the client of any runtime.
// Plain JavaScript and nothing of any runtime: it runs as it is in Node, Deno, Bun and Chromium.
import { follow, topicActions } from "./topics.mjs";
import { bodyOf, describe, expectBody, expectResult, expectSame } from "./values.mjs";

/** How long a scenario may take, in ms. */
const WAIT = 20_000;

/** The inbox of what becomes of the session. */
const SESSION = "the session";

/**
 * Plays each scenario on connections of its own. Resolves with what was wrong in each, "" if nothing
 * was.
 */
export async function play(connect, url, { scenarios }, options = {}) {
  const results = [];
  const settings = { backoff: { min: 1, max: 20 }, ...options, timeout: WAIT };
  for (const row of scenarios) {
    const scenario = JSON.parse(JSON.stringify(row).replaceAll("$", crypto.randomUUID()));
    const { session = settings.session } = scenario;
    const open = () => connect(url, { ...settings, session });
    const players = new Players(open, scenario.handlers);
    const problem = await within(WAIT, perform(players, scenario)).catch(describe);
    players.close();
    results.push({ name: row.name, problem: problem ?? "" });
  }
  return results;
}

/** The scenarios that `arpc-js/core` can play: no topics, no streams, no sessions. */
export function ofCore({ scenarios }) {
  const isCore = ({ topic, do: what }) =>
    topic === undefined && what !== "stream" && what !== "session";
  const takesStreams = ({ handlers = {} }) => Object.values(handlers).some(({ upper }) => upper);
  const ofCore = (scenario) => scenario.steps.every(isCore) && !takesStreams(scenario);
  return { scenarios: scenarios.filter(ofCore) };
}

async function perform(players, { steps }) {
  for (const [i, step] of steps.entries()) {
    try {
      await actions[step.do](players.get(step.peer), step);
    } catch (error) {
      const where = `step ${i + 1}, ${step.do} ${step.method ?? step.topic}`;
      throw new Error(`${where}: ${describe(error)}`, { cause: error });
    }
  }
}

/** The clients of a scenario, each made when it is first asked for. */
class Players {
  #players = new Map();
  #open;
  #handlers;
  // Those of the topics, which all know.
  #epochs = new Map();

  constructor(open, handlers = {}) {
    this.#open = open;
    this.#handlers = Object.entries(handlers);
  }

  get(peer) {
    const player = this.#players.get(peer) ?? this.#make();
    this.#players.set(peer, player);
    return player;
  }

  close() {
    for (const { client } of this.#players.values()) client.close();
  }

  #make() {
    const client = this.#open();
    const player = {
      client,
      epochs: this.#epochs,
      inboxes: new Inboxes(),
      subscriptions: new Map(),
    };
    for (const [method, handler] of this.#handlers) {
      if (handler.upper) client.handleStream(method, streamHandlerOf(handler));
      else client.handle(method, handlerOf(method, handler, player.inboxes));
    }
    client.on("subscribed", (topic) => follow(player, topic, {}));
    for (const event of ["paused", "resumed", "lost"]) {
      client.on(event, () => player.inboxes.put(SESSION, event));
    }
    // What is wanted to fail is told here too.
    client.on("error", () => {});
    return player;
  }
}

function handlerOf(method, { reply, error, echo, record }, inboxes) {
  return (ctx) => {
    if (record) inboxes.put(method, ctx.body);
    if (error) throw Object.assign(new Error(error.message), { name: "ArpcError", ...error });
    return echo ? ctx.body : reply && bodyOf(reply);
  };
}

function streamHandlerOf({ break: breaks }) {
  return async (stream) => {
    for await (const text of stream) await stream.send(text.toUpperCase());
    const failure = { name: "ArpcError", code: "aborted" };
    if (breaks) throw Object.assign(new Error("broken"), failure);
  };
}

const actions = {
  ...topicActions,
  async call(player, step) {
    const each = async (_, i) => {
      const reply = await expectResult(call(player, step, i), step.error);
      if (!step.error && step.reply) expectBody(reply, step.reply, i);
    };
    await Promise.all(Array.from({ length: step.times ?? 1 }, each));
  },
  notify({ client }, { method, body, times = 1 }) {
    for (let i = 0; i < times; i++) {
      if (client.notify(method, bodyOf(body, i)) === "dropped") throw new Error("dropped");
    }
  },
  async receive({ inboxes }, { method, body, times = 1 }) {
    for (let i = 0; i < times; i++) expectBody(await inboxes.take(method), body, i);
  },
  async session({ inboxes }, { events }) {
    for (const event of events) expectSame(await inboxes.take(SESSION), event);
  },
  async stream({ client }, step) {
    const stream = client.stream(step.method);
    const sending = send(stream, step.send);
    await expectResult(receive(stream, step), step.error);
    if (step.error) await sending.catch(() => {});
    else await sending;
  },
};

function call({ client, inboxes }, { method, body, timeout, cancelOn }, i) {
  const controller = new AbortController();
  if (cancelOn) inboxes.take(cancelOn).then(() => controller.abort());
  return client.call(method, bodyOf(body, i), { timeout, signal: controller.signal });
}

async function send(stream, bodies) {
  for (const body of bodies) await stream.send(bodyOf(body));
  await stream.end();
}

async function receive(stream, { receive: bodies, leave }) {
  let i = 0;
  for await (const got of stream) {
    if (i === bodies.length) throw new Error(`one more came: ${got}`);
    expectBody(got, bodies[i++]);
    // Which cancels it.
    if (leave && i === bodies.length) break;
  }
  if (i < bodies.length) throw new Error(`only ${i} came`);
}

async function within(ms, promise) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`not done after ${ms} ms`)), ms);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** What came, by method or topic, until it is taken. */
class Inboxes {
  #boxes = new Map();

  put(name, body) {
    const { takers, bodies } = this.#box(name);
    if (takers.length > 0) takers.shift()(body);
    else bodies.push(body);
  }

  async take(name) {
    const { takers, bodies } = this.#box(name);
    return bodies.length > 0 ? bodies.shift() : new Promise((resolve) => takers.push(resolve));
  }

  #box(name) {
    const box = this.#boxes.get(name) ?? { takers: [], bodies: [] };
    this.#boxes.set(name, box);
    return box;
  }
}
