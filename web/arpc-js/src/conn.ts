import { Batch } from "./batch.ts";
import type { Pipe, PipeOwner } from "./coder.ts";
import { ArpcError } from "./errors.ts";
import {
  type Agreement,
  BASE,
  type Capability,
  decodeHello,
  encodeHello,
  HELLO_TIMEOUT,
  type Hello,
} from "./hello.ts";
import type { Settings } from "./options.ts";
import {
  CLOSE_BAD_FRAME,
  CLOSE_NORMAL,
  CLOSE_SILENT,
  CLOSE_TEXT,
  CLOSE_TOO_BIG,
  SOCKET_OPEN,
  type Socket,
} from "./socket.ts";
import { Timer } from "./timer.ts";
import {
  CMD_CANCEL,
  CMD_MASK,
  CMD_PING,
  CMD_PONG,
  CMD_RESPONSE,
  decodeFrame,
  encodeFrame,
  eraseKind,
  type Frame,
  FrameDecoder,
  type FrameError,
  KIND_MASK,
} from "./wire.ts";

/** Frames, or ms, of work in one turn; then other tasks of the page get theirs. */
const TURN_FRAMES = 256;
const TURN_MS = 8;

/** How often to look whether the machine slept, and by how much a timer is late then, in ms. */
const TICK = 5000;
/** How long an answer to a ping may take that was sent because of a doubt, in ms. */
const PROBE_TIMEOUT = 5000;

/** What a connection tells its owner. After `close` it tells nothing more. */
export interface ConnEvents {
  /** Makes the way of the frames through coders, if there can be any. */
  pipe(owner: PipeOwner): Pipe | undefined;
  /** Hello was answered, as `conn.agreed` says; what is behind the answer is told next. */
  agreed(conn: Conn): void;
  /** Ready for use: hello is answered, or not said. */
  open(): void;
  /** Hello is not answered. The connection is of no use then. */
  deaf(): void;
  /** A frame other than ping, pong and the answer to hello, in the order of arrival. */
  frame(frame: Frame, conn: Conn): void;
  /** All that arrived was told. */
  read(): void;
  close(reason: ArpcError): void;
  /** Whether the peer owes no answer: only then is it pinged. */
  isIdle(): boolean;
}

/** The hello of a connection. */
export interface Greeting {
  /** What to say, asked for when the socket is open. */
  readonly hello: () => Hello;
  /** Whether a server that knows no hello will do. */
  readonly mayFallBack: boolean;
}

/**
 * One WebSocket, from dial to death. It dies once and never reconnects: a late event of its socket
 * finds nobody.
 */
export class Conn {
  readonly #socket: Socket;
  readonly #settings: Settings;
  readonly #decoder: FrameDecoder;
  readonly #batch: Batch;
  readonly #timer = new Timer();
  readonly #pipe: Pipe | undefined;
  /** The last streams of the peer that opened none, or are over. */
  readonly over: Set<bigint> = new Set();
  // Undefined once the connection is dead.
  #events: ConnEvents | undefined;

  // What the ends know of each other. #greeting is undefined once hello is answered.
  #greeting: Greeting | undefined;
  #offered: readonly string[] = [];
  /** What both ends keep to. */
  agreed: Agreement = BASE;
  #knowsKinds = false;

  // Reader state.
  /** Whether something arrived that was not told yet. */
  isReading = false;
  // Whether hello was answered, or not said.
  #isReady = false;
  #ending: ArpcError | undefined;
  #socketError: unknown;

  // Keepalive state.
  #heardAt = 0;
  #pinged = false;
  #isDoubted = false;

  constructor(
    socket: Socket,
    settings: Settings,
    greeting: Greeting | undefined,
    events: ConnEvents,
  ) {
    this.#socket = socket;
    this.#settings = settings;
    this.#greeting = greeting;
    this.#decoder = new FrameDecoder(settings.maxBody);
    this.#batch = new Batch((message) => this.#write(message));
    this.#events = events;
    this.#pipe = events.pipe({
      limit: settings.maxBody,
      // Without hello it is for the application to know what the server can do.
      isAgreed: ({ name, agreedOnly }) => {
        const { coders } = this.agreed.answer;
        if (!this.isExtended) return this.#isReady && !agreedOnly;
        return Array.isArray(coders) && coders.includes(name);
      },
      send: (frame) => this.#transmit(frame),
      take: (frame) => this.#dispatch(frame),
      fail: (cause) => this.badFrame(cause as Error),
    });
    socket.binaryType = "arraybuffer";
    socket.onopen = () => this.#opened();
    socket.onmessage = (event: { data: unknown }) => this.#received(event.data);
    // Browsers say nothing in it and `close` follows; Node says why a dial failed.
    socket.onerror = (event: { error?: unknown }) => {
      this.#socketError = event.error;
    };
    socket.onclose = (event: { code: number; reason: string }) => this.#closed(event);
    this.#timer.set(settings.connectTimeout, () => this.#silent("connecting took too long"));
  }

  /** Whether a capability was agreed to. */
  has(capability: Capability): boolean {
    return this.agreed.caps.includes(capability);
  }

  /** Most bytes of method and body that may be sent. */
  get maxBody(): number {
    return Math.min(this.#settings.maxBody, this.agreed.body);
  }

  /** Whether the peer answered hello. */
  get isExtended(): boolean {
    return this.agreed !== BASE;
  }

  /** Bytes on their way that have not left yet. */
  get bufferedAmount(): number {
    return this.#socket.bufferedAmount + this.#batch.length;
  }

  /** Sends an encoded frame, which becomes the connection's; false when nothing can be sent. */
  send(bytes: Uint8Array): boolean {
    if (!this.#events || this.#socket.readyState !== SOCKET_OPEN) return false;
    if (!this.#knowsKinds) eraseKind(bytes);
    this.#settings.debug?.("out", decodeFrame(bytes));
    const command = (bytes[5] ?? 0) & CMD_MASK;
    // Pings and pongs are never coded.
    if (this.#pipe?.bits && command !== CMD_PING && command !== CMD_PONG) this.#pipe.encode(bytes);
    else this.#transmit(bytes);
    return true;
  }

  /** Tells a peer that knows the word that nobody waits for the answer any more. */
  cancel(seq: bigint): void {
    if (this.has("cancel")) this.#control(CMD_CANCEL, seq);
  }

  /** Ends the connection at the owner's will: no event follows. What was sent leaves before. */
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
    this.#batch.flush();
    this.#events = undefined;
    this.#timer.clear();
    const socket = this.#socket;
    socket.onopen = socket.onmessage = socket.onclose = null;
    // A socket of `ws` that is closed while it dials throws an error nobody listens to.
    socket.onerror = () => {};
    socket.close(code, reason);
    return events;
  }

  #silent(message = "the peer is silent"): void {
    this.fail(CLOSE_SILENT, new ArpcError("unavailable", message));
  }

  #transmit(frame: Uint8Array): void {
    if (this.has("batch")) this.#batch.add(frame);
    else this.#write(frame);
  }

  #write(message: Uint8Array): void {
    // Messages own their buffer and fill it; an ArrayBuffer is what every runtime takes.
    if (this.#socket.readyState === SOCKET_OPEN) this.#socket.send(message.buffer as ArrayBuffer);
  }

  #opened(): void {
    if (!this.#greeting) {
      this.#ready();
      return;
    }
    const hello = this.#greeting.hello();
    this.#offered = hello.caps;
    this.send(encodeHello(hello));
    this.#timer.set(HELLO_TIMEOUT, () => this.#greeted());
  }

  /** Hello was answered, or was not in time. */
  #greeted(answer?: Frame): void {
    const greeting = this.#greeting as Greeting;
    this.#greeting = undefined;
    try {
      const agreed = answer && decodeHello(answer, this.#offered);
      if (!agreed && !greeting.mayFallBack)
        throw new ArpcError("unavailable", "the server says no hello");
      this.agreed = agreed ?? BASE;
    } catch (refusal) {
      this.fail(CLOSE_NORMAL, refusal as ArpcError);
      return;
    }
    this.#knowsKinds ||= this.has("kind");
    if (answer) {
      this.#events?.agreed(this);
      this.#ready();
    } else this.#events?.deaf();
  }

  #ready(): void {
    this.#isReady = true;
    this.#heard();
    this.#check();
    this.#events?.open();
  }

  /**
   * Pings, and ends the connection if nothing is heard soon: it may be dead without a sign. A base
   * peer is left in peace while it owes something.
   * @returns whether it pings.
   */
  probe(): boolean {
    if (!this.#isReady || !(this.isExtended || this.#events?.isIdle())) return false;
    this.#isDoubted = true;
    this.#control(CMD_PING, 0n);
    this.#timer.set(Math.min(PROBE_TIMEOUT, this.#settings.pingTimeout), () => {
      if (this.#isDoubted) this.#silent();
      else this.#check();
    });
    return true;
  }

  #closed({ code, reason }: { code: number; reason: string }): void {
    const text = `connection closed (${code}${reason && `: ${reason}`})`;
    this.#ending = new ArpcError("unavailable", text, { cause: this.#socketError });
    // What arrived before the close is still worked off, in its turns.
    if (!this.isReading) this.#drain();
  }

  #received(data: unknown): void {
    if (typeof data === "string") {
      this.fail(CLOSE_TEXT, new ArpcError("internal", "bad frame: a text message"));
      return;
    }
    this.#heard();
    this.#decoder.coders = this.#pipe?.bits ?? 0;
    this.#decoder.push(new Uint8Array(data as ArrayBuffer));
    if (!this.isReading) this.#drain();
  }

  #drain(): void {
    this.isReading = true;
    const until = performance.now() + TURN_MS;
    for (let frames = 0; this.#events; frames++) {
      if (frames === TURN_FRAMES || (frames > 0 && performance.now() >= until)) {
        nextTurn(() => this.#drain());
        return;
      }
      const frame = this.#next();
      if (!frame) break;
      // A ping in plain is answered whatever waits to be decoded.
      const command = frame.cmd & CMD_MASK;
      if (this.#pipe?.bits && command !== CMD_PING && command !== CMD_PONG)
        this.#pipe.decode(frame);
      else this.#dispatch(frame);
    }
    this.isReading = false;
    if (this.#pipe?.bits) this.#pipe.drained(() => this.#drained());
    else this.#drained();
  }

  /** All that arrived was read. */
  #drained(): void {
    if (this.#ending) this.fail(CLOSE_NORMAL, this.#ending);
    else this.#events?.read();
  }

  #next(): Frame | undefined {
    try {
      return this.#decoder.next();
    } catch (cause) {
      this.badFrame(cause as Error);
      return undefined;
    }
  }

  /** Ends the connection because of what the peer sent. */
  badFrame(cause: Error): void {
    const tooBig = (cause as Partial<FrameError>).reason === "body_too_long";
    const code = tooBig ? "resource_exhausted" : "internal";
    const error = new ArpcError(code, cause.message, { cause });
    this.fail(tooBig ? CLOSE_TOO_BIG : CLOSE_BAD_FRAME, error);
  }

  #dispatch(frame: Frame): void {
    this.#settings.debug?.("in", frame);
    // Who says what its bodies are reads what ours are.
    if (frame.flag & KIND_MASK) this.#knowsKinds = true;
    const command = frame.cmd & CMD_MASK;
    // In the message handler, because the timers of a hidden page are throttled.
    if (command === CMD_PING) this.#control(CMD_PONG, frame.seq);
    else if (this.#greeting && command === CMD_RESPONSE && frame.seq === 0n) {
      // At once: what is behind the answer, perhaps in the same message, builds on it.
      this.#greeted(frame);
    } else if (command !== CMD_PONG) this.#events?.frame(frame, this);
  }

  #control(cmd: number, seq: bigint): void {
    this.send(encodeFrame({ cmd, seq }));
  }

  /** A sign of life. After it an extended server is as good as pinged: it pings. */
  #heard(): void {
    this.#isDoubted = false;
    this.#heardAt = performance.now();
    this.#pinged = this.agreed.ping > 0;
  }

  /** Checks in a while. If the clock jumped meanwhile, the machine slept: what it missed is not the peer's doing. */
  #watch(wait: number): void {
    const tick = Math.min(wait, TICK);
    const due = Date.now() + tick;
    this.#timer.set(tick, () => {
      if (Date.now() - due > TICK && this.probe()) return;
      if (wait > tick) this.#watch(wait - tick);
      else this.#check();
    });
  }

  /**
   * Ends a connection whose peer is dead: pinged, and silent. A base peer is pinged when it was
   * silent for a while, if it owes nothing: it may be one that handles a call while it does not
   * read.
   */
  #check(): void {
    const { pingInterval, pingTimeout } = this.#settings;
    const { ping } = this.agreed;
    const patience = ping ? ping + pingTimeout : pingInterval;
    const left = patience - (performance.now() - this.#heardAt);
    if (left > 0) {
      this.#watch(left);
    } else if (this.#pinged) {
      this.#silent();
    } else if (this.#events?.isIdle()) {
      this.#pinged = true;
      this.#control(CMD_PING, 0n);
      this.#watch(pingTimeout);
    } else {
      this.#watch(pingInterval);
    }
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
