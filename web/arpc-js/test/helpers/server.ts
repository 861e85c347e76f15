/**
 * A server in the test's hands, on a port of its own. Recipes, most to least common:
 *
 *     const server = await startServer();                  // answers every request with its body
 *     const client = open(server);                         // closed with the test
 *     const server = await startServer(silent);            // answers nothing
 *     const server = await startServer(topics());          // subscribe, unsubscribe, publish
 *     const server = await startServer(echo, { hello: base });              // knows no hello
 *     const server = await startServer(echo, { hello: agrees({ caps: [] }) }); // and other answers
 *     const peer = await server.peer();                    // the next connection
 *     const frame = await peer.next();                     // its next frame, hello left out
 *     peer.send(response(frame, "hi"));                    // one frame, one message
 *     peer.send(a, b, c);                                  // several frames in one message
 *     peer.sendRaw(bytes.subarray(0, 7));                  // any bytes as a message
 *     peer.terminate();                                    // cut the connection
 *
 * Nothing here waits for a time: `next`, `peer` and `closed` resolve when it happened.
 */

import type { AddressInfo } from "node:net";
import { onTestFinished } from "vitest";
import { WebSocket, WebSocketServer, type WebSocket as WsSocket } from "ws";
import { type Client, type ConnectOptions, connect } from "../../src/index.ts";
import { decodePublication, encodePublication } from "../../src/publication.ts";
import {
  CMD_NOTIFY,
  CMD_REQUEST,
  CMD_RESPONSE,
  decodeText,
  encodeFrame,
  encodeText,
  FLAG_ASYNC,
  FLAG_ERROR,
  FLAG_STRUCTURED,
  type Frame,
  frameDecoder,
} from "../../src/wire.ts";

/** What a server does with a frame. */
export type Serve = (frame: Frame, peer: Peer) => void;

/** What a client says in its hello. */
export interface Hello {
  readonly arpc: number;
  readonly caps: string[];
  readonly coders: string[];
  readonly codec: string;
  readonly token?: string;
  readonly window: number;
}

/** What a server says to hello, all agreed to unless told. */
export interface Answer {
  readonly caps?: string[];
  readonly coders?: string[];
  readonly topics?: unknown;
  readonly ping?: number;
  readonly window?: number;
  readonly expires?: number;
  readonly ticket?: string;
  readonly grace?: number;
  readonly resumed?: boolean;
  readonly received?: unknown;
  readonly reason?: string;
  readonly limits?: { body?: number; inflight?: number };
}

const capabilities = ["batch", "cancel", "errors", "kind", "goaway"];

/** The answer to hello. */
export function helloAnswer(to: Frame, answer: Answer = {}): Frame {
  const limits = { body: 1 << 20, inflight: 1024, streams: 0, subscriptions: 0 };
  const agreed = { arpc: 1, caps: capabilities, coders: [], ping: 25_000, window: 0, ...answer };
  const body = JSON.stringify({ ...agreed, limits: { ...limits, ...answer.limits } });
  return { ...response(to, body), flag: 0x38 };
}

/** Answers hello. */
export function agrees(answer: Answer = {}): Serve {
  return (frame, peer) => peer.send(helloAnswer(frame, answer));
}

/** Answers hello as a base server does. */
export const base: Serve = (frame, peer) => peer.send(failure(frame, "method not found"));

/** Values that come one at a time and are taken one at a time, in order. */
export class Inbox<T> {
  readonly #items: T[] = [];
  readonly #takers: Array<(item: T) => void> = [];

  put(item: T): void {
    const taker = this.#takers.shift();
    if (taker) taker(item);
    else this.#items.push(item);
  }

  take(): Promise<T> {
    const item = this.#items.shift();
    if (item !== undefined) return Promise.resolve(item);
    return new Promise((resolve) => this.#takers.push(resolve));
  }

  get size(): number {
    return this.#items.length;
  }
}

/** The server's end of one connection. */
export class Peer {
  readonly socket: WsSocket;
  readonly frames: Inbox<Frame> = new Inbox();
  /** The hellos of the connection: one, or none. */
  readonly hellos: Inbox<Hello> = new Inbox();
  /** How many frames were in each message, hello left out. */
  readonly framesPerMessage: number[] = [];
  /** How many bytes each of them had. */
  readonly messageSizes: number[] = [];
  readonly closed: Promise<{ code: number; reason: string }>;

  /** @param greeted is called when hello was handled. */
  constructor(socket: WsSocket, serve: Serve, hello: Serve, greeted: () => void) {
    this.socket = socket;
    const decoder = frameDecoder(64 << 20);
    socket.on("message", (data: Buffer) => {
      decoder.push(new Uint8Array(data));
      let frames = 0;
      for (let frame = decoder.next(); frame; frame = decoder.next()) {
        if (frame.method === "arpc.hello") {
          this.hellos.put(JSON.parse(decodeText(frame.body)) as Hello);
          hello(frame, this);
          greeted();
          continue;
        }
        frames++;
        this.frames.put(frame);
        serve(frame, this);
      }
      if (frames === 0) return;
      this.framesPerMessage.push(frames);
      this.messageSizes.push(data.length);
    });
    this.closed = new Promise((resolve) => {
      socket.on("close", (code, reason) => resolve({ code, reason: reason.toString() }));
    });
  }

  next(): Promise<Frame> {
    return this.frames.take();
  }

  send(...frames: Frame[]): void {
    this.sendRaw(Buffer.concat(frames.map(encodeFrame)));
  }

  sendRaw(bytes: Uint8Array): void {
    this.socket.send(bytes);
  }

  terminate(): void {
    this.socket.terminate();
  }
}

export interface Server {
  readonly url: string;
  /** Connections accepted so far. */
  readonly accepted: number;
  /**
   * The next connection that was not taken yet. Hello was answered on it, so that what it sends
   * arrives at an open client; with `hello: "unsaid"` it was just accepted.
   */
  peer(): Promise<Peer>;
  stop(): Promise<void>;
}

/** Starts a server that ends with the test. @param hello `unsaid` for clients that say none. */
export async function startServer(
  serve: Serve = echo,
  { port = 0, hello = agrees() }: { port?: number; hello?: Serve | "unsaid" } = {},
): Promise<Server> {
  const peers = new Inbox<Peer>();
  let accepted = 0;
  const listener = new WebSocketServer({ host: "127.0.0.1", port });
  listener.on("connection", (socket) => {
    accepted++;
    if (hello === "unsaid") {
      peers.put(new Peer(socket, serve, silent, () => {}));
      return;
    }
    const peer: Peer = new Peer(socket, serve, hello, () => peers.put(peer));
  });
  await new Promise((resolve) => listener.once("listening", resolve));
  const stop = async (): Promise<void> => {
    const stopped = new Promise((resolve) => listener.close(resolve));
    for (const socket of listener.clients) socket.terminate();
    await stopped;
  };
  onTestFinished(stop);
  return {
    url: `ws://127.0.0.1:${(listener.address() as AddressInfo).port}/ws`,
    get accepted() {
      return accepted;
    },
    peer: () => peers.take(),
    stop,
  };
}

/** A client of a server, or of any URL, that ends with the test. Reconnects at once. */
export function open(server: { url: string }, options: ConnectOptions = {}): Client {
  const client = connect(server.url, { WebSocket, backoff: { random: () => 0 }, ...options });
  onTestFinished(() => client.close());
  return client;
}

/** Resolves with the detail when a client, or a subscription, is next in a state. */
export function becomes<State, Detail>(
  of: { on(event: "state", listener: (state: State, detail: Detail) => void): () => void },
  wanted: State,
): Promise<Detail> {
  return new Promise((resolve) => {
    const off = of.on("state", (state, detail) => {
      if (state !== wanted) return;
      off();
      resolve(detail);
    });
  });
}

export function frame(cmd: number, method: string, seq: bigint, body = "", flag = 0): Frame {
  return { cmd, flag, method, seq, body: encodeText(body) };
}

/** A request of the server's. */
export function request(method: string, seq: bigint, body = "", flag = 0): Frame {
  return frame(CMD_REQUEST, method, seq, body, flag);
}

export function notify(method: string, body = "", flag = 0): Frame {
  return frame(CMD_NOTIFY, method, 0n, body, flag);
}

/** The answer to a request, as an original server gives it. */
export function response({ flag, method, seq }: Frame, body: string | Uint8Array): Frame {
  const bytes = typeof body === "string" ? encodeText(body) : body;
  return { cmd: CMD_RESPONSE, flag: flag & FLAG_ASYNC, method, seq, body: bytes };
}

export function failure(to: Frame, text: string): Frame {
  const answer = response(to, text);
  return { ...answer, flag: answer.flag | FLAG_ERROR };
}

/** A failure with a code, as extended servers give it. */
export function structuredFailure(to: Frame, error: object): Frame {
  const answer = response(to, JSON.stringify(error));
  return { ...answer, flag: answer.flag | FLAG_ERROR | FLAG_STRUCTURED };
}

/** What an answer says: its text, or the message of its error. */
export function textOf({ flag, body }: Frame): string {
  const text = decodeText(body);
  return flag & FLAG_STRUCTURED ? (JSON.parse(text) as { message: string }).message : text;
}

/** Answers each request with the body it got and of the same kind. */
export const echo: Serve = (frame, peer) => {
  if (frame.cmd !== CMD_REQUEST) return;
  peer.send({ ...frame, cmd: CMD_RESPONSE });
};

export const silent: Serve = () => {};

/** The base routes of topics: everybody's publications to everybody subscribed. */
export function topics({ password }: { password?: string } = {}): Serve {
  const subscribers = new Map<string, Set<Peer>>();
  const offsets = new Map<string, bigint>();
  const known = new Set<Peer>();
  const members = (topic: string): Set<Peer> => {
    const set = subscribers.get(topic) ?? new Set();
    subscribers.set(topic, set);
    return set;
  };
  return (frame, peer) => {
    if (frame.cmd !== CMD_REQUEST) return;
    if (frame.method === "in_A") {
      if (Buffer.from(frame.body).toString() !== password) {
        peer.send(failure(frame, "invalid password"));
        return;
      }
      known.add(peer);
      peer.send(response(frame, ""));
      return;
    }
    if (password !== undefined && !known.has(peer)) {
      peer.send(failure(frame, "unauthenticated"));
      return;
    }
    const { topic, data, time } = decodePublication(frame.body);
    if (frame.method === "in_S") members(topic).add(peer);
    if (frame.method === "in_U") members(topic).delete(peer);
    peer.send(response(frame, ""));
    if (frame.method !== "in_P") return;
    const seq = (offsets.get(topic) ?? 0n) + 1n;
    offsets.set(topic, seq);
    const body = encodePublication({ topic, data, time });
    for (const member of members(topic)) {
      member.send({ cmd: CMD_NOTIFY, flag: frame.flag, method: "in_P", seq, body });
    }
  };
}
