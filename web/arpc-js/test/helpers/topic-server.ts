/**
 * A server of topics that are logs, without a network: it takes frames and gives bytes.
 *
 *     const server = new TopicServer();
 *     server.publish("room", "hi");                        // everybody who is subscribed gets it
 *     server.forget("room", 7);                            // its log holds nothing below 7
 *     server.restart("room");                              // a new epoch
 *     const { serve, hello } = overSockets(server);        // for startServer
 *     const session = plug(server, sockets.last);          // for a fake socket
 *     session.event("room", "gap", { offset: 9 });         // what a server would not say by itself
 */

import { decodePublication, decodeWithOptions, encodePublication } from "../../src/publication.ts";
import {
  CMD_NOTIFY,
  CMD_REQUEST,
  CMD_RESPONSE,
  decodeText,
  encodeFrame,
  encodeText,
  FLAG_ERROR,
  FLAG_OUTSIDE,
  FLAG_STRUCTURED,
  type Frame,
  KIND_MASK,
} from "../../src/wire.ts";
import type { FakeSocket } from "./fake-socket.ts";
import { helloAnswer, type Peer, type Serve } from "./server.ts";

type Body = Record<string, unknown>;

/** What an answer of the server's can be besides a body. */
export class Refusal extends Error {
  readonly code: string;

  constructor(code: string) {
    super(`said ${code}`);
    this.code = code;
  }
}

/** A topic: its publications as whole frames, of which those below `from` are gone. */
class Log {
  epoch: string;
  from = 1;
  readonly frames: Uint8Array[] = [];
  readonly publishers: Array<Session | undefined> = [];
  readonly keys = new Map<string, number>();
  readonly members = new Map<string, Body>();
  version = 0;

  constructor(epoch: string) {
    this.epoch = epoch;
  }

  get newest(): number {
    return this.frames.length;
  }

  get oldest(): number {
    return Math.min(this.from, this.newest + 1);
  }
}

interface Subscriber {
  offset: number;
  readonly body: Body;
  member?: Body;
}

/** What clients have in common: the logs. */
export class TopicServer {
  readonly logs = new Map<string, Log>();
  readonly sessions = new Set<Session>();
  /** Refuses what it does not like: called with each request. */
  authorize: (method: string, body: Body) => void = () => {};
  /** Whether answers tell the newest offset. */
  tellsLast = true;
  #lives = 0;

  log(topic: string): Log {
    const log = this.logs.get(topic) ?? new Log(`e${++this.#lives}`);
    this.logs.set(topic, log);
    return log;
  }

  /** Appends a text to a log. */
  publish(topic: string, text: string, publisher?: Session): number {
    return this.append(topic, encodeText(text), 1 << 4, publisher);
  }

  append(topic: string, data: Uint8Array, kind: number, publisher?: Session): number {
    const log = this.log(topic);
    const seq = BigInt(log.newest + 1);
    const body = topic ? encodePublication({ topic, data, time: 1234 }) : data;
    const method = topic ? "in_P" : "/broadcast";
    log.frames.push(encodeFrame({ cmd: CMD_NOTIFY, flag: FLAG_OUTSIDE | kind, method, seq, body }));
    log.publishers.push(publisher);
    for (const session of this.sessions) session.flush();
    return log.newest;
  }

  /** Drops what is below an offset. */
  forget(topic: string, below: number): void {
    this.log(topic).from = below;
  }

  /** Begins a new epoch with an empty log. */
  restart(topic: string): void {
    this.logs.delete(topic);
    const log = this.log(topic);
    for (const session of this.sessions) {
      const subscriber = session.subscribers.get(topic);
      if (!subscriber) continue;
      subscriber.offset = 0;
      session.event(topic, "epoch", { epoch: log.epoch, offset: 0 });
    }
  }

  /** Tells who is present that somebody came or left. */
  present(topic: string, event: "join" | "leave", member: Body): void {
    const log = this.log(topic);
    if (event === "join") log.members.set(String(member["id"]), member);
    else log.members.delete(String(member["id"]));
    log.version++;
    for (const session of this.sessions) {
      if (!session.subscribers.get(topic)?.body["presence"]) continue;
      session.event(topic, event, { member, version: log.version });
    }
  }
}

let lastId = 0;

/** One connection of a client. */
export class Session {
  readonly id = `s${++lastId}`;
  readonly server: TopicServer;
  readonly subscribers = new Map<string, Subscriber>();
  /** The requests of the protocol's own methods, in order, hello included. */
  readonly asked: Array<{ method: string; body: Body }> = [];
  /** Whether pushes wait, as for a slow connection. */
  isLagging = false;
  readonly send: (bytes: Uint8Array) => void;

  constructor(server: TopicServer, send: (bytes: Uint8Array) => void) {
    this.server = server;
    this.send = send;
    server.sessions.add(this);
  }

  /** The connection is gone. */
  end(): void {
    this.server.sessions.delete(this);
    for (const [topic, { member }] of this.subscribers) {
      if (member) this.server.present(topic, "leave", member);
    }
  }

  receive(frame: Frame): void {
    if (frame.cmd !== CMD_REQUEST) return;
    try {
      this.#answer(frame);
    } catch (error) {
      const { code, message } = error as Refusal;
      const flag = FLAG_ERROR | FLAG_STRUCTURED | (frame.flag & FLAG_OUTSIDE);
      const body = encodeText(JSON.stringify({ code, message }));
      this.send(encodeFrame({ ...frame, cmd: CMD_RESPONSE, flag, body }));
    }
    this.flush();
  }

  /** Pushes what is behind the cursors. */
  flush(): void {
    for (const [topic, subscriber] of this.isLagging ? [] : this.subscribers) {
      const log = this.server.log(topic);
      while (subscriber.offset < log.newest) this.#push(topic, log, subscriber);
    }
  }

  #push(topic: string, log: Log, subscriber: Subscriber): void {
    const { body } = subscriber;
    if (subscriber.offset < log.oldest - 1) {
      const missed = log.oldest - 1 - subscriber.offset;
      subscriber.offset = log.oldest - 1;
      this.event(topic, "gap", { offset: subscriber.offset, missed });
      return;
    }
    subscriber.offset++;
    const i = subscriber.offset - 1;
    const isMuted = body["echo"] === false && log.publishers[i] === this;
    if (isMuted) this.event(topic, "skip", { offset: subscriber.offset });
    else this.send(log.frames[i]!);
  }

  event(topic: string, event: string, body: Body = {}): void {
    const { epoch } = this.server.log(topic);
    const offset = this.subscribers.get(topic)?.offset ?? 0;
    this.raw("arpc.topic", { topic, event, epoch, offset, ...body });
  }

  /** A notify of the protocol itself. */
  raw(method: string, body: unknown): void {
    const bytes = encodeText(JSON.stringify(body));
    this.send(encodeFrame({ cmd: CMD_NOTIFY, flag: FLAG_OUTSIDE | 0x30, method, body: bytes }));
  }

  /** The server subscribes the client, which did not ask. */
  join(topic: string): void {
    const offset = this.server.log(topic).newest;
    this.subscribers.set(topic, { offset, body: {} });
    this.event(topic, "subscribed");
  }

  #answer(frame: Frame): void {
    const { method } = frame;
    if (method === "arpc.publish") {
      const [data, options] = decodeWithOptions(frame.body);
      this.asked.push({ method, body: options });
      this.#reply(frame, this.#publish(frame, data, options));
      return;
    }
    const body = JSON.parse(decodeText(frame.body)) as Body;
    this.asked.push({ method, body });
    this.server.authorize(method, body);
    if (method === "arpc.hello") this.#hello(frame, body);
    else if (method === "arpc.subscribe") this.#reply(frame, this.subscribe(body));
    else if (method === "arpc.unsubscribe") this.#reply(frame, this.#unsubscribe(body));
    else if (method === "arpc.presence") this.#reply(frame, this.#presence(String(body["topic"])));
    else if (method === "arpc.history") this.#history(frame, body);
    else throw new Refusal("not_found");
  }

  #reply(frame: Frame, body: unknown): void {
    const bytes = encodeText(JSON.stringify(body));
    const flag = (frame.flag & FLAG_OUTSIDE) | 0x30;
    this.send(encodeFrame({ ...frame, cmd: CMD_RESPONSE, flag, body: bytes }));
  }

  #hello(frame: Frame, body: Body): void {
    const answers = (body["topics"] as Body[]).map((listed) => {
      try {
        this.server.authorize("arpc.subscribe", listed);
        return this.subscribe(listed);
      } catch (error) {
        const { code, message } = error as Refusal;
        return { error: { code, message } };
      }
    });
    const caps = ["batch", "cancel", "errors", "kind", "goaway", "topics"];
    this.send(encodeFrame(helloAnswer(frame, { caps, topics: answers })));
  }

  subscribe(body: Body): Body {
    const topic = String(body["topic"]);
    const log = this.server.log(topic);
    const { epoch, offset, last = 0 } = body as { epoch?: string; offset?: number; last?: number };
    if ((epoch === undefined) !== (offset === undefined)) throw new Refusal("invalid_argument");
    const floor = log.oldest - 1;
    let at = Math.max(log.newest - last, floor);
    let recovered = true;
    if (epoch !== undefined && offset !== undefined) {
      recovered = epoch === log.epoch && offset >= floor && offset <= log.newest;
      at = recovered ? offset : epoch === log.epoch && offset > log.newest ? log.newest : floor;
    }
    const before = this.subscribers.get(topic);
    const subscriber: Subscriber = { offset: at, body };
    this.subscribers.set(topic, subscriber);
    if (before?.member) subscriber.member = before.member;
    if (body["presence"] && !subscriber.member) {
      subscriber.member = { id: this.id, info: body["info"], since: 5 };
      this.subscribers.delete(topic);
      this.server.present(topic, "join", subscriber.member);
      this.subscribers.set(topic, subscriber);
    }
    return {
      epoch: log.epoch,
      offset: at,
      recovered,
      from: log.oldest,
      ...(this.server.tellsLast && { last: log.newest }),
      ...(body["presence"] ? this.#presence(topic) : {}),
    };
  }

  #unsubscribe({ topic }: Body): Body {
    const subscriber = this.subscribers.get(String(topic));
    this.subscribers.delete(String(topic));
    if (subscriber?.member) this.server.present(String(topic), "leave", subscriber.member);
    return {};
  }

  #presence(topic: string): Body {
    const { members, version } = this.server.log(topic);
    return { members: [...members.values()], version };
  }

  #publish(frame: Frame, data: Uint8Array, options: Body): Body {
    const { topic, key, echo, one } = options as {
      topic: string;
      key?: string;
      echo?: boolean;
      one?: boolean;
    };
    this.server.authorize("arpc.publish", options);
    const log = this.server.log(topic);
    const known = key === undefined ? undefined : log.keys.get(key);
    if (known !== undefined) return { epoch: log.epoch, offset: known };
    const kind = frame.flag & KIND_MASK;
    if (one) {
      const body = encodePublication({ topic, data, time: 1234 });
      const [session] = [...this.server.sessions].filter(({ subscribers }) =>
        subscribers.has(topic),
      );
      session?.send(encodeFrame({ cmd: CMD_NOTIFY, flag: kind, method: "in_P", body }));
      return {};
    }
    const offset = this.server.append(topic, data.slice(), kind, echo === false ? this : undefined);
    if (key !== undefined) log.keys.set(key, offset);
    return { epoch: log.epoch, offset };
  }

  #history(frame: Frame, body: Body): void {
    const {
      topic,
      after,
      before,
      limit = 100,
    } = body as {
      topic: string;
      after?: number;
      before?: number;
      limit?: number;
    };
    const log = this.server.log(topic);
    const low = Math.max(log.oldest, (after ?? 0) + 1);
    const high = Math.min(log.newest, (before ?? Infinity) - 1);
    const count = Math.max(0, Math.min(limit, high - low + 1));
    const first = after === undefined ? high - count + 1 : low;
    const frames = Buffer.concat(log.frames.slice(first - 1, first - 1 + count));
    const from = log.oldest <= log.newest ? log.oldest : 0;
    const more = count < high - low + 1;
    const options = encodeText(JSON.stringify({ epoch: log.epoch, from, last: log.newest, more }));
    const length = Uint8Array.of(options.length, options.length >> 8);
    const bytes = new Uint8Array(Buffer.concat([frames, options, length]));
    this.send(encodeFrame({ ...frame, cmd: CMD_RESPONSE, flag: 0, body: bytes }));
  }
}

/** The topic in a push, for tests that look at frames. */
export function textOfPush(frame: Frame): string {
  return decodeText(decodePublication(frame.body).data);
}

/** A topic server behind the sockets of `startServer`. */
export function overSockets(server: TopicServer): {
  serve: Serve;
  hello: Serve;
  of(peer: Peer): Session;
} {
  const sessions = new WeakMap<Peer, Session>();
  const of = (peer: Peer): Session => {
    const session =
      sessions.get(peer) ??
      new Session(server, (bytes) => {
        if (peer.socket.readyState === 1) peer.sendRaw(bytes);
      });
    if (!sessions.has(peer)) void peer.closed.then(() => session.end());
    sessions.set(peer, session);
    return session;
  };
  const serve: Serve = (frame, peer) => of(peer).receive(frame);
  return { serve, hello: serve, of };
}

/** A topic server at the other end of a fake socket; `cut` is how many bytes arrive. */
export function plug(server: TopicServer, socket: FakeSocket, cut = Infinity): Session {
  let left = cut;
  const session: Session = new Session(server, (bytes) => {
    if (socket.readyState !== 1) return;
    const arriving = bytes.slice(0, left);
    left -= arriving.length;
    if (arriving.length > 0) socket.receiveRaw(arriving);
    if (left > 0) return;
    session.end();
    socket.drop();
  });
  // Not while the client is sending.
  socket.onsend = (frame) => queueMicrotask(() => session.receive(frame));
  return session;
}
