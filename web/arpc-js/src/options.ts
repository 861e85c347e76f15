import type { BackoffOptions } from "./backoff.ts";
import { type BodyKind, type Codec, json } from "./codec.ts";
import type { ArpcError } from "./errors.ts";
import type { HelloMode } from "./hello.ts";
import type { Gap } from "./position.ts";
import type { SocketConstructor } from "./socket.ts";
import type { TokenProvider } from "./token.ts";
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

/** The events of a client, with their listeners' arguments. */
export interface ClientEvents {
  /** The client's state changed. */
  state: [state: ClientState, detail: StateDetail];
  /**
   * Something failed that no promise tells: a handler or listener threw, a frame was bad, the
   * server refused the token, a topic could not be subscribed again. Without a listener it goes to
   * the console.
   */
  error: [error: ArpcError];
  /** Broadcasts of the server did not reach us. */
  gap: [gap: Gap];
  /**
   * The server subscribed us to a topic. Who wants it calls `client.subscribe(topic)` now: a topic
   * nobody subscribes is left again.
   */
  subscribed: [topic: string];
  /** The connection is gone, its session is not: what is under way goes on with the next one. */
  paused: [error: ArpcError];
  /** The session has a connection again, and nothing is missing. */
  resumed: [];
  /** The session is gone: what the server may have had of it failed, as `sent`. */
  lost: [reason: LossReason];
  /** The answer to a call of the page that was here before a reload (`session: "tab"`). */
  orphan: [answer: Orphan];
}

/**
 * Why a session was lost: its time was over (`expired`), the server does not know it (`unknown`: it
 * restarted, or had too many), more was under way than was kept, or the server broke a rule, by a bad
 * frame or by more than there is room for (`gap`), or the token is now somebody else's (`identity`).
 */
export type LossReason = "expired" | "unknown" | "gap" | "identity";

/** The answer to a call whose page is gone. */
export interface Orphan {
  /** The method that was called. */
  readonly method: string;
  /** The number of the call: each has another. */
  readonly seq: bigint;
  /** The reply; undefined where there is an error. */
  readonly body: unknown;
  /** Why there is no reply. */
  readonly error?: ArpcError;
}

/** Sees a frame of a connection: one that we send (`out`) or that the peer sent (`in`). */
export type DebugHook = (direction: "in" | "out", frame: Frame) => void;

/** Settings of a client. Times are in ms, sizes in bytes. */
export interface ClientOptions {
  /** Makes the sockets. Node below 22 has none: give it that of the `ws` package. @default the runtime's */
  readonly WebSocket?: SocketConstructor;
  /** How long a call waits for its answer, the wait for a connection included; 0 has no end. @default 10_000 */
  readonly timeout?: number;
  /** Most bytes of one frame's method and body, both ways; a server may take less. @default 1_048_576 */
  readonly maxBody?: number;
  /** Most calls and notifies that wait for a connection, or for the server to have fewer. @default 4_096 */
  readonly maxQueue?: number;
  /**
   * Most bytes of them, and of what is in coders and in the socket. What the server provokes has
   * more room: it loses the connection over twice this and `maxBody` together, and `maxJournal`.
   * @default 16_777_216
   */
  readonly maxQueueBytes?: number;
  /** How values become bodies. @default JSON */
  readonly codec?: Codec;
  /** When to dial again. */
  readonly backoff?: BackoffOptions;
  /**
   * Whether to find out what more than the base protocol the server can do: `auto` goes on without
   * where it is a base server, `require` fails there (`unavailable`, and tries again), `never` does
   * not ask. @default "auto"
   */
  readonly hello?: HelloMode;
  /**
   * Says who we are, or gets what does: called on each connect and before the token expires, once
   * at a time. If it throws, the attempt to connect fails and is made again. A server that cannot
   * read it is not connected to; with `hello: "never"` it is not shown.
   */
  readonly token?: TokenProvider;
  /** How long getting a token, a dial, and after it the check of a password may take, each. @default 10_000 */
  readonly connectTimeout?: number;
  /**
   * Whether calls and notifies fail at once while there is no connection after one was lost or could
   * not be made, instead of waiting within their timeout. @default false
   */
  readonly failFast?: boolean;
  /** Bytes a peer may send on a stream ahead of its reader, where that was agreed. @default 262_144 */
  readonly window?: number;
  /** Sees every frame, decoded, as it is sent or read; what it throws is told by `error`. */
  readonly debug?: DebugHook;
  /** Silence after which a base server is pinged, if no call waits for it; others ping. @default 25_000 */
  readonly pingInterval?: number;
  /** Silence after a ping was sent, or due from the server, that ends the connection. @default 35_000 */
  readonly pingTimeout?: number;
}

/** How long a call waits, and what ends it early. */
export interface WaitOptions {
  /** Milliseconds until the call fails with `deadline_exceeded`; 0 waits without end. */
  readonly timeout?: number | undefined;
  /** Ends the call with `canceled` when aborted. */
  readonly signal?: AbortSignal | undefined;
}

/** Settings of one call. */
export interface CallOptions extends WaitOptions {
  /** How to read a reply whose sender did not say what it is. @default JSON if it is JSON, else text */
  readonly as?: BodyKind | undefined;
}

/**
 * What became of a notify: `sent` to the socket, `queued` until there is a connection, `dropped`
 * because the queue is full or the client is closed.
 */
export type NotifyResult = "sent" | "queued" | "dropped";

/** The options of a client with the defaults of what it was not given. */
export type Settings = Required<Omit<ClientOptions, "token" | "WebSocket" | "debug">> &
  Pick<ClientOptions, "token"> & { readonly maxJournal: number };

/** Puts the defaults in; an option that is undefined is one that was not given. */
export function withDefaults(options: ClientOptions): Settings {
  const given = Object.entries(options).filter(([, value]) => value !== undefined);
  return {
    timeout: 10_000,
    maxBody: 1 << 20,
    maxQueue: 4096,
    maxQueueBytes: 16 << 20,
    maxJournal: 1 << 20,
    codec: json,
    backoff: {},
    hello: "auto",
    connectTimeout: 10_000,
    pingInterval: 25_000,
    pingTimeout: 35_000,
    failFast: false,
    window: 256 << 10,
    ...Object.fromEntries(given),
  };
}
