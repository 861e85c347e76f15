/**
 * A server that keeps sessions, in memory, over a network that is cut where the test says. Nothing
 * here is the client's code but the frames.
 *
 *     const server = new SessionServer();
 *     server.serve = (frame, session) => session.send(response(frame, "hi"));
 *     const client = connect("ws://fake/", { WebSocket: server.WebSocket });
 *     server.cuts.push({ up: 100 });       // the first connection ends behind its 100th byte up
 *     server.line.cut();                   // the newest one ends now
 *     server.session.send(notify("/n"));   // on its connection, or when there is one again
 *     server.isManual = true;              // nothing moves but by line.open, flow and tell
 */

import type { Socket, SocketConstructor } from "../../src/index.ts";
import { decodeText, encodeFrame, type Frame, frameDecoder } from "../../src/wire.ts";
import { frame, helloAnswer, structuredFailure } from "./server.ts";

const CMD_CONFIRM = 9;

/** What a client says in a hello, as far as sessions go. */
export interface SaidHello {
  readonly caps: string[];
  readonly session?: { ticket: string; received: number };
}

export function isCounted({ cmd, flag }: Frame): boolean {
  return ![4, 5, CMD_CONFIRM].includes(cmd & 0x3f) && !(flag & 8);
}

/** What the server remembers of one client. */
export class ServerSession {
  /** The tickets that are good: one, or two until the newer one is known to have arrived. */
  readonly tickets: string[] = [];
  /** Counted frames of the client that were served. */
  received = 0;
  /** Frames of ours that it has not confirmed, and how many are before them. */
  readonly journal: Uint8Array[] = [];
  gone = 0;
  line: Line | undefined;
  isOver = false;

  get sent(): number {
    return this.gone + this.journal.length;
  }

  send(...frames: Frame[]): void {
    for (const each of frames) {
      const bytes = encodeFrame(each);
      if (isCounted(each)) this.journal.push(bytes);
      this.line?.send(bytes);
    }
  }

  /** Confirms what arrived. */
  tellReceived(): void {
    this.line?.send(encodeFrame(frame(CMD_CONFIRM, "", BigInt(this.received))));
  }

  confirm(count: number): void {
    if (count > this.sent) throw new Error(`confirm of ${count}, sent ${this.sent}`);
    if (count <= this.gone) return;
    this.journal.splice(0, count - this.gone);
    this.gone = count;
  }
}

export class SessionServer {
  readonly WebSocket: SocketConstructor;
  /** Each connection dialed, and its hello. */
  readonly lines: Line[] = [];
  readonly hellos: SaidHello[] = [];
  readonly sessions: ServerSession[] = [];
  /** What to do with a frame of the session, or outside of it. */
  serve: (frame: Frame, session: ServerSession) => void = () => {};
  /** After how many bytes the next connections end, each way. */
  readonly cuts: Array<{ up?: number; down?: number }> = [];
  /** Answers a hello by itself; true if it did. */
  hook: ((frame: Frame, line: Line, said: SaidHello) => boolean) | undefined;
  isManual = false;
  /** Members of each answer to hello. */
  extra: Record<string, unknown> = {};

  constructor() {
    const server = this;
    this.WebSocket = class extends Line {
      constructor() {
        super(server, server.cuts.shift());
        server.lines.push(this);
      }
    };
  }

  get line(): Line {
    return this.lines.at(-1) as Line;
  }

  get session(): ServerSession {
    return this.sessions.at(-1) as ServerSession;
  }

  /** @internal */
  greet(asked: Frame, line: Line): void {
    const said = JSON.parse(decodeText(asked.body)) as SaidHello;
    this.hellos.push(said);
    if (this.hook?.(asked, line, said)) return;
    const { ticket, received = 0 } = said.session ?? {};
    const old = this.sessions.find(({ tickets }) => ticket && tickets.includes(ticket));
    const isKnown = old && !old.isOver;
    if (isKnown && (received < old.gone || received > old.sent)) {
      const error = { code: "invalid_argument", message: "received out of range" };
      line.send(encodeFrame({ ...structuredFailure(asked, error), flag: 0x0d }));
      return;
    }
    if (old?.line && old.line !== line) old.line.close();
    const session = isKnown ? old : new ServerSession();
    if (isKnown) {
      // What is presented is what the client has: the other one is not.
      session.confirm(received);
      session.tickets.splice(0, Infinity, ticket as string);
    } else this.sessions.push(session);
    const given = `ticket-${this.sessions.length}-${this.lines.length}`;
    session.tickets.push(given);
    line.session = session;
    line.ticket = given;
    session.line = undefined;
    const told = ticket && {
      resumed: isKnown !== undefined && isKnown,
      ...(isKnown ? { received: session.received } : { reason: "unknown" }),
    };
    const answer = { ...told, ticket: given, grace: 60_000, ...this.extra };
    const caps = said.caps.filter((name) => name !== "topics");
    line.send(encodeFrame(helloAnswer(asked, { caps, window: 1 << 18, ...answer })));
    for (const bytes of session.journal) line.send(bytes);
    session.line = line;
  }
}

/** One connection: the client's socket, and the server's end of it. */
export class Line implements Socket {
  readyState = 0;
  bufferedAmount = 0;
  binaryType = "";
  onopen: unknown = null;
  onmessage: unknown = null;
  onerror: unknown = null;
  onclose: unknown = null;
  session: ServerSession | undefined;
  /** The ticket it was answered with. */
  ticket = "";
  /** Every frame that arrived at the server. */
  readonly frames: Frame[] = [];
  readonly passed = { up: 0, down: 0 };
  readonly #server: SessionServer;
  readonly #cut: { up?: number; down?: number };
  readonly #waiting: { up: Uint8Array[]; down: Uint8Array[] } = { up: [], down: [] };
  readonly #decoder = frameDecoder(64 << 20);

  constructor(server: SessionServer, cut: { up?: number; down?: number } = {}) {
    this.#server = server;
    this.#cut = cut;
    this.#later(() => this.open());
  }

  open(): void {
    if (this.readyState !== 0) return;
    this.readyState = 1;
    call(this.onopen, {});
  }

  /** The client sends. */
  send(data: ArrayBuffer | Uint8Array): void {
    // The server's frames are arrays already.
    const way = data instanceof Uint8Array ? "down" : "up";
    this.#waiting[way].push(new Uint8Array(data).slice());
    this.#later(() => this.flow(way));
  }

  /** Lets one message through, or as much of it as is not cut off. */
  flow(way: "up" | "down"): void {
    const message = this.#waiting[way].shift();
    if (!message || this.readyState !== 1) return;
    const room = (this.#cut[way] ?? Infinity) - this.passed[way];
    const bytes = message.subarray(0, room);
    this.passed[way] += bytes.length;
    if (bytes.length > 0) {
      if (way === "up") this.#receive(bytes);
      else call(this.onmessage, { data: bytes.slice().buffer });
    }
    if (bytes.length < message.length) this.cut();
  }

  /** Ends it behind so many more bytes. */
  limit(way: "up" | "down", bytes: number): void {
    this.#cut[way] = this.passed[way] + bytes;
  }

  /** The network is gone. */
  cut(): void {
    if (this.readyState === 3) return;
    this.#ended();
    this.#later(() => this.tell());
  }

  /** Tells the client of the end. */
  tell(): void {
    if (this.readyState === 3) call(this.onclose, { code: 1006, reason: "" });
  }

  /** Either end closes it: what was sent before arrives. */
  close(): void {
    while (this.readyState === 1 && this.#waiting.up.length > 0) this.flow("up");
    this.cut();
  }

  #ended(): void {
    this.readyState = 3;
    if (this.session?.line === this) this.session.line = undefined;
  }

  #later(work: () => void): void {
    if (this.#server.isManual) return;
    queueMicrotask(work);
  }

  #receive(bytes: Uint8Array): void {
    this.#decoder.push(bytes.slice());
    for (let each = this.#decoder.next(); each; each = this.#decoder.next()) {
      this.frames.push(each);
      this.#take(each);
    }
  }

  #take(each: Frame): void {
    const { session } = this;
    if (each.method === "arpc.hello") {
      this.#server.greet(each, this);
    } else if (each.cmd === CMD_CONFIRM) {
      session?.confirm(Number(each.seq));
      // It has the newest ticket: the older one is spent.
      if (session?.tickets.includes(this.ticket)) {
        session.tickets.splice(0, Infinity, this.ticket);
      }
    } else if (each.method === "arpc.goaway" && session) {
      session.isOver = true;
    } else if (each.cmd === 4) {
      this.send(encodeFrame(frame(5, "", each.seq)));
    } else if (session && session.line === this) {
      if (isCounted(each)) session.received++;
      this.#server.serve(each, session);
    }
  }
}

function call(handler: unknown, event: unknown): void {
  if (typeof handler === "function") handler(event);
}
