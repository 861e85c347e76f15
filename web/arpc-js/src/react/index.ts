/**
 * arpc-js for React: {@link useConnection}, {@link useCall}, {@link useTopic}.
 *
 * @module
 */

export { type CallResult, type CallState, type UseCallOptions, useCall } from "./call.ts";
export {
  type ClientContext,
  type ClientProviderProps,
  createClientContext,
  useConnect,
} from "./client.ts";
export { type Connecting, type Connection, useConnection } from "./connection.ts";
export { type TopicResult, type UseTopicOptions, useTopic } from "./topic.ts";
