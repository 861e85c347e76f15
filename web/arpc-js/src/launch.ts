import { createCalls } from "./calls.ts";
import type { Client } from "./client.ts";
import { decodeBody, decodeObject, encodeBody } from "./codec.ts";
import type { Conn } from "./conn.ts";
import { createEmitter } from "./emitter.ts";
import type { Engine, Part } from "./engine.ts";
import { ArpcError } from "./errors.ts";
import { createRouter } from "./handler.ts";
import { PROTOCOL_PREFIX, positive } from "./hello.ts";
import { createInbound } from "./inbound.ts";
import { MAX_AWAY, MAX_LEAVING } from "./limits.ts";
import { createLink } from "./link.ts";
import {
  type CallOptions,
  type ClientEvents,
  type ClientOptions,
  withDefaults,
} from "./options.ts";
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
  type Frame,
  kindOf,
  STREAM_END,
} from "./wire.ts";

/** Makes what is built on a client, and may add to it. */
export type Extension = (engine: Engine, client: object, options: ClientOptions) => Part;

/**
 * Makes a client and lets it dial.
 * @param extensions what is built on it, in the order in which it hears.
 * @throws ArpcError as `connect` tells.
 */
export function launch(
  url: string | URL,
  options: ClientOptions,
  ...extensions: Extension[]
): Client {
  const Socket = options.WebSocket ?? (globalThis.WebSocket as SocketConstructor | undefined);
  if (!Socket) {
    throw new ArpcError(
      "failed_precondition",
      "no WebSocket: npm install ws, connect(url, { WebSocket })",
    );
  }
  let isReporting = false;
  const report = (reason: unknown): void => {
    const error = ArpcError.from(reason);
    const isNested = isReporting;
    isReporting = true;
    if (isNested || !emitter.emit("error", error)) {
      // biome-ignore lint/suspicious/noConsole: the last resort, so that no error is silent
      console.error(error);
    }
    isReporting = isNested;
  };
  const emitter = createEmitter<ClientEvents>(report);
  const settings = withDefaults(options);
  const { codec } = settings;

  /** Takes a request or a notify. */
  const receive = (frame: Frame, conn: Conn): void => {
    const { cmd, method, body } = frame;
    const isProtocol = method.startsWith(PROTOCOL_PREFIX);
    if ((cmd & CMD_MASK) === CMD_REQUEST && (isProtocol || engine.awayFor !== undefined)) {
      const error = isProtocol
        ? new ArpcError("not_found", "method not found")
        : new ArpcError("unavailable", "shutting down");
      conn.transmit(encodeRefusal(conn, frame, error, isProtocol));
    } else if (!isProtocol) {
      inbound.receive(frame, conn);
    } else if (method === "arpc.goaway") {
      const { delay, until } = decodeObject(body);
      engine.leave(positive(delay, 0, MAX_AWAY), positive(until, 0, MAX_LEAVING));
    }
  };

  // Each part puts in what it does for the others.
  const engine = {
    url: resolve(url),
    settings,
    parts: [],
    state: "connecting",
    detail: {},
    unanswered: 0,
    lastSeq: 0n,
    jobs: new Set(),
    emit: emitter.emit,
    report,
    toPayload: (value) => encodeBody(value, codec),
    fromBody: (bytes, flag, as) => decodeBody(bytes, kindOf(flag), codec, as),
    progress() {
      engine.leaveIfDone();
      engine.flush(false);
    },
    lose(isPaused = false) {
      const { state, obstacle, parts } = engine;
      const reason = obstacle ?? new ArpcError("unavailable", "client closed");
      if (!isPaused) {
        for (const part of parts) part.lost?.();
        inbound.lost(reason, state === "closed");
      }
      calls.fail(settings.failFast, isPaused, "connection lost", reason);
    },
    changed() {
      const { state, detail, parts, session } = engine;
      if (state === "open") {
        for (const part of parts) part.opened?.();
        engine.flush(true);
      } else if (state !== "connecting") {
        for (const part of parts) part.disconnected?.();
        engine.lose(session?.survives());
      }
      emitter.emit("state", state, detail);
    },
    /** Takes a frame to where it belongs. One that is not known is from a later version. */
    dispatch(frame, conn) {
      const command = frame.cmd & CMD_MASK;
      if (command === CMD_RESPONSE) {
        calls.settle(frame);
      } else if (engine.parts.some((part) => part.take?.(frame, conn))) {
        // It is a part's.
      } else if (command === CMD_REQUEST || command === CMD_NOTIFY) {
        receive(frame, conn);
      } else if (command === CMD_STREAM) {
        refuseStream(frame, conn);
      } else if (command === CMD_CANCEL && conn.knows("cancel") && !(frame.cmd & STREAM_END)) {
        inbound.cancel(frame.seq);
      }
    },
  } as Partial<Engine> as Engine;
  const router = createRouter();
  const inbound = createInbound(engine, router);
  const calls = createCalls(engine);
  const link = createLink(engine, Socket);

  const client: Client = {
    get state() {
      return engine.state;
    },
    get detail() {
      return engine.detail;
    },
    on: emitter.on,
    use: router.use,
    handle: router.handle as Client["handle"],
    handleNotFound: router.handleNotFound,
    async call(method: string, body?: unknown, options: CallOptions = {}) {
      const answer = checked(await engine.request(method, engine.toPayload(body), options));
      return engine.fromBody(answer.body, answer.flag, options.as);
    },
    notify: (method: string, body?: unknown) => calls.notify(method, engine.toPayload(body)),
    close() {
      if (engine.state === "closed") return;
      for (const part of engine.parts) part.closed?.();
      link.close();
      calls.close();
      emitter.clear();
    },
  };
  for (const extend of extensions) engine.parts.push(extend(engine, client, options));
  void link.dial();
  return client;
}

function resolve(url: string | URL): string {
  try {
    const base = (globalThis as { location?: Location }).location?.href;
    const absolute = new URL(url, base);
    absolute.protocol = absolute.protocol.replace(/^http/, "ws");
    if (/^wss?:$/.test(absolute.protocol)) return absolute.href;
  } catch {
    // Told below.
  }
  throw new ArpcError("invalid_argument", `cannot dial ${url}`);
}
