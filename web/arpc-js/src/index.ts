/**
 * arpc-js: realtime messaging over one WebSocket. Start at {@link connect}.
 *
 * @module
 */

export type { ApiShape, Exchange } from "./api.ts";
export type { BackoffOptions } from "./backoff.ts";
export type { BodyKind, Codec } from "./codec.ts";
export type { Coder } from "./coder.ts";
export { connect } from "./connect.ts";
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
export type { History, HistoryOptions } from "./history.ts";
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
export type { Gap, Position } from "./position.ts";
export type { Member, Presence, PresenceEvents } from "./presence.ts";
export type { ConnectOptions, PublishOptions, PubSubClient as Client } from "./pubsub.ts";
export type { SessionOptions } from "./session.ts";
export type { Socket, SocketConstructor } from "./socket.ts";
export type { Stream, StreamOptions } from "./stream.ts";
export type { StreamHandler } from "./streaming.ts";
export type {
  Message,
  MessageHandler,
  SubscribeOptions,
  Subscription,
  SubscriptionEvents,
  SubscriptionState,
} from "./subscription.ts";
export type { TokenProvider } from "./token.ts";
export type { Carried, Frame, Kind } from "./wire.ts";
