import type { Conn } from "./conn.ts";
import type { Emitter } from "./emitter.ts";
import { ArpcError } from "./errors.ts";
import { type Body, Cursor, isOffset, type Position, toPosition } from "./position.ts";
import { type Member, type PresenceEvents, Roster, toPresence } from "./presence.ts";
import { toError } from "./structured.ts";
import {
  type Delivery,
  type MessageHandler,
  type SubscribeOptions,
  type SubscriptionOwner,
  TopicSubscription,
} from "./subscription.ts";
import { Timer } from "./timer.ts";

/** What topics need of their client. */
export interface TopicLink {
  /** Names this client to the server, and to nobody else: a member stays the same one by it. */
  readonly member: string;
  /** The connection, if it may be used for something new. */
  ready(): Conn | undefined;
  /**
   * Subscribes a topic, or ends that; rejects with an ArpcError.
   * @param answered takes the answer (null from a server that keeps no logs) before the pushes that
   * are behind it.
   */
  tell(conn: Conn, isJoin: boolean, body: Body, answered: (answer: unknown) => void): Promise<void>;
  /** Nobody is subscribed any more, here and at the server. */
  forget(topic: string): void;
  report(error: unknown): void;
}

/** How long until a server that was unavailable is asked again, in ms. */
const RETRY_DELAY = 1000;
/** Holes in the pushes, with none delivered between them, after which the server is given up. */
const MAX_HOLES = 8;
/** Where one is at a server that keeps no logs. */
const NOWHERE: Position = { epoch: "", offset: 0 };

/**
 * One topic: its subscriptions share one cursor at the server. The topic without a name is that of
 * the server's broadcasts, of which only hello can ask.
 */
export class Topic implements SubscriptionOwner {
  readonly name: string;
  readonly #link: TopicLink;
  readonly #subscriptions = new Set<TopicSubscription>();
  readonly #roster = new Roster((event, ...args) => {
    for (const { emitter } of this.#subscriptions) {
      (emitter as Emitter<PresenceEvents>).emit(event, ...args);
    }
  });

  // What the server was told to do, on the current connection: empty is no subscription.
  #live = "";
  // What it is being told, and the body of that.
  #asked = "";
  #asking: Body | undefined;
  // Whether it is to be asked again for what is behind our place.
  #isDue = false;
  #syncing: Promise<void> | undefined;
  readonly #retry = new Timer();

  // Where the server's pushes are. Every subscription is there, or further on.
  readonly #cursor = new Cursor();
  #holes = 0;

  constructor(name: string, link: TopicLink) {
    this.name = name;
    this.#link = link;
  }

  get members(): readonly Member[] {
    return this.#roster.members;
  }

  join(handler: MessageHandler | undefined, options: SubscribeOptions): TopicSubscription {
    const subscription = new TopicSubscription(this, handler, options);
    this.#subscriptions.add(subscription);
    if (this.#wanted !== (this.#asking ? this.#asked : this.#live)) subscription.isUnasked = true;
    if (subscription.isUnasked) this.#isDue = true;
    else if (this.#isListening) subscription.begin(this.#cursor, this.#cursor.offset, false);
    void this.sync();
    return subscription;
  }

  async leave(subscription: TopicSubscription): Promise<void> {
    this.#subscriptions.delete(subscription);
    await this.sync();
    this.#forgetIfUnused();
  }

  report(error: unknown): void {
    this.#link.report(error);
  }

  /** What to tell the server now, in hello or by itself. */
  ask(): Body {
    let since: Position | undefined;
    let last = 0;
    for (const subscription of this.#subscriptions) {
      const { cursor } = subscription;
      subscription.isUnasked = false;
      last = Math.max(last, subscription.last);
      if (cursor.epoch && !(since && since.offset < cursor.offset)) since = cursor.position;
    }
    const begin = since ? { ...since, offset: Math.max(0, since.offset - last) } : last && { last };
    this.#isDue = false;
    this.#asked = this.#wanted;
    const wishes = this.#asked && (JSON.parse(this.#asked) as Body);
    this.#asking = { topic: this.name, ...begin, ...wishes };
    return this.#asking;
  }

  /**
   * Takes what a request was answered, or hello of this topic: undefined if it says nothing, null
   * if the server keeps no logs.
   */
  answered(answer: unknown): void {
    const body = Object(answer) as Body;
    try {
      const { error } = body;
      if (error) throw toError(error, "refused");
      if (answer !== undefined) this.#settle(answer ? body : undefined);
      this.#asking = undefined;
    } catch (error) {
      this.#refused(error);
    }
    this.#forgetIfUnused();
  }

  /** The server subscribed us by itself; false if that is nothing new. */
  joined(body: Body): boolean {
    if (this.#live || this.#asking) return false;
    this.#asked = "{}";
    this.#asking = {};
    this.answered(body);
    return this.#live !== "";
  }

  /** Delivers to each subscriber; those who leave meanwhile get no more. */
  deliver(delivery: Delivery): void {
    for (const subscription of this.#subscriptions) subscription.deliver(delivery);
  }

  /**
   * Takes a push from the log: the next one is delivered, and one too far on tells of a hole.
   * Returns false for one that we had.
   */
  push(delivery: Delivery): boolean {
    const { epoch, offset } = this.#cursor;
    if (!this.#isListening || !isOffset(delivery.offset)) return true;
    if (delivery.offset <= offset) return false;
    if (delivery.offset > offset + 1) {
      if (this.name) return this.#mend();
      this.#seek({ epoch, offset: delivery.offset - 1 }, false);
    }
    this.#holes = 0;
    this.#cursor.offset = delivery.offset;
    this.deliver({ ...delivery, epoch });
    return true;
  }

  /** Takes an event of the server's. @throws ArpcError `data_loss` when it cannot be read. */
  event(body: Body): void {
    const { event, member, version } = body;
    if (!this.#live) return;
    if (event === "ended") {
      const reason = toError(body, event);
      this.#live = "";
      this.#end(reason, this.#subscriptions);
      this.#forgetIfUnused();
    } else if (event === "join" || event === "leave") {
      this.#roster.apply(event === "join", toPresence({ members: [member], version }));
    } else if (event === "members") {
      this.#roster.replace(toPresence(body));
    } else if (this.#isListening && (event === "skip" || event === "gap" || event === "epoch")) {
      this.#seek(toPosition(body), event === "skip");
    }
  }

  /** The connection is gone, or it is over. */
  disconnected(isFinal: boolean): void {
    this.#live = "";
    this.#asking = undefined;
    this.#roster.expire(false);
    for (const subscription of this.#subscriptions) {
      if (isFinal) subscription.close();
      else subscription.suspend();
    }
    if (isFinal) this.#subscriptions.clear();
    this.#forgetIfUnused();
  }

  /** Tells the server what is wanted, one request at a time, until it knows. Never rejects. */
  sync(): Promise<void> | undefined {
    if (this.#due) this.#syncing ??= this.#run();
    return this.#syncing;
  }

  /** Whether pushes follow our place: otherwise an answer is awaited, or is to be. */
  get #isListening(): boolean {
    return this.#live !== "" && !this.#isDue && !this.#asking;
  }

  /** What all subscriptions want the server to do; empty for no subscription. */
  get #wanted(): string {
    const all = [...this.#subscriptions];
    const present = all.filter(({ presence }) => presence).at(-1)?.presence;
    if (all.length === 0) return "";
    return JSON.stringify({
      lag: all.every(({ options }) => options.policy === "latest") ? "latest" : undefined,
      echo: all.every(({ options }) => options.echo === false) ? false : undefined,
      ...(present && { member: this.#link.member, ...present }),
    });
  }

  /** The connection on which the server is to be told something. */
  get #due(): Conn | undefined {
    const wanted = this.#wanted;
    const isDue = wanted !== this.#live || (this.#isDue && wanted);
    return this.name && isDue ? this.#link.ready() : undefined;
  }

  async #run(): Promise<void> {
    for (let conn = this.#due; conn && (await this.#tell(conn)); conn = this.#due);
    this.#syncing = undefined;
    this.#forgetIfUnused();
  }

  /** Tells the server what is wanted; false if that is to be tried again later. */
  async #tell(conn: Conn): Promise<boolean> {
    const body = this.ask();
    try {
      await this.#link.tell(conn, this.#asked !== "", body, (answer) => this.answered(answer));
    } catch (error) {
      // A connection that was lost took the answer's worth with it.
      if (body === this.#asking) return this.#refused(error);
    }
    return true;
  }

  /** The server did what it was told; without an answer it is one that keeps no logs. */
  #settle(answer: Body | undefined): void {
    const isJoin = this.#asked !== "";
    const to = answer && isJoin ? toPosition(answer) : NOWHERE;
    const { members, last } = answer ?? {};
    const presence = answer && members ? toPresence(answer) : undefined;
    const since = this.#asking as Partial<Position>;
    // A server that lost its newest publications gives their offsets to others.
    const isReset = since.epoch === to.epoch && to.offset < (since.offset ?? 0);
    this.#live = this.#asked;
    this.#asking = undefined;
    this.#cursor.epoch = to.epoch;
    this.#cursor.offset = to.offset;
    if (presence) this.#roster.replace(presence);
    else this.#roster.expire(true);
    for (const subscription of this.#subscriptions) {
      // Who joined meanwhile, and wants to begin elsewhere, is asked for next.
      if (subscription.isUnasked || !isJoin) continue;
      subscription.begin(to, isOffset(last) ? last : to.offset, isReset);
    }
  }

  /**
   * A request that got lost is repeated, later (false); any other no ends the subscriptions it was
   * made for, which are those not confirmed, if there are any.
   */
  #refused(reason: unknown): boolean {
    const error = ArpcError.from(reason);
    this.#asking = undefined;
    this.#isDue = true;
    if (error.code === "unavailable" || error.code === "deadline_exceeded") {
      this.#retry.set(RETRY_DELAY, () => this.sync());
      return false;
    }
    const all = [...this.#subscriptions];
    const some = all.filter(({ state }) => state === "subscribing");
    const refused = some.length > 0 ? some : all;
    if (!this.#asked) this.#live = "";
    this.#end(error, this.#asked ? refused : []);
    return true;
  }

  #end(error: ArpcError, subscriptions: Iterable<TopicSubscription>): void {
    this.report(error);
    for (const subscription of [...subscriptions]) {
      this.#subscriptions.delete(subscription);
      subscription.close(error);
    }
  }

  /** Asks again since our place, behind which something is missing. */
  #mend(): boolean {
    this.#isDue = true;
    if (++this.#holes > MAX_HOLES) {
      this.#end(new ArpcError("data_loss", `holes in ${this.name}`), this.#subscriptions);
    }
    void this.sync();
    return true;
  }

  /** What lies before a place is not coming any more. */
  #seek(to: Position, isSkipped: boolean): void {
    this.#cursor.seek(to);
    for (const subscription of this.#subscriptions) subscription.seek(to, false, isSkipped);
  }

  #forgetIfUnused(): void {
    const isUsed = this.#subscriptions.size > 0 || this.#live !== "";
    if (isUsed || this.#asking || this.#syncing !== undefined) return;
    this.#retry.clear();
    this.#link.forget(this.name);
  }
}
