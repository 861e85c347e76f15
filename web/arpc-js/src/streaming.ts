import type { Conn } from "./conn.ts";
import { type Engine, type Part, ready, refusal } from "./engine.ts";
import { ArpcError, isArpcError } from "./errors.ts";
import { positive } from "./hello.ts";
import { MAX_STREAMS } from "./limits.ts";
import { markOver, refuseStream } from "./refuse.ts";
import { createStream, type MessageStream, type Stream, type StreamOptions } from "./stream.ts";
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

/** A client that also opens streams, and takes those of the peer. */
export interface StreamingClient {
  /**
   * Makes a stream to a method of the peer. Its first message opens it, or its end; while there is
   * no connection that waits.
   */
  stream<In = unknown, Out = unknown>(method: string, options?: StreamOptions): Stream<In, Out>;

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
    options?: StreamOptions,
  ): () => void;
}

/** Adds streams to a client. */
export function addStreams(engine: Engine, client: object): Part {
  const { window } = engine.settings;
  const handlers = new Map<string, [StreamHandler, StreamOptions]>();
  // Those of the present connection, or of its session, by id and by who opened them.
  const ours = new Map<bigint, MessageStream>();
  const theirs = new Map<bigint, MessageStream>();
  // Those that wait for a connection.
  const opening = new Set<MessageStream>();
  let running = 0;
  // The credit that streams to the peer begin with.
  let credit = 0;

  const open = (stream: MessageStream): void => {
    const conn = ready(engine);
    const refused = refusal(engine);
    if (conn) {
      opening.delete(stream);
      // A number no stream of the session had, nor of the page whose session it was.
      const id = ++engine.lastSeq;
      ours.set(id, stream);
      stream.attach(conn, id, credit);
    } else if (refused) stream.finish(refused);
    else opening.add(stream);
  };
  const forget = (stream: MessageStream): void => {
    opening.delete(stream);
    (stream.side ? ours : theirs).delete(stream.id);
    engine.progress();
  };
  const make = (method: string, side: number, options: StreamOptions): MessageStream =>
    createStream(engine, { open, forget }, method, side, options);

  /** Makes a stream that the peer opens, or tells it why not. */
  const accept = (frame: Frame, conn: Conn): MessageStream | undefined => {
    const { cmd, method, seq } = frame;
    if (!(cmd & STREAM_OPENER) || conn.over.has(seq)) return undefined;
    const [handler, options = {}] = handlers.get(method) ?? [];
    // A stream that was canceled counts as long as its handler runs.
    if (!handler || running >= MAX_STREAMS) {
      refuseStream(
        frame,
        conn,
        handler && new ArpcError("resource_exhausted", `${MAX_STREAMS} streams are open`),
      );
      return undefined;
    }
    markOver(conn, seq);
    const stream = make(method, 0, options);
    theirs.set(seq, stream);
    stream.attach(conn, seq, credit);
    void serve(stream, handler);
    return stream;
  };
  /** Runs the handler of a stream. Never rejects. */
  const serve = async (stream: MessageStream, handler: StreamHandler): Promise<void> => {
    running++;
    try {
      await handler(stream);
      await stream.end();
    } catch (error) {
      const isDeliberate = isArpcError(error);
      if (!isDeliberate) engine.report(error);
      await stream.fail(isDeliberate ? error : new ArpcError("internal", "internal error"));
    }
    if (!stream.heardEnd) stream.cancel();
    running--;
  };

  const added: StreamingClient = {
    stream: (method, options = {}) => make(method, STREAM_OPENER, options) as Stream as never,
    handleStream(method, handler, options = {}) {
      if (handlers.has(method)) {
        throw new ArpcError("already_exists", `${method} has a handler`);
      }
      handlers.set(method, [handler as StreamHandler, options]);
      return () => handlers.delete(method);
    },
  };
  Object.assign(client, added);
  return {
    say(said) {
      said.caps.push("credit");
      said["window"] = window;
    },
    agreed(conn) {
      const { window, resumed } = conn.helloAnswer ?? {};
      credit = positive(window, 0);
      // The peer may have opened some before. Those of a session have theirs.
      if (!resumed) for (const stream of theirs.values()) stream.grant(credit);
    },
    opened() {
      for (const stream of opening) open(stream);
    },
    lost() {
      const cause = engine.obstacle;
      const reason = new ArpcError("unavailable", "connection lost", { sent: true, cause });
      for (const stream of [...ours.values(), ...theirs.values()]) stream.finish(reason);
      for (const stream of opening) open(stream);
      credit = 0;
    },
    left() {
      for (const stream of [...ours.values(), ...theirs.values()]) stream.cancel();
    },
    busy: () => ours.size + theirs.size,
    take(frame, conn) {
      const { cmd, seq, body } = frame;
      const command = cmd & CMD_MASK;
      const stream = (cmd & STREAM_OPENER ? theirs : ours).get(seq);
      if (command === CMD_STREAM) {
        (stream ?? accept(frame, conn))?.receive(frame, conn);
      } else if (command === CMD_CREDIT && conn.knows("credit")) {
        if (body.length !== 4) conn.badFrame(new FrameError("truncated"));
        else stream?.grant(new DataView(body.buffer, body.byteOffset).getUint32(0, true));
      } else if (command === CMD_CANCEL && cmd & STREAM_END && conn.knows("cancel")) {
        stream?.finish(new ArpcError("canceled", "stream canceled", { remote: true }));
      } else return false;
      return true;
    },
  };
}
