// What the ends of some sessions asked, did and were told, as ledger_test.go has it.
import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import { ArpcError } from "arpc-js";

/** How long a call or a stream may take, the cuts included, in ms. */
export const patience = 30_000;

/** Waits until something holds; false if that takes too long. */
export async function within(time, holds) {
  const end = Date.now() + time;
  while (!(await holds())) {
    if (Date.now() > end) return false;
    await sleep(1);
  }
  return true;
}

const reply = (id) => `re ${id}`;
const text = new TextDecoder();

export class Account {
  asked = {};
  ran = {};
  answered = 0;
  said = {};
  heard = {};
  lost = 0;
  doubled = 0;
  wrong = [];
  #hanging = new Map();
  #hangs = 0;

  /** Whether nobody here waits to be given up. */
  isFree() {
    return this.#hangs === 0;
  }

  failed() {
    return this.wrong.length > 0;
  }

  complain(what) {
    if (this.wrong.length < 100) this.wrong.push(`node: ${what}`);
  }

  ask(id) {
    if (this.asked[id]) this.complain(`${id} is no id of its own`);
    this.asked[id] = true;
  }

  handle(id) {
    this.ran[id] = (this.ran[id] ?? 0) + 1;
    if (this.ran[id] === 1) return;
    this.doubled++;
    this.complain(`${id} is handled again`);
  }

  answer(id, want, got, error) {
    this.answered++;
    if (error) {
      this.lost++;
      this.complain(`${id} failed: ${error}`);
    } else if (got !== want) this.complain(`${id} was answered with ${got}, want ${want}`);
  }

  say(series) {
    this.said[series] = (this.said[series] ?? 0) + 1;
    return `${series} ${this.said[series]}`;
  }

  hear(heard) {
    const at = heard.lastIndexOf(" ");
    const series = heard.slice(0, at);
    const n = Number(heard.slice(at + 1));
    const last = this.heard[series] ?? 0;
    if (n <= last) this.doubled++;
    else if (n > last + 1) this.lost += n - last - 1;
    if (n !== last + 1) this.complain(`${heard} after ${last}`);
    this.heard[series] = Math.max(last, n);
  }

  /** Resolves when the request of that id hangs. */
  hang(id) {
    if (!this.#hanging.has(id)) {
      const told = {};
      told.promise = new Promise((resolve) => Object.assign(told, { resolve }));
      this.#hanging.set(id, told);
    }
    return this.#hanging.get(id);
  }

  /** Does for the peer what the peer does for us. */
  serve(client) {
    const handling = (does) => (ctx) => {
      this.handle(ctx.body);
      return does(ctx.body, ctx);
    };
    client.handle("/echo", handling(reply));
    client.handle(
      "/back",
      handling(async (id) => {
        await this.call(client, "/echo", `${id}<`);
        return reply(id);
      }),
    );
    client.handle(
      "/fail",
      handling((id) => {
        throw new ArpcError("aborted", reply(id));
      }),
    );
    client.handle(
      "/hang",
      handling(async (id, { signal }) => {
        client.notify("/hanging", id);
        this.#hangs++;
        if (!signal.aborted) await once(signal, "abort");
        this.#hangs--;
        this.hear(`${id} let go 1`);
        throw new ArpcError("canceled", reply(id));
      }),
    );
    client.handle("/hanging", ({ body }) => this.hang(body).resolve());
    client.handle("/note", ({ body }) => this.hear(body));
    client.handleStream("/mirror", (stream) => this.#mirror(stream));
    client.handleStream("/tap", (stream) => this.#tap(stream));
  }

  async #mirror(stream) {
    try {
      for await (const chunk of stream) {
        this.hear(nameOf(chunk));
        await stream.send(chunk);
      }
    } catch (error) {
      this.complain(`mirror: ${error}`);
    }
  }

  async #tap(stream) {
    let series;
    try {
      for await (series of stream) {
        for (let n = 0; n < 2; n++) await stream.send(this.say(series));
      }
      this.complain(`tap ${series}: it ended`);
    } catch (error) {
      if (error.code === "canceled") this.hear(this.say(`${series} left`));
      else this.complain(`tap ${series}: ${error}`);
    }
  }

  async call(client, method, id) {
    this.ask(id);
    await client.call(method, id).then(
      (got) => this.answer(id, reply(id), got),
      (error) => this.answer(id, "", "", error),
    );
  }

  async refused(client, id) {
    this.ask(id);
    const error = await client.call("/fail", id).catch((error) => error);
    if (error?.code === "aborted" && error.remote) this.answer(id, reply(id), error.message);
    else this.answer(id, "", "", `refused with ${error}`);
  }

  /** Asks, and gives up once that is handled. */
  async gaveUp(client, id) {
    this.ask(id);
    this.say(`${id} let go`);
    const gone = new AbortController();
    this.hang(id).promise.then(() => gone.abort());
    const error = await client.call("/hang", id, { signal: gone.signal }).catch((error) => error);
    this.#hanging.delete(id);
    this.answer(id, "", "", error?.code === "canceled" ? undefined : `given up with ${error}`);
  }

  note(client, series) {
    const text = this.say(series);
    if (client.notify("/note", text) === "dropped") this.complain(`${text} was dropped`);
  }

  /** Sends chunks of some sizes and sees that the same come back. */
  async mirrored(client, series, sizes) {
    const stream = client.stream("/mirror");
    const chunks = sizes.map((size) => this.#chunk(series, size));
    const sending = send(stream, chunks);
    let at = 0;
    try {
      for await (const got of stream) {
        const want = chunks[at++];
        if (!want || Buffer.compare(got, want) !== 0) {
          this.complain(`mirrored ${series}: chunk ${at} is another`);
        }
      }
      await sending;
    } catch (error) {
      this.complain(`mirrored ${series}: ${error}`);
    }
    if (at !== chunks.length) this.complain(`mirrored ${series}: ${at} of ${chunks.length} chunks`);
  }

  #chunk(series, size) {
    const name = Buffer.from(`${this.say(series)}|`);
    const chunk = new Uint8Array(Math.max(size, name.length));
    for (let i = 0; i < chunk.length; i++) chunk[i] = i < name.length ? name[i] : i * 7 + size;
    return chunk;
  }

  /** Takes what a tap sends, and leaves it. */
  async tapped(client, series) {
    const stream = client.stream("/tap");
    let left = 2;
    try {
      await stream.send(series);
      for await (const said of stream) {
        this.hear(said);
        if (--left === 0) return;
      }
      this.complain(`tapped ${series}: it ended`);
    } catch (error) {
      this.complain(`tapped ${series}: ${error}`);
    }
  }
}

async function send(stream, chunks) {
  for (const chunk of chunks) await stream.send(chunk);
  await stream.end();
}

function nameOf(chunk) {
  const name = text.decode(chunk);
  return name.slice(0, name.indexOf("|"));
}
