import type {
  ApiShape,
  BodyArguments,
  Calls,
  Handles,
  Name,
  Notifies,
  ReplyOf,
  RequestOf,
} from "./api.ts";
import { Backoff, type BackoffOptions } from "./backoff.ts";
import { type BodyKind, type Codec, decodeBody, encodeBody, json, type Payload } from "./codec.ts";
import { Conn, type ConnLimits } from "./conn.ts";
import { Emitter } from "./emitter.ts";
import { ArpcError } from "./errors.ts";
import { type HandleOptions, type Handler, type Middleware, Router } from "./handler.ts";
import { Inbound } from "./inbound.ts";
import { Outbox, type Outgoing } from "./outbox.ts";
import { aborted, Pending, type WaitOptions } from "./pending.ts";
import { CLOSE_BAD_FRAME, CLOSE_SILENT, type SocketConstructor } from "./socket.ts";
import { StreamRefuser } from "./stream.ts";
import {
  CMD_MASK,
  CMD_NOTIFY,
  CMD_REQUEST,
  CMD_RESPONSE,
  CMD_STREAM,
  decodeText,
  encodeFrame,
  FLAG_ERROR,
  type Frame,
  type FrameError,
  HEADER_LENGTH,
  KIND_SHIFT,
  kindOf,
} from "./wire.ts";

/**
 * Where a client is: `connecting` (dialing), `open` (ready), `waiting` (until it dials again) or
 * `closed` (for good).
 *
 *     connecting -> open -> waiting -> connecting …      any -> closed
 *     connecting -> waiting
 */
export type ClientState = "connecting" | "open" | "waiting" | "closed";

/** What goes with a change of state. */
export interface StateDetail {
  /** Why the connection ended, or could not be made (`waiting`). */
  readonly error?: ArpcError;
  /** Milliseconds until the next attempt (`waiting`). */
  readonly delay?: number;
}

/** The events of a client, with their listeners' arguments. */
export interface ClientEvents {
  /** The client's state changed. */
  state: [state: ClientState, detail: StateDetail];
  /**
   * Something failed that no promise tells: a handler or listener threw, a frame was bad, a topic
   * could not be subscribed again. Without a listener it goes to the console.
   */
  error: [error: ArpcError];
}

/** Settings of a client. Times are in ms, sizes in bytes. */
export interface ClientOptions {
  /** Makes the sockets. Node below 22 has none: give it that of the `ws` package. @default the runtime's */
  readonly WebSocket?: SocketConstructor;
  /** How long a call waits for its answer, the wait for a connection included; 0 has no end. @default 10_000 */
  readonly timeout?: number;
  /** Most bytes of one frame's method and body, both ways. @default 1_048_576 */
  readonly maxBody?: number;
  /** Most calls and notifies that wait for a connection. @default 4_096 */
  readonly maxQueue?: number;
  /** Most bytes that wait for a connection, or in the socket. @default 16_777_216 */
  readonly maxQueueBytes?: number;
  /** How values become bodies. @default JSON */
  readonly codec?: Codec;
  /** When to dial again. */
  readonly backoff?: BackoffOptions;
  /** How long a dial may take, and the check of a password after it. @default 10_000 */
  readonly connectTimeout?: number;
  /** Silence after which the peer is pinged, if no call waits for it. @default 25_000 */
  readonly pingInterval?: number;
  /** Silence after a ping that ends the connection. @default 35_000 */
  readonly pingTimeout?: number;
}

/** Settings of one call. */
export interface CallOptions extends WaitOptions {
  /** How to read a reply whose sender did not say what it is. @default JSON if it is JSON, else text */
  readonly as?: BodyKind | undefined;
}

/**
 * What became of a notify: `sent` to the socket, `queued` until there is a connection, `dropped`
 * because the queue is full or the client is closed.
 */
export type NotifyResult = "sent" | "queued" | "dropped";

/**
 * One end of a connection that is made again whenever it is lost. It dials at once; what is called
 * before it is open waits.
 */
export class Client<A extends ApiShape = ApiShape> {
  readonly #url: string;
  readonly #Socket: SocketConstructor;
  readonly #limits: ConnLimits;
  readonly #timeout: number;
  readonly #maxQueueBytes: number;
  readonly #codec: Codec;
  readonly #backoff: Backoff;
  readonly #emitter: Emitter<ClientEvents>;
  readonly #router: Router;
  readonly #inbound: Inbound;
  readonly #outbox: Outbox;
  readonly #pending = new Map<bigint, Pending>();
  #seq = 0n;

  #state: ClientState = "connecting";
  #conn: Conn | undefined;
  #openedAt: number | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #reporting = false;

  /** @internal */
  constructor(url: string, Socket: SocketConstructor, options: ClientOptions) {
    this.#url = url;
    this.#Socket = Socket;
    const maxBody = options.maxBody ?? 1 << 20;
    this.#limits = {
      maxBody,
      connectTimeout: options.connectTimeout ?? 10_000,
      pingInterval: options.pingInterval ?? 25_000,
      pingTimeout: options.pingTimeout ?? 35_000,
    };
    this.#timeout = options.timeout ?? 10_000;
    this.#maxQueueBytes = options.maxQueueBytes ?? 16 << 20;
    this.#codec = options.codec ?? json;
    this.#backoff = new Backoff(options.backoff ?? {});
    const report = (error: unknown): void => this.report(error);
    this.#emitter = new Emitter(report);
    this.#router = new Router();
    this.#inbound = new Inbound(this.#router, this.#codec, maxBody, report);
    this.#outbox = new Outbox(options.maxQueue ?? 4096, this.#maxQueueBytes);
    this.#dial();
    listen("addEventListener", this.#onOnline);
  }

  /** Where the client is. */
  get state(): ClientState {
    return this.#state;
  }

  /** Listens to an event; returns the undo. */
  on<E extends keyof ClientEvents>(
    event: E,
    listener: (...args: ClientEvents[E]) => void,
  ): () => void {
    return this.#emitter.on(event, listener);
  }

  /**
   * Calls a method of the peer. While there is no connection the call waits, within its timeout.
   * Rejects with an ArpcError: what the peer answered (`remote`), `deadline_exceeded`, `canceled`,
   * `unavailable` when the connection is lost (`sent` tells whether the peer may have got it),
   * `resource_exhausted` when the queue is full or the body too big, `invalid_argument`.
   */
  async call<M extends Name<Calls<A>>>(
    method: M,
    ...args: BodyArguments<RequestOf<Calls<A>, M>, CallOptions>
  ): Promise<ReplyOf<Calls<A>, M>> {
    const [body, options = {}] = args as [body?: unknown, options?: CallOptions];
    const { flag, body: bytes } = await this.request(method, this.encode(body), options);
    return this.decode(bytes, flag, options.as) as ReplyOf<Calls<A>, M>;
  }

  /**
   * Tells the peer without an answer; tells what became of it.
   * @throws ArpcError `invalid_argument` or `resource_exhausted` when it can never be sent.
   */
  notify<M extends Name<Notifies<A>>>(
    method: M,
    ...[body]: BodyArguments<Notifies<A>[M], never>
  ): NotifyResult {
    const bytes = this.#encode(CMD_NOTIFY, method, 0n, this.encode(body));
    const outgoing = { bytes, sent: false };
    if (!this.#send(outgoing, this.#ready)) return "dropped";
    return outgoing.sent ? "sent" : "queued";
  }

  /**
   * Handles what the peer calls or notifies by a method. What the handler returns, or resolves
   * with, is the reply; what it throws is the error: the text of an ArpcError, `internal error`
   * for all else (which the `error` event tells). Requests run concurrently, notifies in order.
   * @returns the undo.
   * @throws ArpcError `already_exists` when the method has a handler.
   */
  handle<M extends Name<Handles<A>>>(
    method: M,
    handler: Handler<RequestOf<Handles<A>, M>, ReplyOf<Handles<A>, M>>,
    options?: HandleOptions,
  ): () => void {
    return this.#router.handle(method, handler as Handler, options);
  }

  /** Handles all that no handler is registered for; without it requests get `method not found`. */
  handleNotFound(handler: Handler, options?: HandleOptions): void {
    this.#router.handleNotFound(handler, options);
  }

  /** Puts a middleware around the handlers registered after it, inside the middleware before it. */
  use(middleware: Middleware): void {
    this.#router.use(middleware);
  }

  /**
   * Ends the client for good: what waits for an answer fails with `unavailable`, nothing is dialed,
   * no timer and no listener is left. Closing again does nothing.
   */
  close(): void {
    if (this.#state === "closed") return;
    clearTimeout(this.#timer);
    listen("removeEventListener", this.#onOnline);
    this.#conn?.close();
    this.#conn = undefined;
    this.#setState("closed", {});
    this.#outbox.clear();
    this.#inbound.clear();
    this.#failPending("the client was closed");
    this.#emitter.clear();
  }

  /** Tells an error that no promise tells. @internal */
  protected report(reason: unknown): void {
    const error = ArpcError.from(reason);
    const isNested = this.#reporting;
    this.#reporting = true;
    if (isNested || !this.#emitter.emit("error", error)) {
      // biome-ignore lint/suspicious/noConsole: the last resort, so that no error is silent
      console.error(error);
    }
    this.#reporting = isNested;
  }

  /** @internal */
  protected encode(value: unknown): Payload {
    return encodeBody(value, this.#codec);
  }

  /** @internal */
  protected decode(bytes: Uint8Array, flag: number, as?: BodyKind): unknown {
    return decodeBody(bytes, kindOf(flag), this.#codec, as);
  }

  /**
   * Sends a request; resolves with the answer, rejects with the peer's error or our own.
   * @param conn the connection to use before the client is open. @internal
   */
  protected async request(
    method: string,
    payload: Payload,
    { timeout = this.#timeout, signal }: WaitOptions,
    conn: Conn | undefined = this.#ready,
  ): Promise<Frame> {
    if (signal?.aborted) throw aborted(signal.reason);
    const seq = ++this.#seq;
    const bytes = this.#encode(CMD_REQUEST, method, seq, payload);
    const pending: Pending = new Pending(bytes, { timeout, signal }, () => {
      this.#pending.delete(seq);
      this.#outbox.delete(pending);
    });
    this.#pending.set(seq, pending);
    if (!this.#send(pending, conn)) {
      if (this.#state === "closed") pending.fail("unavailable", "the client is closed");
      else pending.fail("resource_exhausted", "the queue is full");
    }
    const answer = await pending.answer;
    if (answer.flag & FLAG_ERROR) throw remoteError(decodeText(answer.body));
    return answer;
  }

  /** What must be done on a new connection before it is `open`. @internal */
  protected greet(_conn: Conn): Promise<void> | undefined {
    return undefined;
  }

  /** The client is open; what waited has not been sent yet. @internal */
  protected opened(): void {}

  /** The client is no longer open. @internal */
  protected lost(): void {}

  /** Takes a notify before the handlers do. @internal */
  protected takeNotify(_frame: Frame): boolean {
    return false;
  }

  /** The connection, if it is ready for use. */
  get #ready(): Conn | undefined {
    return this.#state === "open" ? this.#conn : undefined;
  }

  #encode(cmd: number, method: string, seq: bigint, { kind, bytes }: Payload): Uint8Array {
    let encoded: Uint8Array;
    try {
      encoded = encodeFrame({ cmd, flag: kind << KIND_SHIFT, method, seq, body: bytes });
    } catch (cause) {
      throw new ArpcError("invalid_argument", (cause as FrameError).message, { cause });
    }
    const { maxBody } = this.#limits;
    if (encoded.length - HEADER_LENGTH > maxBody) {
      throw new ArpcError("resource_exhausted", `body over ${maxBody} bytes`);
    }
    return encoded;
  }

  /** Sends now, or as soon as there is a connection; false when it would be too much, or in vain. */
  #send(outgoing: Outgoing, conn: Conn | undefined): boolean {
    if (conn && conn.bufferedAmount > this.#maxQueueBytes) return false;
    outgoing.sent = conn?.send(outgoing.bytes) ?? false;
    return outgoing.sent || (this.#state !== "closed" && this.#outbox.add(outgoing));
  }

  #dial(): void {
    this.#timer = undefined;
    const conn: Conn = new Conn(new this.#Socket(this.#url), this.#limits, {
      open: () => this.#greeted(conn),
      frame: (frame) => this.#dispatch(frame, conn, refuser),
      close: (reason) => this.#lost(reason),
      idle: () => this.#pending.size === 0,
    });
    const refuser = new StreamRefuser();
    this.#conn = conn;
    this.#setState("connecting", {});
  }

  #greeted(conn: Conn): void {
    const greeting = this.greet(conn);
    if (!greeting) {
      this.#setState("open", {});
      return;
    }
    greeting.then(
      () => {
        if (conn === this.#conn) this.#setState("open", {});
      },
      (error) => conn.fail(CLOSE_SILENT, ArpcError.from(error)),
    );
  }

  #lost(reason: ArpcError): void {
    this.#conn = undefined;
    const uptime = this.#openedAt === undefined ? 0 : performance.now() - this.#openedAt;
    const delay = this.#backoff.next(uptime);
    this.#timer = setTimeout(() => this.#redial(), delay);
    this.#failPending("the connection was lost", reason);
    this.#setState("waiting", { error: reason, delay });
    // The others are the network's doing, and the state event tells those.
    if (reason.code !== "unavailable") this.report(reason);
  }

  #redial(): void {
    try {
      this.#dial();
    } catch (error) {
      this.#lost(new ArpcError("unavailable", "dialing failed", { cause: error }));
    }
  }

  readonly #onOnline = (): void => {
    if (this.#state !== "waiting") return;
    clearTimeout(this.#timer);
    this.#redial();
  };

  /** The only place the state changes. */
  #setState(state: ClientState, detail: StateDetail): void {
    const before = this.#state;
    if (state === before) return;
    this.#state = state;
    this.#openedAt = state === "open" ? performance.now() : undefined;
    if (before === "open" || state === "closed") this.lost();
    if (state === "open") {
      this.opened();
      this.#outbox.flush((bytes) => this.#conn?.send(bytes) ?? false);
    }
    this.#emitter.emit("state", state, detail);
  }

  /** Fails the calls the peer may have, and with the client closed those it cannot have too. */
  #failPending(message: string, cause?: ArpcError): void {
    for (const pending of this.#pending.values()) {
      if (pending.sent || this.#state === "closed") pending.fail("unavailable", message, cause);
    }
  }

  #dispatch(frame: Frame, conn: Conn, refuser: StreamRefuser): void {
    switch (frame.cmd & CMD_MASK) {
      case CMD_RESPONSE:
        // An answer nobody waits for came too late, or twice.
        this.#pending.get(frame.seq)?.settle(frame);
        return;
      case CMD_REQUEST:
        void this.#inbound.request(frame, conn);
        return;
      case CMD_NOTIFY:
        if (!this.takeNotify(frame)) this.#inbound.notify(frame, conn);
        return;
      case CMD_STREAM:
        refuser.refuse(frame, conn);
        return;
      default: {
        const reason = `bad frame: command ${frame.cmd & CMD_MASK} was not agreed`;
        conn.fail(CLOSE_BAD_FRAME, new ArpcError("unimplemented", reason));
      }
    }
  }
}

/** The error in a base peer's answer, which is a text and nothing more. */
function remoteError(text: string): ArpcError {
  const code = text === "method not found" ? "not_found" : "unknown";
  return new ArpcError(code, text, { sent: true, remote: true });
}

/** Adds or removes the listener to `online`, where the runtime has that event. */
function listen(how: "addEventListener" | "removeEventListener", listener: () => void): void {
  (globalThis as Partial<EventTarget>)[how]?.("online", listener);
}
