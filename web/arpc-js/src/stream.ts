import { type BodyKind, emptyPayload, type Payload } from "./codec.ts";
import type { Conn } from "./conn.ts";
import { ArpcError } from "./errors.ts";
import { tooBig } from "./outbox.ts";
import { encodeError, remoteError } from "./structured.ts";
import { Timer } from "./timer.ts";
import {
  CMD_CANCEL,
  CMD_CREDIT,
  CMD_MASK,
  CMD_STREAM,
  EMPTY,
  encodeFrame,
  FLAG_ERROR,
  type Frame,
  KIND_SHIFT,
  STREAM_END,
} from "./wire.ts";

/** Bytes of one stream of a base peer, which knows no credit, that may wait to be read. */
const MAX_BASE_UNREAD = 1 << 20;
/** What holding a message costs beside its body, in bytes. */
const MESSAGE_COST = 64;
/** Most messages of one stream that may wait: those without a body need no credit. */
const MAX_UNREAD_MESSAGES = 1 << 18;
/** Most credit a sender holds, in bytes, whatever the peer grants. */
const MAX_CREDIT = 2 ** 30;

/**
 * A sequence of messages in each direction under one method. Either side ends its direction when it
 * has said everything; the stream is gone when both have, when either fails or cancels it, and with
 * the connection. Iterate it once, or read `readable`.
 */
export interface Stream<In = unknown, Out = unknown> {
  /** The method it was opened with. */
  readonly method: string;
  /**
   * Sends a message, encoded as a call's body; messages leave in the order of the calls. Resolves
   * when the connection has it, which waits while the receiver is behind. Rejects with an ArpcError:
   * why the stream ended, `unavailable` with the connection, `canceled` after our own end,
   * `invalid_argument`, `resource_exhausted` when it is too big.
   */
  send(value: Out): Promise<void>;
  /** Ends our direction, with a last message if one is given. Doing it again does nothing. */
  end(last?: Out): Promise<void>;
  /**
   * Ends both directions with an error, which is what the peer's reading and writing fail with. To
   * a base peer it is the end of our direction like any other.
   */
  fail(error: unknown): Promise<void>;
  /** Ends both directions now: what the peer still sends is dropped. Doing it again does nothing. */
  cancel(): void;
  /** The messages as a Web Stream; canceling it cancels the stream. */
  readonly readable: ReadableStream<In>;
  /** Our direction as a Web Stream; closing it ends, aborting it fails the stream. */
  readonly writable: WritableStream<Out>;
  /**
   * The messages, until the peer's end. Throws the ArpcError the stream ended with, after what had
   * arrived. Leaving the loop early cancels the stream.
   */
  [Symbol.asyncIterator](): AsyncGenerator<In, void, undefined>;
}

/** Settings of a stream. */
export interface StreamOptions {
  /** How to read a message whose sender did not say what it is. @default JSON if it is JSON, else text */
  readonly as?: BodyKind;
}

/** What a stream needs of the client. */
export interface StreamOwner {
  /** The credit each stream of the peer begins with, in bytes. */
  readonly window: number;
  /** Bytes in the socket above which nothing more is given to it. */
  readonly maxQueueBytes: number;
  /** Has the stream attached, at once or as soon as there is a connection. */
  open(stream: MessageStream): void;
  encode(value: unknown): Payload;
  decode(bytes: Uint8Array, flag: number, as: BodyKind | undefined): unknown;
  /** The stream is gone. */
  forget(stream: MessageStream): void;
}

/** How often a full socket is looked at, in ms: no runtime says when it has room again. */
const DRAIN_INTERVAL = 20;

/** One stream, whoever opened it. */
export class MessageStream implements Stream {
  readonly method: string;
  /** The bit of cmd that says whose it is, as the frames we send have it. */
  readonly side: number;
  id = 0n;
  /** Whether the peer has ended its direction. */
  heardEnd = false;
  readonly #owner: StreamOwner;
  readonly #as: BodyKind | undefined;
  // None until the first frame.
  #conn: Conn | undefined;
  #unread: Array<Pick<Frame, "flag" | "body">> = [];
  #unreadBytes = 0;
  // Bytes that may be sent; it counts only where credit was agreed, as the next two do.
  #credit = 0;
  // Bytes that the peer may still send, and those read and not granted again.
  #allowed: number;
  #consumed = 0;
  #saidEnd = false;
  #isOver = false;
  // What writing ends with, and reading if the peer has not ended.
  #failure: ArpcError | undefined;
  #waiting: Array<() => void> = [];
  readonly #timer = new Timer();
  // What was sent last: messages leave in order.
  #sending: Promise<void> = Promise.resolve();
  #readable: ReadableStream | undefined;
  #writable: WritableStream | undefined;

  constructor(method: string, side: number, owner: StreamOwner, { as }: StreamOptions) {
    this.method = method;
    this.side = side;
    this.#owner = owner;
    this.#as = as;
    this.#allowed = owner.window;
  }

  async send(value: unknown): Promise<void> {
    return this.#enqueue(0, this.#owner.encode(value));
  }

  async end(last?: unknown): Promise<void> {
    return this.#enqueue(STREAM_END, this.#owner.encode(last));
  }

  fail(error: unknown): Promise<void> {
    return this.#enqueue(STREAM_END, emptyPayload, ArpcError.from(error));
  }

  cancel(): void {
    this.#unread = [];
    this.drop(closed());
  }

  get readable(): ReadableStream {
    const pull = async (controller: ReadableStreamDefaultController): Promise<void> => {
      const message = await this.#read();
      if (message) controller.enqueue(this.#decode(message));
      else controller.close();
    };
    // Nothing is read ahead: what is read is granted again.
    this.#readable ??= new ReadableStream(
      { pull, cancel: () => this.cancel() },
      { highWaterMark: 0 },
    );
    return this.#readable;
  }

  get writable(): WritableStream {
    this.#writable ??= new WritableStream({
      write: (value) => this.send(value),
      close: () => this.end(),
      abort: (reason) => this.fail(reason),
    });
    return this.#writable;
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<unknown, void, undefined> {
    let isLeft = true;
    try {
      for (let message = await this.#read(); message; message = await this.#read()) {
        yield this.#decode(message);
      }
      isLeft = false;
    } finally {
      if (isLeft) this.cancel();
    }
  }

  /** Gets its connection and what the peer takes at first, in bytes. */
  attach(conn: Conn, id: bigint, credit: number): void {
    this.#conn = conn;
    this.id = id;
    this.grant(credit);
  }

  /** Takes a grant of the peer's, in bytes. */
  grant(bytes: number): void {
    this.#credit = Math.min(this.#credit + bytes, MAX_CREDIT);
    this.#wake();
  }

  /** Takes a frame of the peer's. */
  receive(frame: Frame, conn: Conn): void {
    const { cmd, flag, body } = frame;
    const isLast = (cmd & STREAM_END) !== 0;
    if (this.heardEnd) return;
    if (flag & FLAG_ERROR) {
      this.finish(remoteError(frame));
    } else if (!this.#take(flag, body, isLast, conn)) {
      this.drop(
        new ArpcError("resource_exhausted", "messages of the stream were not read in time"),
      );
    } else {
      this.heardEnd = isLast;
      this.#wake();
      this.#settle();
    }
  }

  /** Ends both directions, and tells the peer. */
  drop(reason: ArpcError): void {
    if (this.#isOver) return;
    if (this.#conn?.has("cancel")) this.#transmit(CMD_CANCEL | STREAM_END);
    else if (!this.#saidEnd) this.#transmit(CMD_STREAM | STREAM_END);
    this.finish(reason);
  }

  /**
   * Ends both directions on this side. What was received can still be read; then comes the reason,
   * unless the peer has said everything.
   */
  finish(reason?: ArpcError): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#failure = reason;
    this.#timer.clear();
    this.#owner.forget(this);
    this.#wake();
  }

  /** Keeps a message; false when it was not granted, or too much waits. */
  #take(flag: number, body: Uint8Array, isLast: boolean, conn: Conn): boolean {
    const { length } = body;
    if (length === 0 && isLast) return true;
    let limit = MAX_BASE_UNREAD;
    if (conn.has("credit")) {
      if (length > 0 && this.#allowed <= 0) return false;
      this.#allowed -= length;
      // One message may overdraw.
      limit = 2 * this.#owner.window + conn.maxBody;
    }
    this.#unread.push({ flag, body: body.slice() });
    this.#unreadBytes += MESSAGE_COST + length;
    return this.#unreadBytes <= limit && this.#unread.length <= MAX_UNREAD_MESSAGES;
  }

  async #read(): Promise<Pick<Frame, "flag" | "body"> | undefined> {
    for (;;) {
      const message = this.#unread.shift();
      if (message) {
        this.#unreadBytes -= MESSAGE_COST + message.body.length;
        this.#consume(message.body.length);
        return message;
      }
      if (this.heardEnd) return undefined;
      if (this.#isOver) throw this.#failure ?? closed();
      await this.#change();
    }
  }

  /** Grants what was read: a large piece now and then, not a little each time. */
  #consume(bytes: number): void {
    this.#consumed += bytes;
    const isDue = this.#consumed >= this.#owner.window / 2 && this.#consumed > 0;
    if (!isDue || this.heardEnd || this.#isOver || !this.#conn?.has("credit")) return;
    const body = new Uint8Array(4);
    new DataView(body.buffer).setUint32(0, this.#consumed, true);
    this.#transmit(CMD_CREDIT, 0, body);
    this.#allowed += this.#consumed;
    this.#consumed = 0;
  }

  #decode({ flag, body }: Pick<Frame, "flag" | "body">): unknown {
    return this.#owner.decode(body, flag, this.#as);
  }

  #enqueue(end: number, payload: Payload, error?: ArpcError): Promise<void> {
    const sent = this.#sending.then(() => this.#write(end, payload, error));
    // Who sent it is told of its failure; who sends next finds out.
    this.#sending = sent.catch(() => {});
    return sent;
  }

  /** Sends when it can be sent. An end without a message needs no credit, and may come twice. */
  async #write(end: number, { kind, bytes }: Payload, error?: ArpcError): Promise<void> {
    const isMessage = !end || bytes.length > 0;
    for (;;) {
      if (this.#isOver || this.#saidEnd) {
        if (isMessage) throw this.#failure ?? closed();
        return;
      }
      if (!this.#conn) this.#owner.open(this);
      // It may have come at once, or never come any more.
      if (this.#isOver) continue;
      const conn = this.#conn;
      if (conn && (!isMessage || this.#mayWrite(conn, bytes.length))) {
        const isStructured = error && conn.has("errors");
        const { flag, body } = isStructured
          ? encodeError(error, true)
          : { flag: kind << KIND_SHIFT, body: bytes };
        this.#transmit(CMD_STREAM | end, flag, body);
        this.#credit -= bytes.length;
        this.#saidEnd = end > 0;
        if (isStructured) this.finish(closed());
        else this.#settle();
        return;
      }
      await this.#change();
    }
  }

  #mayWrite(conn: Conn, length: number): boolean {
    if (length === 0 && !conn.isExtended) {
      throw new ArpcError("invalid_argument", "a base peer would drop an empty message");
    }
    if (length > 0 && this.#credit <= 0 && conn.has("credit")) return false;
    if (conn.bufferedAmount <= this.#owner.maxQueueBytes) return true;
    this.#timer.set(DRAIN_INTERVAL, () => this.#wake());
    return false;
  }

  /** @throws ArpcError `resource_exhausted` when it is too big. */
  #transmit(command: number, flag = 0, body: Uint8Array = EMPTY): void {
    const conn = this.#conn;
    // Cancels and credit have no method.
    const method = (command & CMD_MASK) === CMD_STREAM ? this.method : "";
    const cmd = command | this.side;
    const frame = encodeFrame({ cmd, flag, method, seq: this.id, body });
    const refusal = conn && tooBig(frame, conn.maxBody);
    if (refusal) throw refusal;
    conn?.send(frame);
  }

  #settle(): void {
    if (this.#saidEnd && this.heardEnd) this.finish();
  }

  #change(): Promise<void> {
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  #wake(): void {
    for (const resolve of this.#waiting.splice(0)) resolve();
  }
}

/** What a stream that was closed on this side fails with. */
function closed(): ArpcError {
  return new ArpcError("canceled", "stream closed");
}
