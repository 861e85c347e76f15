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
import type { Conn } from "./conn.ts";
import { type ClientState, Dialer, type StateDetail } from "./dialer.ts";
import { Emitter } from "./emitter.ts";
import { ArpcError } from "./errors.ts";
import { type HandleOptions, type Handler, type Middleware, Router } from "./handler.ts";
import { HELLO_TIMEOUT, METHOD_GOAWAY, METHOD_TOKEN, PROTOCOL_PREFIX, positive } from "./hello.ts";
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
import { aborted, Pending, type WaitOptions } from "./pending.ts";
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
  FLAG_ERROR,
  FLAG_OUTSIDE,
  type Frame,
  type FrameError,
  KIND_SHIFT,
  KIND_TEXT,
  kindOf,
  STREAM_END,
} from "./wire.ts";

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

  /** @internal */
  constructor(url: string, Socket: SocketConstructor, options: ClientOptions) {
    const settings = withDefaults(options);
    const report = (error: unknown): void => this.report(error);
    const changed = (): void => this.#progress();
    const inflight = (): number => this.#calls.inflight;
    this.settings = settings;
    this.#emitter = new Emitter(report);
    this.#inbound = new Inbound(this.#router, settings.codec, { inflight, changed, report });
    this.#outbox = new Outbox(settings);
    this.#calls = new Calls((call) => {
      this.#outbox.delete(call);
      this.#progress();
    });
    this.#dialer = new Dialer(url, Socket, settings, {
      frame: (frame, conn) => this.#dispatch(frame, conn),
      greet: (conn) => this.greet(conn),
      renew: (token, conn) => this.#renew(token, conn),
      isIdle: () => inflight() === 0,
      isDone: () => inflight() + this.#inbound.open === 0,
      changed: (...change) => this.#changed(...change),
      report,
    });
    void this.#dialer.dial();
    listen("addEventListener", this.#onOnline);
  }

  /** Where the client is. */
  get state(): ClientState {
    return this.#dialer.state;
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
    listen("removeEventListener", this.#onOnline);
    this.#dialer.close();
    this.#outbox.clear();
    this.#calls.fail(true, "the client was closed");
    this.#calls.close();
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
    return encodeBody(value, this.settings.codec);
  }

  /** @internal */
  protected decode(bytes: Uint8Array, flag: number, as?: BodyKind): unknown {
    return decodeBody(bytes, kindOf(flag), this.settings.codec, as);
  }

  /**
   * Sends a request; resolves with the answer, which may be an error, or rejects with ours.
   * @param conn the connection to use, ready or not; without it the request waits for one.
   * @internal
   */
  protected request(
    method: string,
    payload: Payload,
    { timeout = this.settings.timeout, signal }: WaitOptions,
    conn?: Conn,
    flag = 0,
  ): Promise<Frame> {
    if (this.state === "closed") throw new ArpcError("unavailable", "the client is closed");
    if (signal?.aborted) throw aborted(signal.reason);
    const seq = this.#calls.next();
    const bytes = this.#encode(CMD_REQUEST, flag, method, seq, payload);
    const call = this.#calls.add(seq, bytes, { timeout, signal });
    if (!(conn ? this.#give(call, conn) : this.#send(call))) {
      if (conn) call.fail("unavailable", "the connection was lost");
      else call.fail("resource_exhausted", "the queue is full");
    }
    return call.answer;
  }

  /** Whether there is a connection that new work may be given to. @internal */
  protected get isReady(): boolean {
    return this.#dialer.ready !== undefined;
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
    if (conn && conn.bufferedAmount > this.settings.maxQueueBytes) return false;
    return this.#transmit(outgoing) || (this.state !== "closed" && this.#outbox.add(outgoing));
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
    const refusal = tooBig(outgoing.bytes, conn.maxBody);
    if (refusal) {
      outgoing.fail(refusal.code, refusal.message);
      return true;
    }
    if (!conn.send(outgoing.bytes)) return false;
    outgoing.conn = conn;
    if (outgoing instanceof Pending) {
      this.#calls.inflight++;
      this.#inbound.resume();
    }
    return true;
  }

  /** A call, or what the peer asked for, began or ended: others may have waited for that. */
  #progress(): void {
    this.#dialer.leaveIfDone();
    this.#outbox.flush(this.#transmit, false);
  }

  readonly #onOnline = (): void => this.#dialer.hurry();

  #changed(state: ClientState, detail: StateDetail, before: ClientState): void {
    if (before === "open" || state === "closed") this.lost();
    if (state === "open") {
      this.opened();
      this.#outbox.flush(this.#transmit, true);
    } else if (state !== "connecting") {
      const reason = detail.error ?? new ArpcError("unavailable", "the client was closed");
      this.#inbound.lost(reason, state === "closed");
      this.#calls.fail(false, "the connection was lost", reason);
    }
    this.#emitter.emit("state", state, detail);
  }

  async #renew(token: string, conn: Conn): Promise<number> {
    const payload = { kind: KIND_TEXT, bytes: encodeText(token) } as const;
    const options = { timeout: HELLO_TIMEOUT };
    const answer = this.request(METHOD_TOKEN, payload, options, conn, FLAG_OUTSIDE);
    const { expires } = decodeObject(checked(await answer).body);
    return positive(expires, 0);
  }

  /** Takes a frame to where it belongs. One that is not known is from a later version. */
  #dispatch(frame: Frame, conn: Conn): void {
    const command = frame.cmd & CMD_MASK;
    if (command === CMD_RESPONSE) {
      this.#calls.settle(frame);
    } else if (command === CMD_REQUEST || command === CMD_NOTIFY) {
      if (frame.method.startsWith(PROTOCOL_PREFIX)) this.#dispatchProtocol(frame, conn);
      else if (command === CMD_REQUEST && this.#dialer.isLeaving) {
        const error = new ArpcError("unavailable", "shutting down");
        conn.send(encodeRefusal(frame, error, conn.has("errors")));
      } else if (command === CMD_REQUEST || !this.takeNotify(frame)) {
        this.#inbound.receive(frame, conn);
      }
    } else if (command === CMD_STREAM) {
      conn.streams.refuse(frame, conn);
    } else if (command === CMD_CANCEL && conn.has("cancel") && !(frame.cmd & STREAM_END)) {
      this.#inbound.cancel(frame.seq);
    }
  }

  /** Takes a request or notify of the protocol itself. */
  #dispatchProtocol(frame: Frame, conn: Conn): void {
    if ((frame.cmd & CMD_MASK) === CMD_REQUEST) {
      const error = new ArpcError("not_found", "method not found");
      conn.send(encodeRefusal(frame, error, true, FLAG_ERROR | FLAG_OUTSIDE));
    } else if (frame.method === METHOD_GOAWAY) {
      const { delay, until } = decodeObject(frame.body);
      this.#dialer.leave(
        Math.min(positive(delay, 0), MAX_AWAY),
        Math.min(positive(until, 0), MAX_LEAVING),
      );
    }
  }
}

/** Adds or removes the listener to `online`, where the runtime has that event. */
function listen(how: "addEventListener" | "removeEventListener", listener: () => void): void {
  (globalThis as Partial<EventTarget>)[how]?.("online", listener);
}
