import { useEffect } from "react";
import type { ApiShape, Name, Topics } from "../api.ts";
import { ArpcError } from "../errors.ts";
import type { Gap, Position } from "../position.ts";
import type { Member } from "../presence.ts";
import type { PubSubClient } from "../pubsub.ts";
import type {
  Message,
  SubscribeOptions,
  Subscription,
  SubscriptionState,
} from "../subscription.ts";
import { Store, useStore } from "./store.ts";

/** Settings of {@link useTopic}. */
export interface UseTopicOptions<T = unknown> extends Omit<SubscribeOptions, "buffer"> {
  /** Most messages that are kept, the newest, and most gaps. @default 100 */
  readonly limit?: number;
  /** Whether to subscribe at all. @default true */
  readonly enabled?: boolean;
  /** Takes each message as it comes, also one the list has no room for. Need not be memoized. */
  readonly onMessage?: (message: Message<T>) => void;
}

/** What {@link useTopic} gives. */
export interface TopicResult<T> {
  /** The newest messages, oldest first. The same array until there is another. */
  readonly messages: readonly Message<T>[];
  /** Where the subscription is; `subscribing` also while there is none yet. */
  readonly state: SubscriptionState;
  /** What was missed between messages because the server no longer had it, oldest first. */
  readonly gaps: readonly Gap[];
  /** Who is present, with the option `presence`. */
  readonly members: readonly Member[];
  /** Why the subscription was ended, if it was not by us. */
  readonly error: ArpcError | undefined;
}

/**
 * Subscribes a topic while the component is mounted, and keeps its newest messages. With another
 * client, topic or other options it begins anew; a component that comes back, after hot reload or
 * in an Activity, goes on where it was.
 *
 *     const { messages, state } = useTopic(client, `room:${id}`, { last: 20 });
 *
 * @param client may be undefined: nothing is subscribed then, as on a server.
 */
export function useTopic<A extends ApiShape, T extends Name<Topics<A>>>(
  client: PubSubClient<A> | undefined,
  topic: T,
  options: UseTopicOptions<Topics<A>[T]> = {},
): TopicResult<Topics<A>[T]> {
  type Result = TopicResult<Topics<A>[T]>;
  const { limit = 100, enabled = true, onMessage, ...rest } = options;
  const inputs = { topic, limit, enabled, rest };
  const [result, store] = useStore<TopicResult<unknown>, TopicStore>(
    client,
    inputs,
    () =>
      new TopicStore(
        enabled ? (client as PubSubClient | undefined) : undefined,
        topic,
        limit,
        rest,
      ),
  );
  useEffect(() => {
    store.onMessage = onMessage as TopicStore["onMessage"];
  });
  return result as Result;
}

const nothing: TopicResult<unknown> = {
  messages: [],
  state: "subscribing",
  gaps: [],
  members: [],
  error: undefined,
};

/** One subscription, and the newest of what came by it. */
class TopicStore extends Store<TopicResult<unknown>> {
  onMessage: ((message: Message) => void) | undefined;
  readonly #client: PubSubClient | undefined;
  readonly #topic: string;
  readonly #limit: number;
  readonly #options: SubscribeOptions;
  #subscription: Subscription | undefined;
  // Where a subscription that was ended had been.
  #since: Position | undefined;
  // What came since the last time it was shown; undefined when that is all shown.
  #fresh: Message[] | undefined;

  constructor(
    client: PubSubClient | undefined,
    topic: string,
    limit: number,
    options: SubscribeOptions,
  ) {
    super(nothing);
    this.#client = client;
    this.#topic = topic;
    this.#limit = limit;
    this.#options = options;
  }

  protected start(): void {
    if (!this.#client) return;
    const { last, ...rest } = this.#options;
    const begin = this.#since ? { since: this.#since } : last !== undefined && { last };
    try {
      this.#follow(this.#client.subscribe(this.#topic, this.#take, { ...rest, ...begin }));
    } catch (error) {
      this.#show({ state: "closed", error: ArpcError.from(error) });
    }
  }

  protected stop(): void {
    const subscription = this.#subscription;
    if (!subscription) return;
    this.#subscription = undefined;
    if (subscription.position.epoch) this.#since = subscription.position;
    void subscription.unsubscribe();
  }

  #follow(subscription: Subscription): void {
    this.#subscription = subscription;
    subscription.on("state", (state, error) => this.#show({ state, error }, subscription));
    subscription.on("gap", (gap) => {
      this.#show({ gaps: [...this.get().gaps, gap].slice(-this.#limit) }, subscription);
    });
    subscription.on("members", (members) => this.#show({ members }, subscription));
    this.#show({ state: subscription.state, error: undefined, members: subscription.members });
  }

  /** What comes in one go is shown in one go. */
  readonly #take = (message: Message): void => {
    if (!this.#fresh) {
      this.#fresh = [];
      queueMicrotask(() => this.#flush());
    }
    this.#fresh.push(message);
    this.onMessage?.(message);
  };

  #flush(): void {
    const messages = [...this.get().messages, ...(this.#fresh ?? [])].slice(-this.#limit);
    this.#fresh = undefined;
    this.#show({ messages });
  }

  #show(change: Partial<TopicResult<unknown>>, from = this.#subscription): void {
    if (from === this.#subscription) this.set({ ...this.get(), ...change });
  }
}
