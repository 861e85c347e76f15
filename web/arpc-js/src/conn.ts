import { ArpcError } from "./errors.ts";
import {
  CLOSE_BAD_FRAME,
  CLOSE_NORMAL,
  CLOSE_SILENT,
  CLOSE_TEXT,
  CLOSE_TOO_BIG,
  SOCKET_OPEN,
  type Socket,
} from "./socket.ts";
import {
  CMD_MASK,
  CMD_PING,
  CMD_PONG,
  encodeFrame,
  type Frame,
  FrameDecoder,
  type FrameError,
} from "./wire.ts";

/** Frames, or ms, of work in one turn; then other tasks of the page get theirs. */
const TURN_FRAMES = 256;
const TURN_MS = 8;

/** What a connection tells its owner. After `close` it tells nothing more. */
export interface ConnEvents {
  open(): void;
  /** A frame other than ping and pong, in the order of arrival. */
  frame(frame: Frame): void;
  close(reason: ArpcError): void;
  /** Whether the peer owes nothing: only then is it pinged. */
  idle(): boolean;
}

/** Bounds of a connection; all times in ms. */
export interface ConnLimits {
  readonly maxBody: number;
  readonly connectTimeout: number;
  readonly pingInterval: number;
  readonly pingTimeout: number;
}

/**
 * One WebSocket, from dial to death. It dies once and never reconnects: a late event of its socket
 * finds nobody.
 */
export class Conn {
  readonly #socket: Socket;
  readonly #limits: ConnLimits;
  readonly #decoder: FrameDecoder;
  // Undefined once the connection is dead.
  #events: ConnEvents | undefined;
  #abort: AbortController | undefined;

  // Reader state. #draining also holds between a turn and its continuation.
  #draining = false;
  #ending: ArpcError | undefined;
  #socketError: unknown;

  // Keepalive state.
  #timer: ReturnType<typeof setTimeout> | undefined;
  #heardAt = 0;
  #pinged = false;

  constructor(socket: Socket, limits: ConnLimits, events: ConnEvents) {
    this.#socket = socket;
    this.#limits = limits;
    this.#decoder = new FrameDecoder(limits.maxBody);
    this.#events = events;
    socket.binaryType = "arraybuffer";
    socket.onopen = () => this.#opened();
    socket.onmessage = (event: { data: unknown }) => this.#received(event.data);
    // Browsers say nothing in it and `close` follows; Node says why a dial failed.
    socket.onerror = (event: { error?: unknown }) => {
      this.#socketError = event.error;
    };
    socket.onclose = (event: { code: number; reason: string }) => this.#closed(event);
    this.#timer = setTimeout(
      () => this.fail(CLOSE_SILENT, new ArpcError("unavailable", "connecting took too long")),
      limits.connectTimeout,
    );
  }

  /** Aborted when the connection is dead. */
  get signal(): AbortSignal {
    this.#abort ??= new AbortController();
    if (!this.#events) this.#abort.abort();
    return this.#abort.signal;
  }

  /** Bytes given to the socket that have not left yet. */
  get bufferedAmount(): number {
    return this.#socket.bufferedAmount;
  }

  /** Sends the bytes of whole frames as one message; false when nothing can be sent any more. */
  send(bytes: Uint8Array): boolean {
    if (!this.#events || this.#socket.readyState !== SOCKET_OPEN) return false;
    // Encoded frames own their buffer and fill it; an ArrayBuffer is what every runtime takes.
    this.#socket.send(bytes.buffer as ArrayBuffer);
    return true;
  }

  /** Ends the connection at the owner's will: no event follows. */
  close(): void {
    this.#die(CLOSE_NORMAL, "");
  }

  /** Ends the connection for a reason, which the owner and the peer are told. */
  fail(code: number, reason: ArpcError): void {
    this.#die(code, reason.message)?.close(reason);
  }

  /** Detaches from the socket; returns the events if the connection was alive. */
  #die(code: number, reason: string): ConnEvents | undefined {
    const events = this.#events;
    if (!events) return undefined;
    this.#events = undefined;
    clearTimeout(this.#timer);
    const socket = this.#socket;
    socket.onopen = socket.onmessage = socket.onclose = null;
    // A socket of `ws` that is closed while it dials throws an error nobody listens to.
    socket.onerror = () => {};
    socket.close(code, reason);
    this.#abort?.abort();
    return events;
  }

  #opened(): void {
    clearTimeout(this.#timer);
    this.#heard();
    this.#watch(this.#limits.pingInterval);
    this.#events?.open();
  }

  #closed({ code, reason }: { code: number; reason: string }): void {
    const text = `connection closed (${code}${reason && `: ${reason}`})`;
    this.#ending = new ArpcError("unavailable", text, { cause: this.#socketError });
    // What arrived before the close is still worked off, in its turns.
    if (!this.#draining) this.#drain();
  }

  #received(data: unknown): void {
    if (typeof data === "string") {
      this.fail(CLOSE_TEXT, new ArpcError("internal", "bad frame: a text message"));
      return;
    }
    this.#heard();
    this.#decoder.push(new Uint8Array(data as ArrayBuffer));
    if (!this.#draining) this.#drain();
  }

  #drain(): void {
    this.#draining = true;
    const until = performance.now() + TURN_MS;
    for (let frames = 0; this.#events; frames++) {
      if (frames === TURN_FRAMES || (frames > 0 && performance.now() >= until)) {
        nextTurn(() => this.#drain());
        return;
      }
      const frame = this.#next();
      if (!frame) break;
      this.#dispatch(frame);
    }
    this.#draining = false;
    if (this.#ending) this.fail(CLOSE_NORMAL, this.#ending);
  }

  #next(): Frame | undefined {
    try {
      return this.#decoder.next();
    } catch (cause) {
      const { reason, message } = cause as FrameError;
      const tooBig = reason === "body_too_long";
      const code = tooBig ? "resource_exhausted" : "internal";
      const error = new ArpcError(code, message, { cause });
      this.fail(tooBig ? CLOSE_TOO_BIG : CLOSE_BAD_FRAME, error);
      return undefined;
    }
  }

  #dispatch(frame: Frame): void {
    const command = frame.cmd & CMD_MASK;
    // In the message handler, because the timers of a hidden page are throttled.
    if (command === CMD_PING) this.#control(CMD_PONG, frame.seq);
    else if (command !== CMD_PONG) this.#events?.frame(frame);
  }

  #control(cmd: number, seq: bigint): void {
    this.send(encodeFrame({ cmd, flag: 0, method: "", seq, body: new Uint8Array(0) }));
  }

  #heard(): void {
    this.#heardAt = performance.now();
    this.#pinged = false;
  }

  #watch(wait: number): void {
    this.#timer = setTimeout(() => this.#check(), wait);
  }

  /** Pings an idle peer that was silent for the interval; a ping without an echo means death. */
  #check(): void {
    const { pingInterval, pingTimeout } = this.#limits;
    if (this.#pinged) {
      this.fail(CLOSE_SILENT, new ArpcError("unavailable", "the peer is silent"));
      return;
    }
    const left = pingInterval - (performance.now() - this.#heardAt);
    if (left > 0) {
      this.#watch(left);
      return;
    }
    if (!this.#events?.idle()) {
      this.#watch(pingInterval);
      return;
    }
    this.#pinged = true;
    this.#control(CMD_PING, 0n);
    this.#watch(pingTimeout);
  }
}

/** Runs `work` in a task of its own. Not a timer: those of a hidden page wait for a second. */
function nextTurn(work: () => void): void {
  const { port1, port2 } = new MessageChannel();
  port1.onmessage = () => {
    port1.close();
    work();
  };
  port2.postMessage(null);
}
