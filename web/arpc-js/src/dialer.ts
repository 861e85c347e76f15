import { Backoff } from "./backoff.ts";
import type { Pipe, PipeOwner } from "./coder.ts";
import { Conn } from "./conn.ts";
import { ArpcError, isArpcError } from "./errors.ts";
import type { Hello } from "./hello.ts";
import type { Settings } from "./options.ts";
import { CLOSE_SILENT, type SocketConstructor } from "./socket.ts";
import { Timer } from "./timer.ts";
import { askOnce } from "./token.ts";
import type { Frame } from "./wire.ts";

/**
 * Where a client is: `connecting` (dialing, and finding out what the server knows), `open` (ready),
 * `waiting` (until it dials again) or `closed` (for good).
 *
 *     connecting -> open -> waiting -> connecting …      any -> closed
 *     connecting -> waiting
 *
 * `open` follows the answer to hello, or its absence, and the check of a password. `waiting` has its
 * reason in the detail: the socket closed, a dial, a token or a greeting failed or took too long, the
 * peer is silent, sent a bad frame or asked to be left, the page went into the back-forward cache.
 * `connecting` follows the wait, or at once the network's return and the page's. Only `close()`
 * leads to `closed`.
 */
export type ClientState = "connecting" | "open" | "waiting" | "closed";

/** What goes with a change of state. */
export interface StateDetail {
  /** Why the connection ended, or could not be made (`waiting`). */
  readonly error?: ArpcError;
  /** Milliseconds until the next attempt (`waiting`); Infinity in the back-forward cache, until the page is shown. */
  readonly delay?: number;
}

/** What a dialer needs of the client. */
export interface DialerOwner {
  frame(frame: Frame, conn: Conn): void;
  pipe(owner: PipeOwner): Pipe | undefined;
  /** What to say in hello. */
  hello(token: string | undefined): Hello;
  /** Hello was answered: what is behind the answer comes next. */
  agreed(conn: Conn): void;
  /** What must be done on a new connection before it is open. */
  greet(conn: Conn): Promise<void> | undefined;
  /** Shows a token on an open connection; resolves with the ms until it expires, 0 for never. */
  renew(token: string, conn: Conn): Promise<number>;
  /** Whether the peer owes no answer. */
  isIdle(): boolean;
  /** Whether neither end owes an answer. */
  isDone(): boolean;
  changed(state: ClientState, detail: StateDetail): void;
  report(error: ArpcError): void;
}

/** For how long a server that did not answer hello is taken for a base one, in ms. */
const BASE_MEMORY = 600_000;

/** Keeps a client connected: makes a connection, and another one whenever it is lost. */
export class Dialer {
  readonly #url: string;
  readonly #Socket: SocketConstructor;
  readonly #settings: Settings;
  readonly #owner: DialerOwner;
  readonly #ask: ((timer: Timer) => Promise<string>) | undefined;
  readonly #backoff: Backoff;
  state: ClientState = "connecting";
  detail: StateDetail = {};
  /** The connection there is. */
  conn: Conn | undefined;
  // When it was opened; 0 if it is not open.
  #openedAt = 0;
  // Until when hello is not said, because it would not be answered.
  #baseUntil = 0;
  // Of the wait between dials, and of the server's patience with one that leaves.
  readonly #timer = new Timer();
  readonly #refresh = new Timer();
  // For how many ms to stay away from a server that asked for it.
  #awayFor: number | undefined;

  constructor(url: string, Socket: SocketConstructor, settings: Settings, owner: DialerOwner) {
    this.#url = url;
    this.#Socket = Socket;
    this.#settings = settings;
    this.#backoff = new Backoff(settings.backoff);
    this.#owner = owner;
    if (settings.token !== undefined) this.#ask = askOnce(settings.token, settings.connectTimeout);
  }

  /** The connection, if new work may be given to it. */
  get ready(): Conn | undefined {
    return this.state === "open" && !this.isLeaving ? this.conn : undefined;
  }

  /** Whether the server asked for the connection to be left. */
  get isLeaving(): boolean {
    return this.#awayFor !== undefined;
  }

  /** Connects: at once, or when there is a token. Never rejects. */
  async dial(): Promise<void> {
    this.#stop();
    this.#setState("connecting", {});
    try {
      const token = this.#ask ? await this.#ask(this.#timer) : undefined;
      if (this.state === "connecting") this.#open(token);
    } catch (cause) {
      const error = new ArpcError("unavailable", "dialing failed", { cause });
      if (this.state === "connecting") this.#lost(isArpcError(cause) ? cause : error);
    }
  }

  /** Dials at once if it waits, and else makes sure that the peer is there. */
  hurry(): void {
    if (this.state === "waiting") void this.dial();
    else this.probe();
  }

  /** Makes sure that the peer is there. */
  probe(): void {
    this.conn?.probe();
  }

  /** Lets the connection go and dials no more, until it is told to hurry. */
  rest(): void {
    if (!this.conn) return;
    this.conn.close();
    this.#lost(new ArpcError("unavailable", "the page was put away"), Infinity);
  }

  /**
   * Leaves the connection for the next one: nothing new is given to it, and after `until` ms, if
   * not before, it is closed. It is dialed again `delay` ms later.
   */
  leave(delay: number, until: number): void {
    if (!this.ready) return;
    this.#awayFor = delay;
    this.#backoff.reset();
    this.#timer.set(until, () => this.#hangUp());
  }

  /** Closes a connection that is left, if the work on it is done and all that arrived was read. */
  leaveIfDone(): void {
    if (!this.isLeaving || this.conn?.isReading || !this.#owner.isDone()) return;
    this.#hangUp();
  }

  /** Ends it for good, and leaves no timer. */
  close(): void {
    this.#stop();
    this.conn?.close();
    this.conn = this.#awayFor = undefined;
    this.#setState("closed", {});
  }

  #hangUp(): void {
    this.conn?.close();
    this.#lost(new ArpcError("unavailable", "the server asked for it"));
  }

  #stop(): void {
    this.#timer.clear();
    this.#refresh.clear();
  }

  #open(token?: string): void {
    const { hello } = this.#settings;
    const mayFallBack = hello === "auto" && !token;
    const isInVain = mayFallBack && performance.now() < this.#baseUntil;
    const greeting =
      hello === "never" || isInVain
        ? undefined
        : { hello: () => this.#owner.hello(token), mayFallBack };
    const socket = new this.#Socket(this.#url);
    const conn: Conn = new Conn(socket, this.#settings, greeting, {
      ...this.#owner,
      open: () => this.#greet(conn),
      deaf: () => {
        this.#baseUntil = performance.now() + BASE_MEMORY;
        conn.close();
        this.#lost(new ArpcError("unavailable", "no answer to hello"), 0);
      },
      read: () => this.leaveIfDone(),
      close: (reason) => this.#lost(reason),
    });
    this.conn = conn;
  }

  /** Opens the connection: at once, if nothing must be done before. Never rejects. */
  async #greet(conn: Conn): Promise<void> {
    try {
      const greeting = this.#owner.greet(conn);
      if (greeting !== undefined) await greeting;
      if (conn === this.conn) this.#opened(conn);
    } catch (error) {
      conn.fail(CLOSE_SILENT, ArpcError.from(error));
    }
  }

  #opened(conn: Conn): void {
    this.#renewIn(conn.agreed.expires, conn);
    this.#setState("open", {});
  }

  /**
   * Shows a new token when most of the life of this one is over. If that fails the connection ends
   * when the old token does, and the next one shows a new one.
   */
  #renewIn(expires: number, conn: Conn): void {
    const ask = this.#ask;
    if (!ask || !expires || conn !== this.conn) return;
    this.#refresh.set(expires * 0.75, async () => {
      try {
        this.#renewIn(await this.#owner.renew(await ask(this.#refresh), conn), conn);
      } catch (error) {
        if (conn === this.conn) this.#owner.report(ArpcError.from(error));
      }
    });
  }

  #lost(error: ArpcError, delay?: number): void {
    const uptime = this.#openedAt && performance.now() - this.#openedAt;
    delay ??= this.#awayFor ?? this.#backoff.next(uptime);
    this.#stop();
    this.#awayFor = undefined;
    this.conn = undefined;
    this.#timer.set(delay, () => this.dial());
    this.#setState("waiting", { error, delay });
    // The others are the network's doing, and the state event tells those. A listener may have
    // closed the client.
    if (error.code !== "unavailable" && this.state === "waiting") this.#owner.report(error);
  }

  /** The only place the state changes. */
  #setState(state: ClientState, detail: StateDetail): void {
    if (state === this.state) return;
    this.state = state;
    this.detail = detail;
    this.#openedAt = state === "open" ? performance.now() : 0;
    this.#owner.changed(state, detail);
  }
}
