/**
 * arpc-js/core: calls and notifies in both directions, middleware and reconnection, without sessions,
 * topics, streams and coders. It takes what `arpc-js` takes and refuses the streams of others. It does not
 * watch the page (online, offline, hidden, frozen): what it misses, its timers find out later. The
 * options `debug` and `window` do nothing here.
 *
 * @module
 */

import type { ApiShape } from "./api.ts";
import type { Client } from "./client.ts";
import { launch } from "./launch.ts";
import type { ClientOptions } from "./options.ts";

export type { ApiShape, Exchange } from "./api.ts";
export type { BackoffOptions } from "./backoff.ts";
export type { Client } from "./client.ts";
export type { BodyKind, Codec } from "./codec.ts";
export type { Context } from "./context.ts";
export {
  ArpcError,
  type ArpcErrorInit,
  type ErrorCode,
  errorCodes,
  isArpcError,
} from "./errors.ts";
export type { HandleOptions, Handler, Middleware } from "./handler.ts";
export type { HelloMode } from "./hello.ts";
export type {
  CallOptions,
  ClientEvents,
  ClientOptions,
  ClientState,
  DebugHook,
  LossReason,
  NotifyResult,
  Orphan,
  StateDetail,
  WaitOptions,
} from "./options.ts";
export type { Socket, SocketConstructor } from "./socket.ts";
export type { TokenProvider } from "./token.ts";
export type { Carried, Frame, Kind } from "./wire.ts";

/**
 * Makes a client without sessions, topics, streams and coders and lets it dial, as `connect` of `arpc-js`
 * does.
 *
 * @throws ArpcError `invalid_argument` when the URL is none, `failed_precondition` when the runtime
 * has no WebSocket and the options neither.
 */
export function connect<A extends ApiShape = ApiShape>(
  url: string | URL,
  options: ClientOptions = {},
): Client<A> {
  return launch(url, options) as Client<A>;
}
