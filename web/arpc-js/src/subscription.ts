import { type BodyKind, decodeObject, encodeBody, json } from "./codec.ts";
import { createEmitter, type Emitter } from "./emitter.ts";
import { ArpcError } from "./errors.ts";
import { isPromise } from "./handler.ts";
import { type Cursor, type Gap, type Position, seek } from "./position.ts";
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

/** What a subscription needs of the topic it belongs to. */
export interface SubscriptionOwner {
  readonly name: string;
  readonly roster: { readonly members: readonly Member[] };
  leave(subscription: TopicSubscription): Promise<void>;
  report(error: unknown): void;
}

/** The subscription of one subscriber, as its topic sees it. */
export interface TopicSubscription extends Subscription {
  readonly emitter: Emitter<SubscriptionEvents>;
  readonly options: SubscribeOptions;
  /** Its part of what the server is asked. */
  readonly presence: object | undefined;
  /** Behind the last message it got. Without an epoch the server has to say where it begins. */
  readonly cursor: Cursor;
  /** Whether the server is still to be asked for what it begins with. */
  isUnasked: boolean;
  /** How many publications it begins with; 0 once it knows where it is. */
  last(): number;
  /** Hands a message to the handler and to the iterator, unless it had it. Never throws. */
  deliver(delivery: Delivery): void;
  /**
   * The server confirmed: pushes come from behind a place on. Who has no place of its own begins
   * there, or nearer to the newest.
   */
  begin(place: Position, newest: number, isReset: boolean): void;
  /** What lies before a place is not coming any more, as {@link seek} has it. */
  seek(to: Position, isReset: boolean, isSkipped?: boolean): void;
  /** The connection is gone. */
  suspend(): void;
  /** Ends it; without an error at the application's will. Does not tell the owner. */
  close(error?: ArpcError): void;
}

/** Makes a subscription, and its iterator. */
export function createSubscription(
  owner: SubscriptionOwner,
  handler: MessageHandler | undefined,
  options: SubscribeOptions,
): TopicSubscription {
  const { name: topic, report } = owner;
  const { since, last = 0, presence, buffer = 1024, as, recover } = options;
  const emitter = createEmitter<SubscriptionEvents>(report);
  const cursor: Cursor = { epoch: "", offset: 0, ...since };
  let state: SubscriptionState = "subscribing";
  let confirm!: () => void;
  let refuse!: (error: ArpcError) => void;
  const ready = new Promise<void>((resolve, reject) => {
    confirm = resolve;
    refuse = reject;
  });
  // Nobody has to wait for it: a refusal is told by the state too.
  ready.catch(() => {});

  // Either messages wait for next(), or next() waits for messages.
  const messages: Message[] = [];
  const waiting: Array<(result: Result | Promise<Result>) => void> = [];
  let isBuffering = !handler;
  // Why it ended, until the iterator told it.
  let failure: ArpcError | undefined;
  const finish = async (): Promise<IteratorReturnResult<undefined>> => {
    const error = failure;
    failure = undefined;
    if (error) throw error;
    return { value: undefined, done: true };
  };
  const keep = (value: Message): void => {
    const next = waiting.shift();
    if (next) next({ value, done: false });
    else if (messages.length < buffer) messages.push(value);
    else {
      subscription.close(new ArpcError("resource_exhausted", `over ${buffer} messages`));
      void owner.leave(subscription);
    }
  };
  const setState = (next: SubscriptionState, error?: ArpcError): void => {
    if (state === next || state === "closed") return;
    state = next;
    if (state === "subscribed") confirm();
    emitter.emit("state", state, error);
  };

  const iterator: AsyncIterator<Message, undefined> = {
    async next() {
      const value = messages.shift();
      if (value) return { value, done: false };
      if (state === "closed") return finish();
      return new Promise((resolve) => waiting.push(resolve));
    },
    return() {
      messages.length = 0;
      failure = undefined;
      // The loop does not wait for the server.
      void subscription.unsubscribe();
      return finish();
    },
  };
  const subscription: TopicSubscription = {
    topic,
    ready,
    emitter,
    options,
    cursor,
    // A copy: what the application does to its own later is not told.
    presence: presence
      ? decodeObject(encodeBody({ presence: true, info: Object(presence).info }, json).bytes)
      : undefined,
    isUnasked: cursor.epoch !== "" || last > 0,
    get state() {
      return state;
    },
    get position() {
      const next = messages.find(({ epoch }) => epoch);
      return next ? { epoch: next.epoch, offset: next.offset - 1 } : { ...cursor };
    },
    get members() {
      return owner.roster.members;
    },
    on: emitter.on,
    async unsubscribe() {
      if (state === "closed") return;
      subscription.close();
      await owner.leave(subscription);
    },
    [Symbol.asyncIterator]() {
      isBuffering = true;
      return iterator;
    },
    last: () => (cursor.epoch ? 0 : last),
    deliver({ decode, ...rest }) {
      const { epoch, offset } = rest;
      if (epoch) {
        if (offset <= cursor.offset) return;
        cursor.offset = offset;
      }
      try {
        const message = { ...rest, data: decode(as) };
        if (isBuffering) keep(message);
        const handled: unknown = handler?.(message);
        if (isPromise(handled)) handled.then(undefined, report);
      } catch (error) {
        report(error);
      }
    },
    begin({ epoch, offset }, newest, isReset) {
      const first = Math.max(offset, newest - subscription.last());
      subscription.seek({ epoch, offset: cursor.epoch ? offset : first }, isReset);
      setState("subscribed");
    },
    seek(...to) {
      const gap = seek(cursor, ...to);
      if (gap) emitter.emit("gap", gap);
    },
    suspend() {
      if (recover === false && state === "subscribed") cursor.epoch = "";
      setState("subscribing");
    },
    close(error) {
      if (state === "closed") return;
      failure = error;
      refuse(error ?? new ArpcError("canceled", "unsubscribed"));
      const left = waiting.splice(0);
      setState("closed", error);
      for (const next of left) next(finish());
      emitter.clear();
    },
  };
  return subscription;
}
