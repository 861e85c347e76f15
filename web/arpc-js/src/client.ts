import type {
  ApiShape,
  BodyArguments,
  Calls as CallsOf,
  Handles,
  Name,
  Notifies,
  ReplyOf,
  RequestOf,
} from "./api.ts";
import { Calls } from "./calls.ts";
import { type BodyKind, decodeBody, decodeObject, encodeBody, type Payload } from "./codec.ts";
import type { Pipe, PipeOwner } from "./coder.ts";
import type { Conn } from "./conn.ts";
import { type ClientState, Dialer, type StateDetail } from "./dialer.ts";
import { Emitter } from "./emitter.ts";
import { ArpcError } from "./errors.ts";
import { type HandleOptions, type Handler, type Middleware, Router } from "./handler.ts";
import {
  CAPABILITIES,
  HELLO_TIMEOUT,
  type Hello,
  METHOD_GOAWAY,
  METHOD_TOKEN,
  PROTOCOL_PREFIX,
  positive,
} from "./hello.ts";
import { Inbound } from "./inbound.ts";
import {
  type CallOptions,
  type ClientEvents,
  type ClientOptions,
  type NotifyResult,
  type Settings,
  withDefaults,
} from "./options.ts";
import { Outbox, type Outgoing, tooBig } from "./outbox.ts";
import { watchPage } from "./page.ts";
import { aborted, Pending, type WaitOptions } from "./pending.ts";
import { refuseStream } from "./refuse.ts";
import type { SocketConstructor } from "./socket.ts";
import { checked, encodeRefusal } from "./structured.ts";
import {
  CMD_CANCEL,
  CMD_MASK,
  CMD_NOTIFY,
  CMD_REQUEST,
  CMD_RESPONSE,
  CMD_STREAM,
  encodeFrame,
  encodeText,
  FLAG_ASYNC,
  FLAG_OUTSIDE,
  type Frame,
  type FrameError,
  KIND_SHIFT,
  KIND_TEXT,
  kindOf,
  STREAM_END,
} from "./wire.ts";

/** How a request of the client's own is sent. */
export interface RequestOptions extends WaitOptions {
  /** The connection to use, ready or not; without it the request waits for one. */
  readonly conn?: Conn | undefined;
  /** Whether it is one of the protocol itself, which no session counts. */
  readonly outside?: boolean | undefined;
  /** The method and body of the request for a connection that knows another form of it. */
  readonly recode?: (conn: Conn) => [method: string, payload: Payload] | undefined;
  /** Told of the answer before what is behind it arrives; the promise tells later. Must not throw. */
  readonly answered?: Pending["answered"];
}

/** Longest that a server can keep a client away, in ms. */
const MAX_AWAY = 60_000;
/** Longest that a client stays on a connection it is to leave, in ms. */
const MAX_LEAVING = 3_600_000;

/**
 * One end of a connection that is made again whenever it is lost. It dials at once; what is called
 * before it is open waits.
 */
export class Client<A extends ApiShape = ApiShape> {
  /** @internal */
  protected readonly settings: Settings;
  readonly #emitter: Emitter<ClientEvents>;
  readonly #router: Router = new Router();
  readonly #inbound: Inbound;
  readonly #outbox: Outbox;
  readonly #calls: Calls;
  readonly #dialer: Dialer;
  #reporting = false;
  #unwatch: (() => void) | undefined;

  /** @internal */
  constructor(url: string, Socket: SocketConstructor, options: ClientOptions) {
    const report = (error: unknown): void => this.report(error);
    const settings = withDefaults(options, report);
    const changed = (): void => this.progress();
    const inflight = (): number => this.#calls.inflight;
    this.settings = settings;
    this.#emitter = new Emitter(report);
    this.#inbound = new Inbound(this.#router, settings.codec, { inflight, changed, report });
    this.#outbox = new Outbox(settings);
    this.#calls = new Calls((call) => {
      this.#outbox.delete(call);
      this.progress();
    });
    this.#dialer = new Dialer(url, Socket, settings, {
      frame: (frame, conn) => this.#dispatch(frame, conn),
      pipe: (owner) => this.pipe(owner),
      hello: (token) => this.hello(token),
      agreed: (conn) => this.agreed(conn),
      greet: (conn) => this.greet(conn),
      renew: (token, conn) => this.#renew(token, conn),
      isIdle: () => inflight() === 0,
      isDone: () => inflight() + this.#inbound.open + this.busy === 0,
      changed: (...change) => this.#changed(...change),
      report,
    });
  }

  /** Dials for the first time. @internal */
  start(): void {
    this.#unwatch = watchPage(this.#dialer);
    void this.#dialer.dial();
  }

  /** Where the client is. */
  get state(): ClientState {
    return this.#dialer.state;
  }

  /** What went with the last change of `state`: the same object until the next. */
  get detail(): StateDetail {
    return this.#dialer.detail;
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
  async call<M extends Name<CallsOf<A>>>(
    method: M,
    ...args: BodyArguments<RequestOf<CallsOf<A>, M>, CallOptions>
  ): Promise<ReplyOf<CallsOf<A>, M>> {
    const [body, options = {}] = args as [body?: unknown, options?: CallOptions];
    const answer = checked(await this.request(method, this.encode(body), options));
    return this.decode(answer.body, answer.flag, options.as) as ReplyOf<CallsOf<A>, M>;
  }

  /**
   * Tells the peer without an answer; tells what became of it.
   * @throws ArpcError `invalid_argument` or `resource_exhausted` when it can never be sent.
   */
  notify<M extends Name<Notifies<A>>>(
    method: M,
    ...[body]: BodyArguments<Notifies<A>[M], never>
  ): NotifyResult {
    const outgoing: Outgoing = {
      bytes: this.#encode(CMD_NOTIFY, FLAG_ASYNC, method, 0n, this.encode(body)),
      conn: undefined,
      fail: (code, message) => this.report(new ArpcError(code, message)),
    };
    if (!this.#send(outgoing)) return "dropped";
    return outgoing.conn ? "sent" : "queued";
  }

  /**
   * Handles what the peer calls or notifies by a method. What the handler returns, or resolves
   * with, is the reply; what it throws is the error: an ArpcError as it is, `internal error` for
   * all else (which the `error` event tells). Requests run concurrently, notifies in order.
   * @returns the undo.
   * @throws ArpcError `already_exists` when the method has a handler, `invalid_argument` when it
   * begins with `arpc.`: those are the protocol's.
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
    if (this.state === "closed") return;
    this.#unwatch?.();
    this.#dialer.close();
    this.#outbox.clear();
    this.#calls.fail(true, "the client was closed");
    this.#calls.close();
    this.#emitter.clear();
  }

  /** Calls the listeners of an event; false if it has none. @internal */
  protected emit<E extends keyof ClientEvents>(event: E, ...args: ClientEvents[E]): boolean {
    return this.#emitter.emit(event, ...args);
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
    return encodeBody(value, this.settings.codec);
  }

  /** @internal */
  protected decode(bytes: Uint8Array, flag: number, as?: BodyKind): unknown {
    return decodeBody(bytes, kindOf(flag), this.settings.codec, as);
  }

  /**
   * Sends a request; resolves with the answer, which may be an error, or rejects with ours.
   * @internal
   */
  protected request(
    method: string,
    payload: Payload,
    { timeout = this.settings.timeout, signal, conn, outside, recode, answered }: RequestOptions,
  ): Promise<Frame> {
    const { refusal } = this;
    if (refusal && !(conn && this.state !== "closed")) throw refusal;
    if (signal?.aborted) throw aborted(signal.reason);
    const seq = this.#calls.next();
    const bytes = this.#encode(CMD_REQUEST, outside ? FLAG_OUTSIDE : 0, method, seq, payload);
    const call = this.#calls.add(seq, bytes, { timeout, signal });
    call.answered = answered;
    call.recode =
      recode &&
      ((conn) => {
        const other = recode(conn);
        return other && this.#encode(CMD_REQUEST, 0, other[0], seq, other[1]);
      });
    if (!(conn ? this.#give(call, conn) : this.#send(call))) {
      if (conn) call.fail("unavailable", "the connection was lost");
      else call.fail("resource_exhausted", "the queue is full");
    }
    return call.answer;
  }

  /** Why what needs a connection must not even wait for one. @internal */
  protected get refusal(): ArpcError | undefined {
    if (this.state === "closed") return new ArpcError("unavailable", "the client is closed");
    const cause = this.#calls.obstacle;
    if (!cause || !this.settings.failFast) return undefined;
    return new ArpcError("unavailable", "there is no connection", { cause });
  }

  /** The connection, if new work may be given to it. @internal */
  protected get ready(): Conn | undefined {
    return this.#dialer.ready;
  }

  /** Makes the way of a connection's frames through coders. @internal */
  protected pipe(_owner: PipeOwner): Pipe | undefined {
    return undefined;
  }

  /** What to say in hello. What is built on the client adds its own. @internal */
  protected hello(token: string | undefined): Hello {
    const codec = this.settings.codec.name;
    return { caps: CAPABILITIES, coders: [], codec, token, window: 0 };
  }

  /** Hello was answered, as `conn.agreed` tells; what is behind the answer comes next. @internal */
  protected agreed(_conn: Conn): void {}

  /** What must be done on a new connection before it is `open`. @internal */
  protected greet(_conn: Conn): Promise<void> | undefined {
    return undefined;
  }

  /** What else a connection that is left waits for. @internal */
  protected get busy(): number {
    return 0;
  }

  /** The client is open; what waited has not been sent yet. @internal */
  protected opened(): void {}

  /** The connection is gone, whether it was open or not; or the client is closed. @internal */
  protected lost(): void {}

  /** Takes a frame other than a response before the client does; false if it is none of its. @internal */
  protected take(_frame: Frame, _conn: Conn): boolean {
    return false;
  }

  #encode(
    cmd: number,
    flag: number,
    method: string,
    seq: bigint,
    { kind, bytes }: Payload,
  ): Uint8Array {
    const maxBody = this.#dialer.conn?.maxBody ?? this.settings.maxBody;
    let frame: Uint8Array;
    try {
      frame = encodeFrame({ cmd, flag: flag | (kind << KIND_SHIFT), method, seq, body: bytes });
    } catch (cause) {
      throw new ArpcError("invalid_argument", (cause as FrameError).message, { cause });
    }
    const refusal = tooBig(frame, maxBody);
    if (refusal) throw refusal;
    return frame;
  }

  /** Sends now, or as soon as it can be; false when it would be too much, or in vain. */
  #send(outgoing: Outgoing): boolean {
    const conn = this.#dialer.ready;
    if (this.refusal || (conn && conn.bufferedAmount > this.settings.maxQueueBytes)) return false;
    return this.#transmit(outgoing) || this.#outbox.add(outgoing);
  }

  /**
   * Sends now; false when it has to wait: for a connection, or because the peer works on as many
   * calls as it wants. As many more as it has open here may be needed to answer those.
   */
  readonly #transmit = (outgoing: Outgoing): boolean => {
    const conn = this.#dialer.ready;
    if (!conn) return false;
    const isCall = outgoing instanceof Pending;
    if (isCall && this.#calls.inflight >= conn.agreed.inflight + this.#inbound.open) return false;
    return this.#give(outgoing, conn);
  };

  #give(outgoing: Outgoing, conn: Conn): boolean {
    // It may have been encoded before the peer said what it takes.
    const bytes = outgoing.recode?.(conn) ?? outgoing.bytes;
    const refusal = tooBig(bytes, conn.maxBody);
    if (refusal) {
      outgoing.fail(refusal.code, refusal.message);
      return true;
    }
    if (!conn.send(bytes)) return false;
    outgoing.conn = conn;
    if (outgoing instanceof Pending) {
      this.#calls.inflight++;
      this.#inbound.resume();
    }
    return true;
  }

  /** Something began or ended: others may have waited for that. @internal */
  protected progress(): void {
    this.#dialer.leaveIfDone();
    this.#outbox.flush(this.#transmit, false);
  }

  #changed(state: ClientState, detail: StateDetail): void {
    if (state !== "connecting") this.#calls.obstacle = detail.error;
    if (state === "waiting" || state === "closed") this.lost();
    if (state === "open") {
      this.opened();
      this.#outbox.flush(this.#transmit, true);
    } else if (state !== "connecting") {
      const reason = detail.error ?? new ArpcError("unavailable", "the client was closed");
      this.#inbound.lost(reason, state === "closed");
      this.#calls.fail(this.settings.failFast, "the connection was lost", reason);
    }
    this.#emitter.emit("state", state, detail);
  }

  async #renew(token: string, conn: Conn): Promise<number> {
    const payload = { kind: KIND_TEXT, bytes: encodeText(token) } as const;
    const options = { timeout: HELLO_TIMEOUT, conn, outside: true };
    const answer = checked(await this.request(METHOD_TOKEN, payload, options));
    const { expires } = decodeObject(answer.body);
    return positive(expires, 0);
  }

  /** Takes a frame to where it belongs. One that is not known is from a later version. */
  #dispatch(frame: Frame, conn: Conn): void {
    const command = frame.cmd & CMD_MASK;
    if (command === CMD_RESPONSE) {
      this.#calls.settle(frame);
    } else if (this.take(frame, conn)) {
      // A part of the client's has it.
    } else if (command === CMD_REQUEST || command === CMD_NOTIFY) {
      if (frame.method.startsWith(PROTOCOL_PREFIX)) this.#dispatchProtocol(frame, conn);
      else if (command === CMD_REQUEST && this.#dialer.isLeaving) {
        const error = new ArpcError("unavailable", "shutting down");
        conn.send(encodeRefusal(frame, error, conn.has("errors")));
      } else this.#inbound.receive(frame, conn);
    } else if (command === CMD_STREAM) {
      refuseStream(frame, conn);
    } else if (command === CMD_CANCEL && conn.has("cancel") && !(frame.cmd & STREAM_END)) {
      this.#inbound.cancel(frame.seq);
    }
  }

  /** Takes a request or notify of the protocol itself. */
  #dispatchProtocol(frame: Frame, conn: Conn): void {
    if ((frame.cmd & CMD_MASK) === CMD_REQUEST) {
      const error = new ArpcError("not_found", "method not found");
      conn.send(encodeRefusal(frame, error, true, FLAG_OUTSIDE));
    } else if (frame.method === METHOD_GOAWAY) {
      const { delay, until } = decodeObject(frame.body);
      this.#dialer.leave(
        Math.min(positive(delay, 0), MAX_AWAY),
        Math.min(positive(until, 0), MAX_LEAVING),
      );
    }
  }
}
