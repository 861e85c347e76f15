import { ArpcError } from "./errors.ts";
import {
  type Delivery,
  type MessageHandler,
  type SubscribeOptions,
  type SubscriptionOwner,
  TopicSubscription,
} from "./subscription.ts";

/** What a topic needs of its client. The promises reject with an ArpcError. */
export interface TopicLink {
  subscribe(): Promise<void>;
  unsubscribe(): Promise<void>;
  isReady(): boolean;
  /** Nobody is subscribed any more, here and at the server. */
  forget(): void;
  report(error: unknown): void;
}

/** One topic: its subscribers share one subscription at the server. */
export class Topic implements SubscriptionOwner {
  readonly name: string;
  readonly #link: TopicLink;
  readonly #members = new Set<TopicSubscription>();
  // What the server has on the current connection; #generation counts connections.
  #isLive = false;
  #generation = 0;
  #syncing: Promise<void> | undefined;

  constructor(name: string, link: TopicLink) {
    this.name = name;
    this.#link = link;
  }

  join(handler: MessageHandler | undefined, options: SubscribeOptions): TopicSubscription {
    const subscription = new TopicSubscription(this, handler, options);
    this.#members.add(subscription);
    if (this.#isLive) subscription.confirm("subscribed");
    void this.#sync();
    return subscription;
  }

  async leave(subscription: TopicSubscription): Promise<void> {
    this.#members.delete(subscription);
    await this.#sync();
    this.#forgetIfUnused();
  }

  /** Delivers to each subscriber; those who leave meanwhile get no more. */
  deliver(delivery: Delivery): void {
    for (const member of this.#members) member.deliver(delivery);
  }

  connected(): void {
    void this.#sync();
  }

  disconnected(isFinal: boolean): void {
    this.#generation++;
    this.#isLive = false;
    for (const member of this.#members) {
      if (isFinal) member.close();
      else member.confirm("subscribing");
    }
    if (isFinal) this.#members.clear();
    this.#forgetIfUnused();
  }

  report(error: unknown): void {
    this.#link.report(error);
  }

  /** Whether the server is to be told something. */
  get #isDue(): boolean {
    return this.#link.isReady() && this.#isLive !== this.#members.size > 0;
  }

  /** Tells the server what is wanted, one request at a time, until it knows. Never rejects. */
  #sync(): Promise<void> | undefined {
    if (this.#isDue) this.#syncing ??= this.#run();
    return this.#syncing;
  }

  async #run(): Promise<void> {
    while (this.#isDue) {
      const wanted = !this.#isLive;
      const generation = this.#generation;
      try {
        await (wanted ? this.#link.subscribe() : this.#link.unsubscribe());
        // A connection that was lost meanwhile took the answer's worth with it.
        if (generation === this.#generation) this.#settle(wanted);
      } catch (error) {
        this.#refused(wanted, ArpcError.from(error));
      }
    }
    this.#syncing = undefined;
    this.#forgetIfUnused();
  }

  #settle(isLive: boolean): void {
    this.#isLive = isLive;
    if (isLive) for (const member of this.#members) member.confirm("subscribed");
  }

  /** A request that got lost is repeated; any other no ends the subscriptions. */
  #refused(wanted: boolean, error: ArpcError): void {
    if (error.code === "unavailable" || error.code === "deadline_exceeded") return;
    this.report(error);
    if (!wanted) {
      this.#isLive = false;
      return;
    }
    for (const member of this.#members) member.close(error);
    this.#members.clear();
  }

  #forgetIfUnused(): void {
    if (this.#members.size === 0 && !this.#isLive && !this.#syncing) this.#link.forget();
  }
}
