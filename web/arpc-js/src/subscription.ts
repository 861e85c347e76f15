import type { BodyKind } from "./codec.ts";
import { Emitter } from "./emitter.ts";
import { ArpcError } from "./errors.ts";

/** One publication, as a subscriber gets it. */
export interface Message<T = unknown> {
  readonly topic: string;
  readonly data: T;
  /**
   * The publication's position in its topic, from 1. Servers without topic logs number as they
   * like.
   */
  readonly offset: number;
  /** When it was published, in ms since 1970, by the publisher's or server's clock. */
  readonly time: number;
}

/**
 * Where a subscription is: `subscribing` (not confirmed on the current connection), `subscribed`,
 * or `closed` for good.
 */
export type SubscriptionState = "subscribing" | "subscribed" | "closed";

/** Takes the messages of a topic, in order. */
export type MessageHandler<T = unknown> = (message: Message<T>) => void | Promise<void>;

/** Settings of a subscription. */
export interface SubscribeOptions {
  /** How to read data whose sender did not say what it is. @default JSON if it is JSON, else text */
  readonly as?: BodyKind;
  /** Most messages that wait in the iterator; beyond, it ends with an error. @default 1_024 */
  readonly buffer?: number;
}

/** The events of a subscription, with their listeners' arguments. */
export interface SubscriptionEvents {
  state: [state: SubscriptionState, error: ArpcError | undefined];
}

/**
 * A subscription of one topic. It subscribes again by itself after a reconnect. Iterated, it gives
 * the messages from the moment of `subscribe` (with a handler: of the iteration), and leaving the
 * loop unsubscribes; if the loop is so slow that the buffer overflows, it ends with an ArpcError
 * `resource_exhausted` after what was buffered.
 */
export interface Subscription<T = unknown> {
  readonly topic: string;
  readonly state: SubscriptionState;
  /** Resolves once the server has confirmed; rejects if it refuses, or if it is closed before. */
  readonly ready: Promise<void>;
  /** Listens to an event; returns the undo. */
  on<E extends keyof SubscriptionEvents>(
    event: E,
    listener: (...args: SubscriptionEvents[E]) => void,
  ): () => void;
  /** Ends it at once; resolves when the server knows, and never rejects. */
  unsubscribe(): Promise<void>;
  [Symbol.asyncIterator](): AsyncIterator<Message<T>, undefined>;
}

/** A message before its data is decoded for a subscriber. */
export interface Delivery extends Omit<Message, "data"> {
  decode(as: BodyKind | undefined): unknown;
}

type Result = IteratorResult<Message, undefined>;

const done = async (): Promise<IteratorReturnResult<undefined>> => ({
  value: undefined,
  done: true,
});

/** What a subscription needs of the topic it belongs to. */
export interface SubscriptionOwner {
  readonly name: string;
  leave(subscription: TopicSubscription): Promise<void>;
  report(error: unknown): void;
}

/** The subscription of one subscriber, and its iterator. */
export class TopicSubscription implements Subscription, AsyncIterator<Message, undefined> {
  readonly topic: string;
  readonly ready: Promise<void>;
  readonly #owner: SubscriptionOwner;
  readonly #handler: MessageHandler | undefined;
  readonly #as: BodyKind | undefined;
  readonly #capacity: number;
  readonly #emitter: Emitter<SubscriptionEvents>;
  #state: SubscriptionState = "subscribing";
  #confirm!: () => void;
  #refuse!: (error: ArpcError) => void;

  // Iterator state. Either messages wait for next(), or next() waits for messages.
  readonly #messages: Message[] = [];
  readonly #waiting: Array<(result: Result | Promise<Result>) => void> = [];
  #buffering: boolean;
  // What next() says when it is closed and nothing waits.
  #end: () => Promise<Result> = done;

  constructor(
    owner: SubscriptionOwner,
    handler: MessageHandler | undefined,
    { as, buffer = 1024 }: SubscribeOptions,
  ) {
    this.topic = owner.name;
    this.#owner = owner;
    this.#handler = handler;
    this.#as = as;
    this.#capacity = buffer;
    this.#buffering = handler === undefined;
    this.#emitter = new Emitter((error) => owner.report(error));
    this.ready = new Promise((resolve, reject) => {
      this.#confirm = resolve;
      this.#refuse = reject;
    });
    // Nobody has to wait for it: a refusal is told by the state too.
    this.ready.catch(() => {});
  }

  get state(): SubscriptionState {
    return this.#state;
  }

  on<E extends keyof SubscriptionEvents>(
    event: E,
    listener: (...args: SubscriptionEvents[E]) => void,
  ): () => void {
    return this.#emitter.on(event, listener);
  }

  unsubscribe(): Promise<void> {
    if (this.#state === "closed") return Promise.resolve();
    this.close();
    return this.#owner.leave(this);
  }

  [Symbol.asyncIterator](): AsyncIterator<Message, undefined> {
    this.#buffering = true;
    return this;
  }

  async next(): Promise<Result> {
    const value = this.#messages.shift();
    if (value) return { value, done: false };
    if (this.#state === "closed") return this.#end();
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  return(): Promise<IteratorReturnResult<undefined>> {
    this.#messages.length = 0;
    this.#end = done;
    // The loop does not wait for the server.
    void this.unsubscribe();
    return done();
  }

  /** Hands a message to the handler and to the iterator. Never throws. */
  deliver(delivery: Delivery): void {
    const { topic, offset, time } = delivery;
    try {
      const message = { topic, offset, time, data: delivery.decode(this.#as) };
      if (this.#buffering) this.#buffer(message);
      const done = this.#handler?.(message);
      done?.catch((error: unknown) => this.#owner.report(error));
    } catch (error) {
      this.#owner.report(error);
    }
  }

  /** The server confirmed, or the connection with that confirmation is gone. */
  confirm(state: "subscribing" | "subscribed"): void {
    if (this.#state === state || this.#state === "closed") return;
    this.#state = state;
    if (state === "subscribed") this.#confirm();
    this.#emitter.emit("state", state, undefined);
  }

  /** Ends it; without an error at the application's will. Does not tell the owner. */
  close(error?: ArpcError): void {
    if (this.#state === "closed") return;
    this.#state = "closed";
    this.#refuse(error ?? new ArpcError("canceled", `unsubscribed from ${this.topic}`));
    if (error) this.#end = () => this.#fail(error);
    for (const resolve of this.#waiting.splice(0)) resolve(this.#end());
    this.#emitter.emit("state", "closed", error);
    this.#emitter.clear();
  }

  /** The error is told once. */
  #fail(error: ArpcError): Promise<Result> {
    this.#end = done;
    return Promise.reject(error);
  }

  #buffer(value: Message): void {
    const waiting = this.#waiting.shift();
    if (waiting) {
      waiting({ value, done: false });
      return;
    }
    if (this.#messages.length < this.#capacity) {
      this.#messages.push(value);
      return;
    }
    this.close(new ArpcError("resource_exhausted", `over ${this.#capacity} messages wait`));
    void this.#owner.leave(this);
  }
}
