import type {
  ApiShape,
  BodyArguments,
  Calls,
  Handles,
  Name,
  Notifies,
  ReplyOf,
  RequestOf,
} from "./api.ts";
import type { HandleOptions, Handler, Middleware } from "./handler.ts";
import type {
  CallOptions,
  ClientEvents,
  ClientState,
  NotifyResult,
  StateDetail,
} from "./options.ts";

/**
 * One end of a connection that is made again whenever it is lost. It dials at once; what is called
 * before it is open waits.
 */
export interface Client<A extends ApiShape = ApiShape> {
  /** Where the client is. */
  readonly state: ClientState;

  /** What went with the last change of `state`: the same object until the next. */
  readonly detail: StateDetail;

  /** Listens to an event; returns the undo. */
  on<E extends keyof ClientEvents>(
    event: E,
    listener: (...args: ClientEvents[E]) => void,
  ): () => void;

  /**
   * Calls a method of the peer. While there is no connection the call waits, within its timeout.
   * Rejects with an ArpcError: what the peer answered (`remote`), `deadline_exceeded`, `canceled`,
   * `unavailable` when the connection is lost and no session goes on without it (`sent` tells
   * whether the peer may have got it),
   * `resource_exhausted` when the queue is full or the body too big, `invalid_argument`.
   */
  call<M extends Name<Calls<A>>>(
    method: M,
    ...args: BodyArguments<RequestOf<Calls<A>, M>, CallOptions>
  ): Promise<ReplyOf<Calls<A>, M>>;

  /**
   * Tells the peer without an answer; tells what became of it.
   * @throws ArpcError `invalid_argument` or `resource_exhausted` when it can never be sent.
   */
  notify<M extends Name<Notifies<A>>>(
    method: M,
    ...[body]: BodyArguments<Notifies<A>[M], never>
  ): NotifyResult;

  /**
   * Handles what the peer calls or notifies by a method. What the handler returns, or resolves
   * with, is the reply; what it throws is the error: an ArpcError as it is, `internal error` for
   * all else (which the `error` event tells). Requests run concurrently, notifies in order.
   * @returns the undo.
   * @throws ArpcError `already_exists` when the method has a handler, `invalid_argument` when it
   * begins with `arpc.`: those are the protocol's.
   */
  handle<M extends Name<Handles<A>>>(
    method: M,
    handler: Handler<RequestOf<Handles<A>, M>, ReplyOf<Handles<A>, M>>,
    options?: HandleOptions,
  ): () => void;

  /** Handles all that no handler is registered for; without it requests get `method not found`. */
  handleNotFound(handler: Handler, options?: HandleOptions): void;

  /** Puts a middleware around the handlers registered after it, inside the middleware before it. */
  use(middleware: Middleware): void;

  /**
   * Ends the client for good: what waits for an answer fails with `unavailable`, nothing is dialed,
   * no timer and no listener is left. Closing again does nothing.
   */
  close(): void;
}
