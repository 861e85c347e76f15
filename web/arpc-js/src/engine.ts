import type { BodyKind, Payload } from "./codec.ts";
import type { Conn, Pipe } from "./conn.ts";
import type { Job } from "./context.ts";
import { ArpcError } from "./errors.ts";
import type { Hello } from "./hello.ts";
import type {
  ClientEvents,
  ClientState,
  LossReason,
  Settings,
  StateDetail,
  WaitOptions,
} from "./options.ts";
import type { Frame } from "./wire.ts";

/**
 * What the parts of one client share: a state each of them reads, and what each does for the others.
 * A property is written by one part alone.
 */
export interface Engine {
  /** Where it dials. */
  readonly url: string;
  readonly settings: Settings;
  /** What is built on the client, in the order it was given. */
  readonly parts: Part[];

  // The link's.
  state: ClientState;
  detail: StateDetail;
  /** The connection there is. */
  conn: Conn | undefined;
  /** For how many ms to stay away from a server that asked for it; until then it is left. */
  awayFor: number | undefined;
  /** Why there was no connection last, if there was none. */
  obstacle: ArpcError | undefined;
  /** Dials at once if it waits, and else makes sure that the peer is there. */
  hurry(): void;
  /** Lets the connection go and dials no more, until it is told to hurry. */
  rest(): void;
  /**
   * Leaves the connection for the next one when the work on it is done, or after `until` ms. The
   * next one is dialed `delay` ms later at least, and as the backoff has it.
   */
  leave(delay: number, until: number): void;
  /** Closes a connection that is left, if the work on it is done and all that arrived was read. */
  leaveIfDone(): void;

  /** Makes the way of a connection's frames through coders, where there can be any. */
  pipe?(
    conn: Conn,
    send: (frame: Uint8Array, plain: Uint8Array) => void,
    take: (frame: Frame) => void,
  ): Pipe;

  /** Sees each frame, where somebody wants to: as it was encoded, or decoded. */
  tap?(direction: "in" | "out", frame: Uint8Array | Frame): void;

  /** What outlives a connection, where something does. */
  session?: Session;

  // The calls'.
  /** The seq of the last request, or id of the last stream: those of a session are never the same. */
  lastSeq: bigint;
  /** How many the peer may be working on. */
  unanswered: number;
  /** Sends a request; resolves with the answer, which may be an error, or rejects with ours. */
  request(method: string, payload: Payload, options: RequestOptions): Promise<Frame>;
  /** Sends what waited for a connection, or for the peer to have fewer calls. */
  flush(all: boolean): void;

  // The handlers'.
  /** Requests and notifies of the present connection, or of its session, that wait or run. */
  readonly jobs: Set<Job>;
  /** Lets requests run that waited for the bound to rise. */
  resume(): void;

  // The client's.
  /** Something began or ended: others may have waited for that. */
  progress(): void;
  /** The state is another. */
  changed(): void;
  /** What was under way is lost; where the session goes on, only what was the connection's. */
  lose(isPaused?: boolean): void;
  dispatch(frame: Frame, conn: Conn): void;
  /** Calls the listeners of an event; false if it has none. */
  emit<E extends keyof ClientEvents>(event: E, ...args: ClientEvents[E]): boolean;
  /** Tells an error that no promise tells. */
  report(reason: unknown): void;
  toPayload(value: unknown): Payload;
  fromBody(bytes: Uint8Array, flag: number, as?: BodyKind): unknown;
}

/** How a request of the client's own is sent. */
export interface RequestOptions extends WaitOptions {
  /** The connection to use, ready or not; without it the request waits for one. */
  readonly conn?: Conn | undefined;
  /** Whether it is one of the protocol itself, which no session counts. */
  readonly outside?: boolean | undefined;
  /** The method and body of the request for a connection that knows another form of it. */
  readonly recode?: ((conn: Conn) => [method: string, payload: Payload] | undefined) | undefined;
  /** Told of the answer before what is behind it arrives; the promise tells later. Must not throw. */
  readonly answered?: ((answer: Frame) => void) | undefined;
}

/** What is built on a client, such as streams: what it hears, and has a say in. */
export interface Part {
  /** Adds to what is said in hello. */
  say?(said: Hello): void;
  /** Hello was answered, as `conn` tells; what is behind the answer comes next. */
  agreed?(conn: Conn): void;
  /** What must be done on a new connection before it is `open`. */
  greet?(conn: Conn): Promise<void> | undefined;
  /** The client is open; what waited has not been sent yet. */
  opened?(): void;
  /** The connection is gone, whether it was open or not; or the client is closed. */
  disconnected?(): void;
  /** What was under way is lost: with the connection, if no session goes on without it. */
  lost?(): void;
  /** The page goes and leaves its session to the next one: what that cannot know of ends. */
  left?(): void;
  /** Takes a frame other than a response before the client does; false if it is none of its. */
  take?(frame: Frame, conn: Conn): boolean;
  /** The client is closed for good. */
  closed?(): void;
  /** How much a connection that is left waits for besides calls and handlers. */
  busy?(): number;
}

/** What a session does for the connections it has, one after the other. */
export interface Session {
  /** Whether there is one. */
  isHeld(): boolean;
  /** Whether a frame for a connection that is gone leaves on the next one of its session. */
  keeps(conn: Conn, frame: Uint8Array): boolean;
  /** Whether what was under way goes on when there is a connection again; asked when one is gone. */
  survives(): boolean;
  /** Ends it for good, and says so on the connection. @param reason if something may be lost. */
  quit(reason?: LossReason): void;
  /** The page is gone: leaves it to the next one, or ends it. */
  left(): void;
}

/** The connection, if new work may be given to it. */
export function ready({ state, awayFor, conn }: Engine): Conn | undefined {
  return state === "open" && awayFor === undefined ? conn : undefined;
}

/** Why what needs a connection must not even wait for one. */
export function refusal({ state, obstacle: cause, settings }: Engine): ArpcError | undefined {
  if (state === "closed") return new ArpcError("unavailable", "client closed");
  return cause && settings.failFast
    ? new ArpcError("unavailable", "no connection", { cause })
    : undefined;
}
