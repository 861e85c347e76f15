import type { ApiShape } from "./api.ts";
import { Client } from "./client.ts";
import { type Coder, Pipe, type PipeOwner } from "./coder.ts";
import type { Conn } from "./conn.ts";
import { ArpcError, isArpcError } from "./errors.ts";
import { type Hello, positive } from "./hello.ts";
import { markOver, refuseStream } from "./refuse.ts";
import { MessageStream, type Stream, type StreamOptions, type StreamOwner } from "./stream.ts";
import {
  CMD_CANCEL,
  CMD_CREDIT,
  CMD_MASK,
  CMD_STREAM,
  type Frame,
  FrameError,
  STREAM_END,
  STREAM_OPENER,
} from "./wire.ts";

/** Handles a stream of the peer; when it returns, or what it returns resolves, the stream ends. */
export type StreamHandler<In = unknown, Out = unknown> = (
  stream: Stream<In, Out>,
) => void | Promise<void>;

/** Most streams of the peer on one connection whose handlers run. */
const MAX_STREAMS = 256;

/** A client that also opens streams, and takes those of the peer. */
export class StreamingClient<A extends ApiShape = ApiShape> extends Client<A> {
  readonly #handlers = new Map<string, [StreamHandler, StreamOptions]>();
  // Those of the present connection, by id and by who opened them.
  readonly #ours = new Map<bigint, MessageStream>();
  readonly #theirs = new Map<bigint, MessageStream>();
  // Those that wait for a connection.
  readonly #opening = new Set<MessageStream>();
  readonly #coders: Coder[] = [];
  #lastId = 0n;
  #running = 0;
  // The credit that streams to the peer begin with.
  #credit = 0;
  readonly #owner: StreamOwner = {
    window: this.settings.window,
    maxQueueBytes: this.settings.maxQueueBytes,
    open: (stream) => this.#open(stream),
    encode: (value) => this.encode(value),
    decode: (bytes, flag, as) => this.decode(bytes, flag, as),
    forget: (stream) => this.#forget(stream),
  };

  /**
   * Has whole frames transformed, in the order of these calls. To be called before the connection is
   * open, in the turn of `connect`: hello lists what there is by then.
   */
  useCoder(coder: Coder): void {
    this.#coders.push(coder);
  }

  /**
   * Makes a stream to a method of the peer. Its first message opens it, or its end; while there is
   * no connection that waits.
   */
  stream<In = unknown, Out = unknown>(
    method: string,
    options: StreamOptions = {},
  ): Stream<In, Out> {
    return new MessageStream(method, STREAM_OPENER, this.#owner, options) as Stream<In, Out>;
  }

  /**
   * Handles the streams that the peer opens under a method, which a call may have too. When the
   * handler is done our direction ends, and the stream is canceled if the peer's has not. What it
   * throws ends the stream: an ArpcError as it is, all else as `internal error`.
   * @returns the undo.
   * @throws ArpcError `already_exists` when the method has a handler.
   */
  handleStream<In = unknown, Out = unknown>(
    method: string,
    handler: StreamHandler<In, Out>,
    options: StreamOptions = {},
  ): () => void {
    if (this.#handlers.has(method)) {
      throw new ArpcError("already_exists", `${method} has a handler`);
    }
    this.#handlers.set(method, [handler as StreamHandler, options]);
    return () => this.#handlers.delete(method);
  }

  /** @internal */
  protected override get busy(): number {
    return this.#ours.size + this.#theirs.size;
  }

  /** @internal */
  protected override hello(token: string | undefined): Hello {
    const hello = super.hello(token);
    const coders = this.#coders.map(({ name }) => name);
    return { ...hello, caps: [...hello.caps, "credit"], coders, window: this.settings.window };
  }

  /** @internal */
  protected override pipe(owner: PipeOwner): Pipe {
    return new Pipe(this.#coders, owner);
  }

  /** @internal */
  protected override agreed(conn: Conn): void {
    super.agreed(conn);
    const { window } = conn.agreed.answer;
    this.#credit = positive(window, 0);
    // The peer may have opened some before.
    for (const stream of this.#theirs.values()) stream.grant(this.#credit);
  }

  /** @internal */
  protected override opened(): void {
    super.opened();
    for (const stream of this.#opening) this.#open(stream);
  }

  /** @internal */
  protected override lost(): void {
    super.lost();
    const cause = this.detail.error;
    const reason = new ArpcError("unavailable", "the connection was lost", { sent: true, cause });
    for (const stream of [...this.#ours.values(), ...this.#theirs.values()]) stream.finish(reason);
    for (const stream of this.#opening) this.#open(stream);
    this.#lastId = 0n;
    this.#credit = 0;
  }

  /** @internal */
  protected override take(frame: Frame, conn: Conn): boolean {
    const { cmd, seq, body } = frame;
    const command = cmd & CMD_MASK;
    const stream = (cmd & STREAM_OPENER ? this.#theirs : this.#ours).get(seq);
    if (command === CMD_STREAM) {
      (stream ?? this.#accept(frame, conn))?.receive(frame, conn);
    } else if (command === CMD_CREDIT && conn.has("credit")) {
      if (body.length === 4)
        stream?.grant(new DataView(body.buffer, body.byteOffset).getUint32(0, true));
      else conn.badFrame(new FrameError("truncated"));
    } else if (command === CMD_CANCEL && cmd & STREAM_END && conn.has("cancel")) {
      stream?.finish(new ArpcError("canceled", "stream canceled by the peer", { remote: true }));
    } else return super.take(frame, conn);
    return true;
  }

  #open(stream: MessageStream): void {
    const { ready: conn, refusal } = this;
    if (conn) {
      this.#opening.delete(stream);
      this.#ours.set(++this.#lastId, stream);
      stream.attach(conn, this.#lastId, this.#credit);
    } else if (refusal) {
      stream.finish(refusal);
    } else {
      this.#opening.add(stream);
    }
  }

  #forget(stream: MessageStream): void {
    this.#opening.delete(stream);
    (stream.side ? this.#ours : this.#theirs).delete(stream.id);
    this.progress();
  }

  /** Makes a stream that the peer opens, or tells it why not. */
  #accept(frame: Frame, conn: Conn): MessageStream | undefined {
    const { cmd, method, seq } = frame;
    if (!(cmd & STREAM_OPENER) || conn.over.has(seq)) return undefined;
    const [handler, options] = this.#handlers.get(method) ?? [];
    // A stream that was canceled counts as long as its handler runs.
    if (!handler || !options || this.#running >= MAX_STREAMS) {
      const full = `${MAX_STREAMS} streams are open, limit ${MAX_STREAMS}`;
      refuseStream(frame, conn, handler && new ArpcError("resource_exhausted", full));
      return undefined;
    }
    markOver(conn, seq);
    const stream = new MessageStream(method, 0, this.#owner, options);
    this.#theirs.set(seq, stream);
    stream.attach(conn, seq, this.#credit);
    void this.#serve(stream, handler);
    return stream;
  }

  /** Runs the handler of a stream. Never rejects. */
  async #serve(stream: MessageStream, handler: StreamHandler): Promise<void> {
    this.#running++;
    try {
      await handler(stream);
      await stream.end();
    } catch (error) {
      const isDeliberate = isArpcError(error);
      if (!isDeliberate) this.report(error);
      await stream.fail(isDeliberate ? error : new ArpcError("internal", "internal error"));
    }
    if (!stream.heardEnd) stream.cancel();
    this.#running--;
  }
}
