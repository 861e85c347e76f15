import { type BodyKind, decodeObject, encodeBody, json } from "./codec.ts";
import { Emitter } from "./emitter.ts";
import { ArpcError } from "./errors.ts";
import { Cursor, type Gap, type Position } from "./position.ts";
import type { Member, PresenceEvents } from "./presence.ts";

/** One publication, as a subscriber gets it. */
export interface Message<T = unknown> {
  /** Where it was published. */
  readonly topic: string;
  /** What was published. */
  readonly data: T;
  /**
   * The publication's place in the log of its topic, from 1; 0 when it was published to one
   * subscriber alone. Servers without topic logs number as they like.
   */
  readonly offset: number;
  /** The epoch of the offset; empty when the publication is in no log. */
  readonly epoch: string;
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

/**
 * Settings of a subscription. Where it begins is its own; what the server is asked to do for it
 * (`policy`, `presence`, `echo`) it shares with the others of the topic on this client. A server
 * without topic logs knows none but `as` and `buffer`: a subscription there begins now.
 */
export interface SubscribeOptions {
  /**
   * Begins behind this position, with what was published since; a `gap` event tells what the
   * server no longer has of it. Without it, and without `last`, the subscription begins now.
   */
  readonly since?: Position | undefined;
  /** Begins with so many of the newest publications instead of from now. */
  readonly last?: number | undefined;
  /**
   * Whether it goes on after a reconnect where it was, with what it missed. If false it begins
   * again as it began first, `since` left out, and what it missed is not told. @default true
   */
  readonly recover?: boolean | undefined;
  /**
   * What the server does when the connection is too slow: `all` sends everything its history
   * holds, `latest` jumps to the newest. @default "all"
   */
  readonly policy?: "all" | "latest" | undefined;
  /** Whether to be present: seen by the others, with `info` (4 KiB of JSON), and told who is. @default false */
  readonly presence?: boolean | { readonly info?: unknown } | undefined;
  /** Whether to get what this client itself publishes. @default true */
  readonly echo?: boolean | undefined;
  /** How to read data whose sender did not say what it is. @default JSON if it is JSON, else text */
  readonly as?: BodyKind;
  /** Most messages that wait in the iterator; beyond, it ends with an error. @default 1_024 */
  readonly buffer?: number;
}

/** The events of a subscription, with their listeners' arguments. */
export interface SubscriptionEvents extends PresenceEvents {
  /** The state changed; the error says why the server ended or refused it. */
  state: [state: SubscriptionState, error: ArpcError | undefined];
  /** Publications are lost to this subscription; those after the gap follow. Told once. */
  gap: [gap: Gap];
}

/**
 * A subscription of one topic. After a reconnect it goes on by itself where it was. Iterated, it gives
 * the messages from the moment of `subscribe` (with a handler: of the iteration), and leaving the
 * loop unsubscribes; if the loop is so slow that the buffer overflows, it ends with an ArpcError
 * `resource_exhausted` after what was buffered.
 */
export interface Subscription<T = unknown> {
  /** The topic it is of. */
  readonly topic: string;
  /** Where it is. */
  readonly state: SubscriptionState;
  /** Resolves once the server has confirmed; rejects if it refuses, or if it is closed before. */
  readonly ready: Promise<void>;
  /**
   * Behind the last message that was delivered, or taken from the iterator; in a handler behind its
   * message. Before the server has confirmed it is `since`, or has no epoch.
   */
  readonly position: Position;
  /** Who is present, if a subscription of the topic asked; the same array until that changes. */
  readonly members: readonly Member[];
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
  readonly members: readonly Member[];
  leave(subscription: TopicSubscription): Promise<void>;
  report(error: unknown): void;
}

/** The subscription of one subscriber, and its iterator. */
export class TopicSubscription implements Subscription, AsyncIterator<Message, undefined> {
  readonly topic: string;
  readonly ready: Promise<void>;
  readonly #owner: SubscriptionOwner;
  readonly #handler: MessageHandler | undefined;
  readonly #capacity: number;
  readonly #last: number;
  readonly emitter: Emitter<SubscriptionEvents>;
  readonly options: SubscribeOptions;
  /** Its part of what the server is asked. */
  readonly presence: object | undefined;
  /** Behind the last message it got. Without an epoch the server has to say where it begins. */
  readonly cursor: Cursor = new Cursor();
  /** Whether the server is still to be asked for what it begins with. */
  isUnasked: boolean;
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
    options: SubscribeOptions,
  ) {
    const { since, last = 0, presence, buffer = 1024 } = options;
    this.topic = owner.name;
    this.#owner = owner;
    this.#handler = handler;
    this.#capacity = buffer;
    this.#last = last;
    this.#buffering = handler === undefined;
    this.emitter = new Emitter((error) => owner.report(error));
    this.options = options;
    if (presence) {
      // A copy: what the application does to its own later is not told.
      const { info } = Object(presence);
      this.presence = { presence: true, ...decodeObject(encodeBody({ info }, json).bytes) };
    }
    if (since) this.cursor.seek(since);
    this.isUnasked = this.cursor.epoch !== "" || last > 0;
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

  get position(): Position {
    const next = this.#messages.find(({ epoch }) => epoch);
    return next ? { epoch: next.epoch, offset: next.offset - 1 } : this.cursor.position;
  }

  get members(): readonly Member[] {
    return this.#owner.members;
  }

  /** How many publications it begins with; 0 once it knows where it is. */
  get last(): number {
    return this.cursor.epoch ? 0 : this.#last;
  }

  on<E extends keyof SubscriptionEvents>(
    event: E,
    listener: (...args: SubscriptionEvents[E]) => void,
  ): () => void {
    return this.emitter.on(event, listener);
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

  /** Hands a message to the handler and to the iterator, unless it had it. Never throws. */
  deliver(delivery: Delivery): void {
    const { topic, epoch, offset, time } = delivery;
    if (epoch) {
      if (offset <= this.cursor.offset) return;
      this.cursor.offset = offset;
    }
    try {
      const message = { topic, epoch, offset, time, data: delivery.decode(this.options.as) };
      if (this.#buffering) this.#buffer(message);
      const done = this.#handler?.(message);
      done?.catch((error: unknown) => this.#owner.report(error));
    } catch (error) {
      this.#owner.report(error);
    }
  }

  /**
   * The server confirmed: pushes come from behind a place on. Who has no place of its own begins
   * there, or nearer to the newest.
   */
  begin({ epoch, offset }: Position, newest: number, isReset: boolean): void {
    const first = Math.max(offset, newest - this.last);
    this.seek({ epoch, offset: this.cursor.epoch ? offset : first }, isReset);
    this.confirm("subscribed");
  }

  /** What lies before a place is not coming any more, as {@link Cursor.seek} has it. */
  seek(to: Position, isReset: boolean, isSkipped?: boolean): void {
    const gap = this.cursor.seek(to, isReset, isSkipped);
    if (gap) this.emitter.emit("gap", gap);
  }

  /** The connection is gone. */
  suspend(): void {
    const { recover } = this.options;
    if (recover === false && this.#state === "subscribed") this.cursor.epoch = "";
    this.confirm("subscribing");
  }

  /** The server confirmed, or the connection with that confirmation is gone. */
  confirm(state: "subscribing" | "subscribed"): void {
    if (this.#state === state || this.#state === "closed") return;
    this.#state = state;
    if (state === "subscribed") this.#confirm();
    this.emitter.emit("state", state, undefined);
  }

  /** Ends it; without an error at the application's will. Does not tell the owner. */
  close(error?: ArpcError): void {
    if (this.#state === "closed") return;
    this.#state = "closed";
    this.#refuse(error ?? new ArpcError("canceled", `unsubscribed from ${this.topic}`));
    if (error) this.#end = () => this.#fail(error);
    for (const resolve of this.#waiting.splice(0)) resolve(this.#end());
    this.emitter.emit("state", "closed", error);
    this.emitter.clear();
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
