/** What the chat needs of an arpc client: a part of it, so that a test can stand in for the rest. */

import type { ArpcError, ClientState, Message, StateDetail, SubscriptionState } from "arpc-js";
import type { Place } from "./conversation.ts";

/** Someone subscribed with presence: what their client says of itself in `info`. */
export interface Member {
  readonly id: string;
  readonly info?: unknown;
  /** Since when, in milliseconds since 1970. */
  readonly since: number;
}

/** Publications are gone: how many, if that is known, and in which epoch it goes on. */
export interface Gap {
  readonly missed?: number | undefined;
  readonly epoch: string;
}

/** Where a subscription begins, and whether it brings presence. */
export interface SubscribeOptions {
  readonly since?: Place;
  readonly last?: number;
  readonly presence?: { readonly info: unknown };
}

/** A subscription of one topic. */
export interface Subscription {
  on(
    event: "state",
    listener: (state: SubscriptionState, error: ArpcError | undefined) => void,
  ): () => void;
  on(event: "gap", listener: (gap: Gap) => void): () => void;
  on(event: "members", listener: (members: readonly Member[]) => void): () => void;
  unsubscribe(): Promise<void>;
}

/** A page of a topic's log, oldest first. */
export interface HistoryPage {
  readonly epoch: string;
  /** The oldest offset held; 0 if there is none. */
  readonly from: number;
  readonly last: number;
  /** Whether there is more before it. */
  readonly more: boolean;
  readonly messages: readonly Message[];
}

/** A client of the chat's server. */
export interface Connection {
  on(event: "state", listener: (state: ClientState, detail: StateDetail) => void): () => void;
  call(method: string, body: unknown): Promise<unknown>;
  notify(method: string, body: unknown): unknown;
  subscribe(
    topic: string,
    handler: (message: Message) => void,
    options?: SubscribeOptions,
  ): Subscription;
  history(topic: string, options: { before?: number; limit: number }): Promise<HistoryPage>;
  close(): void;
}
