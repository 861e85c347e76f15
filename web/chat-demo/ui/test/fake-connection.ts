// FakeConnection is an arpc client a test holds in its hands:
//   connection.open()                        there is a connection
//   connection.live("chat:room:lobby")       the server confirms the subscription
//   connection.lost("chat:room:lobby")       the connection is gone
//   connection.refuse(topic, error)          the server refuses the subscription
//   connection.deliver(topic, data, offset)  something is published there
//   connection.calls[0].resolve(answer)      the server answers
//   connection.pages[0].resolve(page)        the server answers what was said before
import type { ArpcError, ClientState, Message, StateDetail, SubscriptionState } from "arpc-js";
import type {
  Connection,
  Gap,
  HistoryPage,
  Member,
  SubscribeOptions,
  Subscription,
} from "../src/connection.ts";

interface Asked<T> {
  readonly method: string;
  readonly body: unknown;
  resolve(answer: T): void;
  reject(error: Error): void;
}

type Listeners = {
  state: (state: SubscriptionState, error: ArpcError | undefined) => void;
  gap: (gap: Gap) => void;
  members: (members: readonly Member[]) => void;
};

class FakeSubscription implements Subscription {
  readonly handler: (message: Message) => void;
  readonly options: SubscribeOptions;
  readonly listeners: Partial<Listeners> = {};
  isOver = false;

  constructor(handler: (message: Message) => void, options: SubscribeOptions) {
    this.handler = handler;
    this.options = options;
  }

  on<E extends keyof Listeners>(event: E, listener: Listeners[E]): () => void {
    this.listeners[event] = listener;
    return () => delete this.listeners[event];
  }

  async unsubscribe(): Promise<void> {
    this.isOver = true;
  }
}

export class FakeConnection implements Connection {
  readonly calls: Asked<unknown>[] = [];
  readonly pages: Asked<HistoryPage>[] = [];
  readonly notified: string[] = [];
  readonly topics = new Map<string, FakeSubscription>();
  #listener: ((state: ClientState, detail: StateDetail) => void) | undefined;
  isClosed = false;

  on(_: "state", listener: (state: ClientState, detail: StateDetail) => void): () => void {
    this.#listener = listener;
    return () => {
      this.#listener = undefined;
    };
  }

  call(method: string, body: unknown): Promise<unknown> {
    return new Promise((resolve, reject) => this.calls.push({ method, body, resolve, reject }));
  }

  notify(method: string): void {
    this.notified.push(method);
  }

  subscribe(
    topic: string,
    handler: (message: Message) => void,
    options: SubscribeOptions = {},
  ): Subscription {
    const subscription = new FakeSubscription(handler, options);
    this.topics.set(topic, subscription);
    return subscription;
  }

  history(method: string, body: unknown): Promise<HistoryPage> {
    return new Promise((resolve, reject) => this.pages.push({ method, body, resolve, reject }));
  }

  close(): void {
    this.isClosed = true;
  }

  open(): void {
    this.#listener?.("open", {});
  }

  live(topic: string): void {
    this.topics.get(topic)?.listeners.state?.("subscribed", undefined);
  }

  lost(topic: string): void {
    this.topics.get(topic)?.listeners.state?.("subscribing", undefined);
    this.#listener?.("waiting", { delay: 500 });
  }

  refuse(topic: string, error: ArpcError): void {
    this.topics.get(topic)?.listeners.state?.("closed", error);
  }

  deliver(topic: string, data: unknown, offset: number, { epoch = "e1", time = 2000 } = {}): void {
    this.topics.get(topic)?.handler({ topic, data, offset, epoch, time });
  }

  /** The calls of a method that were made, oldest first. */
  made(method: string): unknown[] {
    return this.calls.filter((call) => call.method === method).map(({ body }) => body);
  }
}
