// Plays the scenarios of internal/scenarios, as its Go test does, with the client of any runtime.
// Plain JavaScript and nothing of any runtime: it runs as it is in Node, Deno, Bun and Chromium.

/** How long a scenario may take, in ms. */
const WAIT = 20_000;

/**
 * Plays each scenario on a connection of its own. Resolves with what was wrong in each, "" if
 * nothing was.
 */
export async function play(connect, url, { scenarios }, options = {}) {
  const results = [];
  for (const scenario of scenarios) {
    const client = connect(url, { ...options, timeout: WAIT });
    const problem = await within(WAIT, perform(client, scenario)).catch(describe);
    client.close();
    results.push({ name: scenario.name, problem: problem ?? "" });
  }
  return results;
}

/** The scenarios that `arpc-js/core` can play: no topics, no streams. */
export function ofCore({ scenarios }) {
  const isCore = ({ topic, do: what }) => topic === undefined && what !== "stream";
  return { scenarios: scenarios.filter(({ steps }) => steps.every(isCore)) };
}

async function perform(client, { handlers = {}, steps }) {
  const inboxes = new Inboxes();
  for (const [method, handler] of Object.entries(handlers)) {
    client.handle(method, handlerOf(method, handler, inboxes));
  }
  for (const [i, step] of steps.entries()) {
    try {
      await actions[step.do](client, step, inboxes);
    } catch (error) {
      const where = `step ${i + 1}, ${step.do} ${step.method ?? step.topic}`;
      throw new Error(`${where}: ${describe(error)}`, { cause: error });
    }
  }
}

function handlerOf(method, { reply, error, echo, record }, inboxes) {
  return (ctx) => {
    if (record) inboxes.put(method, ctx.body);
    if (error) throw Object.assign(new Error(error.message), { name: "ArpcError", ...error });
    return echo ? ctx.body : reply && bodyOf(reply, 0);
  };
}

const actions = {
  async call(client, step, inboxes) {
    const each = (_, i) => expectResult(call(client, step, inboxes, i), step, i);
    await Promise.all(Array.from({ length: step.times ?? 1 }, each));
  },
  notify(client, { method, body, times = 1 }) {
    for (let i = 0; i < times; i++) {
      if (client.notify(method, bodyOf(body, i)) === "dropped") throw new Error("dropped");
    }
  },
  async receive(_client, { method, body, times = 1 }, inboxes) {
    for (let i = 0; i < times; i++) expectBody(await inboxes.take(method), body, i);
  },
  async stream(client, step) {
    const stream = client.stream(step.method);
    const sending = send(stream, step.send);
    await expectResult(receive(stream, step.receive), step);
    if (step.error) await sending.catch(() => {});
    else await sending;
  },
  async subscribe(client, { topic }, inboxes) {
    await client.subscribe(topic, ({ data }) => inboxes.put(topic, data)).ready;
  },
  async publish(client, { topic, body }) {
    await client.publish(topic, bodyOf(body, 0));
  },
  async message(_client, { topic, body }, inboxes) {
    expectBody(await inboxes.take(topic), body, 0);
  },
};

function call(client, { method, body, timeout, cancelOn }, inboxes, i) {
  const controller = new AbortController();
  if (cancelOn) inboxes.take(cancelOn).then(() => controller.abort());
  return client.call(method, bodyOf(body, i), { timeout, signal: controller.signal });
}

async function send(stream, bodies) {
  for (const body of bodies) await stream.send(bodyOf(body, 0));
  await stream.end();
}

async function receive(stream, bodies) {
  let i = 0;
  for await (const got of stream) {
    if (i === bodies.length) throw new Error(`one more came: ${show(got)}`);
    expectBody(got, bodies[i++], 0);
  }
  if (i < bodies.length) throw new Error(`only ${i} came`);
}

async function expectResult(result, step, i) {
  if (step.error === undefined) {
    const got = await result;
    if (step.reply) expectBody(got, step.reply, i);
    return;
  }
  const error = await result.then(
    (got) => new Error(`no error: ${show(got)}`),
    (error) => error,
  );
  for (const [name, wanted] of Object.entries(step.error)) {
    if (isSame(error[name], wanted)) continue;
    throw new Error(`${name} ${show(error[name])}, not ${show(wanted)}, of ${describe(error)}`);
  }
}

function expectBody(got, value, i) {
  const wanted = bodyOf(value, i);
  if (!isSame(got, wanted)) throw new Error(`got ${show(got)}, not ${show(wanted)}`);
}

/** The body that a value of the table stands for, the i-th time. */
function bodyOf({ text, hex, json, number, times = 1 }, i) {
  if (number) return i;
  if (text !== undefined) return text.repeat(times);
  if (hex !== undefined)
    return Uint8Array.from(hex.match(/../g) ?? [], (pair) => parseInt(pair, 16));
  return json;
}

function isSame(a, b) {
  if (Object.is(a, b)) return true;
  if (typeof a !== "object" || typeof b !== "object" || !a || !b) return false;
  if (Object.getPrototypeOf(a).constructor !== Object.getPrototypeOf(b).constructor) return false;
  const keys = Object.keys(a);
  return keys.length === Object.keys(b).length && keys.every((key) => isSame(a[key], b[key]));
}

function show(value) {
  const text = value instanceof Uint8Array ? `bytes ${value}` : JSON.stringify(value);
  return String(text).slice(0, 60);
}

function describe(error) {
  const { code = "", message } = error;
  return `${code} ${message}`.trim();
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
