import type { Engine } from "./engine.ts";
import { ArpcError } from "./errors.ts";
import {
  type Agreement,
  agree,
  type Capability,
  decodeHello,
  encodeHello,
  type Hello,
  positive,
} from "./hello.ts";
import {
  DOUBT,
  HELLO_TIMEOUT,
  LEAVE_TIMEOUT,
  MAX_BATCH,
  MAX_REASON,
  PROBE_TIMEOUT,
  TICK,
  TURN_FRAMES,
  TURN_MS,
} from "./limits.ts";
import {
  CLOSE_BAD_FRAME,
  CLOSE_NORMAL,
  CLOSE_OVERRUN,
  CLOSE_SILENT,
  CLOSE_TEXT,
  CLOSE_TOO_BIG,
  SOCKET_OPEN,
  type Socket,
} from "./socket.ts";
import { createTimer } from "./timer.ts";
import {
  amendFlag,
  CMD_CANCEL,
  CMD_MASK,
  CMD_PING,
  CMD_PONG,
  CMD_RESPONSE,
  concat,
  encodeFrame,
  FLAG_OUTSIDE,
  type Frame,
  type FrameError,
  frameDecoder,
  KIND_MASK,
} from "./wire.ts";

/** The way of a connection's frames through coders. */
export interface Pipe {
  /** The bits of all coders. */
  bits(): number;
  /** Codes a frame of ours, and sends it behind those before it. */
  outward(frame: Uint8Array): void;
  /** Decodes a frame of the peer's, and takes it behind those before it. */
  inward(frame: Frame): void;
  /** Does something when all that came is taken. */
  drained(then: () => void): void;
  /** What is on its way out, if coders are at work on some of it. */
  leaving(): Promise<void> | undefined;
  /** Does something behind what is on its way out, here and on an earlier connection. */
  behind(earlier: Pipe | undefined, then: () => void): void;
}

/** One WebSocket, from dial to death, and what both its ends keep to. */
export interface Conn extends Agreement {
  /** Whether hello was answered, or not said. */
  isReady: boolean;
  /** Whether something arrived that was not told yet. */
  isReading: boolean;
  /** The last streams of the peer that opened none, or are over. */
  over: Set<bigint>;
  /** Whether a capability was agreed to. */
  knows(capability: Capability): boolean;
  /** Bytes of the frames that coders are at work on, as they were before. */
  coding: number;
  /** Bytes on their way that have not left yet: in coders, the batch and the socket. */
  buffered(): number;
  /**
   * Sends an encoded frame, which becomes the connection's, now or on the next one of its session;
   * false when nothing can be sent.
   */
  transmit(frame: Uint8Array): boolean;
  /** Tells a peer that knows the word that nobody waits for the answer any more. */
  giveUp(seq: bigint): void;
  /** Pings, and ends the connection if nothing is heard soon: it may be dead without a sign. */
  probe(): void;
  /**
   * Ends the connection; what was sent leaves before.
   * @param reason what the owner and the peer are told; without it the owner wants it so.
   */
  hangUp(code?: number, reason?: ArpcError): void;
  /** Ends the connection because of what the peer sent. */
  badFrame(cause: unknown): void;
}

/**
 * Takes a socket that dials. The connection dies once and never reconnects: a late event of its
 * socket finds nobody, and after its end it tells nothing more.
 * @param say what to say in hello, asked for when the socket is open; undefined where none is said.
 * @param mayFallBack whether a server that knows no hello will do.
 * @param greet told when it is ready for use: hello is answered, or not said. Never rejects.
 * @param lost told that it ended by itself, and whether because hello was not answered (`isDeaf`).
 */
export function openConn(
  socket: Socket,
  engine: Engine,
  say: (() => Hello) | undefined,
  mayFallBack: boolean,
  greet: (conn: Conn) => Promise<void>,
  lost: (reason: ArpcError, isDeaf: boolean) => void,
): Conn {
  const { settings } = engine;
  const { maxBody } = settings;
  const decoder = frameDecoder(maxBody);
  const timer = createTimer();
  let isAlive = true;
  // The capabilities of our hello, while it is not answered.
  let offered: readonly string[] | undefined;
  let knowsKinds = false;
  // The frames of this turn, which share a message.
  let batch: Uint8Array[] = [];
  let batched = 0;
  // What the socket's end is told by when all is read.
  let ending: ArpcError | undefined;
  let socketError: unknown;
  // When silence is acted on, and whether that is the end.
  let due = 0;
  let isDying = false;
  // Until when only the answer to the last ping is a sign of life: what else comes may have been
  // under way before.
  let doubtedUntil = 0;
  let lastPing = 0n;

  const conn: Conn = {
    ...agree(undefined, [], maxBody),
    isReady: false,
    isReading: false,
    over: new Set(),
    coding: 0,
    knows: (capability) => conn.agreedCaps.includes(capability),
    buffered: () => socket.bufferedAmount + batched + conn.coding,
    transmit(frame) {
      const isOpen = isAlive && socket.readyState === SOCKET_OPEN;
      if (!isOpen && !engine.session?.keeps(conn, frame)) return false;
      // A session begins with the answer to hello: the server counts from there.
      amendFlag(frame, knowsKinds ? 0 : KIND_MASK, offered ? FLAG_OUTSIDE : 0);
      engine.tap?.("out", frame);
      if (pipe) pipe.outward(frame);
      else transmit(frame);
      return true;
    },
    giveUp(seq) {
      if (conn.knows("cancel")) conn.transmit(encodeFrame({ cmd: CMD_CANCEL, seq }));
    },
    probe() {
      // A base peer is left in peace while it owes something.
      if (!conn.isReady || (engine.unanswered && !conn.helloAnswer)) return;
      const patience = Math.min(PROBE_TIMEOUT, settings.pingTimeout);
      doubtedUntil = performance.now() + patience * DOUBT;
      ping(patience);
      watch();
    },
    hangUp: end,
    badFrame(cause) {
      const { reason, message } = cause as FrameError;
      const isTooBig = reason === "body_too_long";
      const error = new ArpcError(isTooBig ? "resource_exhausted" : "internal", message, { cause });
      end(isTooBig ? CLOSE_TOO_BIG : CLOSE_BAD_FRAME, error);
    },
  };

  function end(code = CLOSE_NORMAL, reason?: ArpcError, isDeaf = false): void {
    // Who broke the rules would break them again with the same frames.
    const isBroken = isAlive && conn.isReady && code > CLOSE_NORMAL && code < CLOSE_SILENT;
    if (isBroken) engine.session?.quit("gap");
    // A listener may have closed the client meanwhile.
    if (!isAlive) return;
    isAlive = false;
    socket.onopen = socket.onmessage = socket.onclose = null;
    // A socket of `ws` that is closed while it dials throws an error nobody listens to.
    socket.onerror = () => {};
    const close = (): void => {
      timer();
      flush();
      socket.close(code, reason?.message.slice(0, MAX_REASON));
    };
    // What coders are still at leaves too: a goodbye may be the last of it.
    timer(LEAVE_TIMEOUT, close);
    if (pipe) pipe.behind(undefined, close);
    else close();
    if (reason) lost(reason, isDeaf);
  }
  const silent = (message: string): void =>
    end(CLOSE_SILENT, new ArpcError("unavailable", message));

  const write = (message: Uint8Array): void => {
    // Messages own their buffer and fill it; an ArrayBuffer is what every runtime takes.
    if (socket.readyState !== SOCKET_OPEN) return;
    try {
      socket.send(message.buffer as ArrayBuffer);
    } catch (cause) {
      // Some sockets say only so that they are closing.
      end(CLOSE_NORMAL, new ArpcError("unavailable", "cannot send", { cause }));
    }
  };
  const flush = (): void => {
    const frames = batch;
    const [first] = frames;
    batch = [];
    batched = 0;
    if (first) write(frames.length > 1 ? concat(...frames) : first);
  };
  const transmit = (frame: Uint8Array): void => {
    if (batched + frame.length > MAX_BATCH) flush();
    if (frame.length > MAX_BATCH || !conn.knows("batch")) {
      write(frame);
      return;
    }
    if (batched === 0) queueMicrotask(flush);
    batch.push(frame);
    batched += frame.length;
  };

  const dispatch = (frame: Frame): void => {
    engine.tap?.("in", frame);
    // Who says what its bodies are reads what ours are.
    if (frame.flag & KIND_MASK) knowsKinds = true;
    const command = frame.cmd & CMD_MASK;
    // In the message handler, because the timers of a hidden page are throttled.
    if (command === CMD_PING) conn.transmit(encodeFrame({ cmd: CMD_PONG, seq: frame.seq }));
    // At once: what is behind the answer, perhaps in the same message, builds on it.
    else if (offered && command === CMD_RESPONSE && !frame.seq) greeted(frame);
    // A base peer's has no seq.
    else if (command === CMD_PONG) heard(!frame.seq || frame.seq === lastPing);
    else engine.dispatch(frame, conn);
  };
  const pipe = engine.pipe?.(conn, transmit, dispatch);

  const drain = (): void => {
    conn.isReading = true;
    const until = performance.now() + TURN_MS;
    for (let frames = 0; isAlive; frames++) {
      if (frames === TURN_FRAMES || (frames > 0 && performance.now() >= until)) {
        nextTurn(drain);
        return;
      }
      const frame = next();
      if (!frame) break;
      if (pipe) pipe.inward(frame);
      else dispatch(frame);
    }
    conn.isReading = false;
    if (pipe) pipe.drained(drained);
    else drained();
  };
  const next = (): Frame | undefined => {
    try {
      return decoder.next(pipe?.bits());
    } catch (cause) {
      conn.badFrame(cause);
      return undefined;
    }
  };
  const drained = (): void => {
    if (ending) end(CLOSE_NORMAL, ending);
    else if (isAlive) engine.leaveIfDone();
  };

  const ready = (): void => {
    conn.isReady = true;
    heard();
    watch();
    void greet(conn);
  };
  /** Hello was answered, or was not in time. */
  const greeted = (frame?: Frame): void => {
    try {
      const answer = frame && decodeHello(frame);
      if (!frame || !(answer || mayFallBack)) {
        throw new ArpcError("unavailable", "no answer to hello");
      }
      Object.assign(conn, agree(answer, offered ?? [], maxBody));
    } catch (refusal) {
      end(CLOSE_NORMAL, refusal as ArpcError, mayFallBack && !frame);
      return;
    }
    offered = undefined;
    knowsKinds ||= conn.knows("kind");
    for (const part of engine.parts) part.agreed?.(conn);
    // A listener may have closed the client.
    if (isAlive) ready();
  };

  const ping = (patience: number): void => {
    due = performance.now() + patience;
    isDying = true;
    conn.transmit(encodeFrame({ cmd: CMD_PING, seq: ++lastPing }));
  };
  /** A sign of life. After it an extended server is as good as pinged: it pings. */
  const heard = (isSure?: boolean): void => {
    const now = performance.now();
    if (now < doubtedUntil && !isSure) return;
    const { helloAnswer } = conn;
    isDying = !!helloAnswer;
    const patience = helloAnswer
      ? positive(helloAnswer["ping"], 25_000) + settings.pingTimeout
      : settings.pingInterval;
    due = now + patience;
  };
  /**
   * Ends a connection whose peer is dead: pinged, and silent. A base peer is pinged when it was
   * silent for a while, if it owes nothing: it may be one that handles a call while it does not
   * read.
   */
  const watch = (): void => {
    const wait = Math.min(due - performance.now(), TICK);
    const wake = Date.now() + wait;
    timer(wait, () => {
      // The machine slept: what it missed is not the peer's doing.
      if (Date.now() - wake > TICK) conn.probe();
      if (performance.now() >= due) {
        // What it said may be among what waits to be read.
        if (isDying && !conn.isReading) {
          silent("peer silent");
          return;
        }
        if (engine.unanswered) heard(true);
        else ping(settings.pingTimeout);
      }
      watch();
    });
  };

  socket.binaryType = "arraybuffer";
  socket.onopen = () => {
    if (say) {
      const hello = say();
      offered = hello.caps;
      conn.transmit(encodeHello(hello));
      timer(HELLO_TIMEOUT, greeted);
    } else ready();
  };
  socket.onmessage = ({ data }: { data: unknown }) => {
    if (typeof data === "string") {
      end(CLOSE_TEXT, new ArpcError("internal", "bad frame: text"));
    } else if (conn.buffered() > 2 * (maxBody + settings.maxQueueBytes) + settings.maxJournal) {
      // What it has us send, it does not read; and a page cannot stop reading.
      end(CLOSE_OVERRUN, new ArpcError("resource_exhausted", "answers are not read"));
    } else {
      heard();
      decoder.push(new Uint8Array(data as ArrayBuffer));
      if (!conn.isReading) drain();
    }
  };
  // Browsers say nothing in it and `close` follows; Node says why a dial failed.
  socket.onerror = ({ error }: { error?: unknown }) => {
    socketError = error;
  };
  socket.onclose = ({ code, reason }: { code: number; reason: string }) => {
    const text = `connection closed (${code}${reason && `: ${reason}`})`;
    ending = new ArpcError("unavailable", text, { cause: socketError });
    // What arrived before the close is still worked off, in its turns.
    if (!conn.isReading) drain();
  };
  timer(settings.connectTimeout, () => silent("no connection in time"));
  return conn;
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
