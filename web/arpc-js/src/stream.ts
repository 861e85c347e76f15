import { type BodyKind, emptyPayload, type Payload } from "./codec.ts";
import type { Conn } from "./conn.ts";
import type { Engine } from "./engine.ts";
import { ArpcError } from "./errors.ts";
import {
  DRAIN_INTERVAL,
  MAX_BASE_UNREAD,
  MAX_CREDIT,
  MAX_UNREAD_MESSAGES,
  MESSAGE_COST,
} from "./limits.ts";
import { encodeError, remoteError, tooBig } from "./structured.ts";
import { createTimer } from "./timer.ts";
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

/**
 * A sequence of messages in each direction under one method. Either side ends its direction when it
 * has said everything; the stream is gone when both have, when either fails or cancels it, and with
 * the session, or the connection where there is none. Iterate it once, or read `readable`.
 */
export interface Stream<In = unknown, Out = unknown> {
  /** The method it was opened with. */
  readonly method: string;
  /**
   * Sends a message, encoded as a call's body; messages leave in the order of the calls. Resolves
   * when the connection has it, or will have it when there is one again, which waits while the
   * receiver is behind. Rejects with an ArpcError: why the stream ended, `unavailable` with the
   * session or the connection, `canceled` after our own end,
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

/** What a stream needs of those who keep the streams of a client. */
export interface StreamOwner {
  /** Has the stream attached, at once or as soon as there is a connection. */
  open(stream: MessageStream): void;
  /** The stream is gone. */
  forget(stream: MessageStream): void;
}

/** One stream, whoever opened it. */
export interface MessageStream extends Stream {
  /** The bit of cmd that says whose it is, as the frames we send have it. */
  readonly side: number;
  id: bigint;
  /** Whether the peer has ended its direction. */
  heardEnd: boolean;
  /** Gets its connection and what the peer takes at first, in bytes. */
  attach(conn: Conn, id: bigint, credit: number): void;
  /** Takes a grant of the peer's, in bytes. */
  grant(bytes: number): void;
  /** Takes a frame of the peer's. */
  receive(frame: Frame, conn: Conn): void;
  /**
   * Ends both directions on this side. What was received can still be read; then comes the reason,
   * unless the peer has said everything.
   */
  finish(reason?: ArpcError): void;
}

type Message = Pick<Frame, "flag" | "body">;

/** Makes a stream, which has no connection before its first frame. */
export function createStream(
  engine: Engine,
  owner: StreamOwner,
  method: string,
  side: number,
  { as }: StreamOptions,
): MessageStream {
  const { toPayload, fromBody } = engine;
  const { window } = engine.settings;
  const timer = createTimer();
  let conn: Conn | undefined;
  let unread: Message[] = [];
  let unreadBytes = 0;
  // Bytes that may be sent; it counts only where credit was agreed, as the next two do.
  let credit = 0;
  // Bytes that the peer may still send, and those read and not granted again.
  let allowed = window;
  let consumed = 0;
  let saidEnd = false;
  let isOver = false;
  // What writing ends with, and reading if the peer has not ended.
  let failure: ArpcError | undefined;
  const waiting: Array<() => void> = [];
  // What was sent last: messages leave in order.
  let sending: Promise<void> = Promise.resolve();
  let readable: ReadableStream | undefined;
  let writable: WritableStream | undefined;

  const change = (): Promise<void> => new Promise((resolve) => waiting.push(resolve));
  const wake = (): void => {
    for (const resolve of waiting.splice(0)) resolve();
  };

  const read = async (): Promise<Message | undefined> => {
    for (;;) {
      const message = unread.shift();
      if (message) {
        consume(message.body.length);
        return message;
      }
      if (stream.heardEnd) return undefined;
      if (isOver) throw failure ?? closed();
      await change();
    }
  };
  /** Grants what was read: a large piece now and then, not a little each time. */
  const consume = (length: number): void => {
    unreadBytes -= MESSAGE_COST + length;
    consumed += length;
    const isDue = consumed > 0 && consumed >= window / 2;
    if (!isDue || stream.heardEnd || isOver || !conn?.knows("credit")) return;
    const bytes = Uint8Array.of(consumed, consumed >> 8, consumed >> 16, consumed >> 24);
    transmit(CMD_CREDIT, 0, bytes);
    allowed += consumed;
    consumed = 0;
  };
  const open = ({ flag, body }: Message): unknown => fromBody(body, flag, as);
  /** Keeps a message; false when it was not granted, or too much waits. */
  const keep = ({ cmd, flag, body }: Frame, conn: Conn): boolean => {
    const { length } = body;
    if (length === 0 && cmd & STREAM_END) return true;
    let limit = MAX_BASE_UNREAD;
    if (conn.knows("credit")) {
      if (length > 0 && allowed <= 0) return false;
      allowed -= length;
      // One message may overdraw.
      limit = 2 * window + conn.maxBytes;
    }
    unread.push({ flag, body: body.slice() });
    unreadBytes += MESSAGE_COST + length;
    return unreadBytes <= limit && unread.length <= MAX_UNREAD_MESSAGES;
  };

  const enqueue = (end: number, payload: Payload, error?: ArpcError): Promise<void> => {
    const sent = sending.then(() => write(end, payload, error));
    // Who sent it is told of its failure; who sends next finds out.
    sending = sent.catch(() => {});
    return sent;
  };
  /** Sends when it can be sent. An end without a message needs no credit, and may come twice. */
  const write = async (end: number, { kind, bytes }: Payload, error?: ArpcError): Promise<void> => {
    const isMessage = !end || bytes.length > 0;
    for (;;) {
      if (!isOver && !saidEnd && !conn) owner.open(stream);
      // The connection may have come at once, or never come any more.
      if (isOver || saidEnd) {
        if (isMessage) throw failure ?? closed();
        return;
      }
      if (conn && (!isMessage || mayWrite(conn, bytes.length))) {
        const isTold = error && conn.knows("errors");
        const content = isTold
          ? encodeError(error, true)
          : { flag: kind << KIND_SHIFT, body: bytes };
        if (!transmit(CMD_STREAM | end, content.flag, content.body) && !isOver) {
          timer(DRAIN_INTERVAL, wake);
          await change();
          continue;
        }
        credit -= bytes.length;
        saidEnd = end > 0;
        if (isTold) stream.finish(closed());
        else settle();
        return;
      }
      await change();
    }
  };
  const mayWrite = (conn: Conn, length: number): boolean => {
    if (length === 0 && !conn.helloAnswer) {
      throw new ArpcError("invalid_argument", "empty message to a base peer");
    }
    if (length > 0 && credit <= 0 && conn.knows("credit")) return false;
    // A later connection of the session may have taken the place of ours.
    if ((engine.conn?.buffered() ?? 0) <= engine.settings.maxQueueBytes) return true;
    timer(DRAIN_INTERVAL, wake);
    return false;
  };
  /** @throws ArpcError `resource_exhausted` when it is too big. */
  const transmit = (command: number, flag = 0, body = EMPTY): boolean => {
    // Cancels and credit have no method.
    const name = (command & CMD_MASK) === CMD_STREAM ? method : "";
    const cmd = command | side;
    const frame = encodeFrame({ cmd, flag, method: name, seq: stream.id, body });
    const refusal = conn && tooBig(frame, conn.maxBytes);
    if (refusal) throw refusal;
    return !!conn?.transmit(frame);
  };
  /** Ends both directions, and tells the peer. */
  const drop = (reason: ArpcError): void => {
    if (isOver) return;
    if (conn?.knows("cancel")) transmit(CMD_CANCEL | STREAM_END);
    else if (!saidEnd) transmit(CMD_STREAM | STREAM_END);
    stream.finish(reason);
  };
  const settle = (): void => {
    if (saidEnd && stream.heardEnd) stream.finish();
  };

  const stream: MessageStream = {
    method,
    side,
    id: 0n,
    heardEnd: false,
    send: async (value) => enqueue(0, toPayload(value)),
    end: async (last) => enqueue(STREAM_END, toPayload(last)),
    fail: (error) => enqueue(STREAM_END, emptyPayload, ArpcError.from(error)),
    cancel() {
      unread = [];
      drop(closed());
    },
    get readable() {
      const pull = async (controller: ReadableStreamDefaultController): Promise<void> => {
        const message = await read();
        if (message) controller.enqueue(open(message));
        else controller.close();
      };
      // Nothing is read ahead: what is read is granted again.
      readable ??= new ReadableStream({ pull, cancel: stream.cancel }, { highWaterMark: 0 });
      return readable;
    },
    get writable() {
      writable ??= new WritableStream({
        write: (value) => stream.send(value),
        close: () => stream.end(),
        abort: stream.fail,
      });
      return writable;
    },
    async *[Symbol.asyncIterator]() {
      let isLeft = true;
      try {
        for (let message = await read(); message; message = await read()) yield open(message);
        isLeft = false;
      } finally {
        if (isLeft) stream.cancel();
      }
    },
    attach(its, id, bytes) {
      conn = its;
      stream.id = id;
      stream.grant(bytes);
    },
    grant(bytes) {
      credit = Math.min(credit + bytes, MAX_CREDIT);
      wake();
    },
    receive(frame, conn) {
      if (stream.heardEnd) return;
      if (frame.flag & FLAG_ERROR) stream.finish(remoteError(frame));
      else if (keep(frame, conn)) {
        stream.heardEnd = (frame.cmd & STREAM_END) > 0;
        wake();
        settle();
      } else drop(new ArpcError("resource_exhausted", "stream not read in time"));
    },
    finish(reason) {
      if (isOver) return;
      isOver = true;
      failure = reason;
      timer();
      owner.forget(stream);
      wake();
    },
  };
  return stream;
}

/** What a stream that was closed on this side fails with. */
function closed(): ArpcError {
  return new ArpcError("canceled", "stream closed");
}
