import type { Members } from "./codec.ts";
import type { Conn } from "./conn.ts";
import type { Emitter } from "./emitter.ts";
import { ArpcError } from "./errors.ts";
import { MAX_HOLES, RETRY_DELAY } from "./limits.ts";
import { type Cursor, isOffset, type Position, seek, toPosition } from "./position.ts";
import { createRoster, type PresenceEvents, toPresence } from "./presence.ts";
import { toError } from "./structured.ts";
import {
  createSubscription,
  type Delivery,
  type MessageHandler,
  type SubscribeOptions,
  type SubscriptionOwner,
  type TopicSubscription,
} from "./subscription.ts";
import { createTimer } from "./timer.ts";

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
  tell(
    conn: Conn,
    isJoin: boolean,
    body: Members,
    answered: (answer: unknown) => void,
  ): Promise<void>;
  /** Nobody is subscribed any more, here and at the server. */
  forget(topic: string): void;
  report(error: unknown): void;
}

/** Where one is at a server that keeps no logs. */
const NOWHERE: Position = { epoch: "", offset: 0 };

/**
 * One topic: its subscriptions share one cursor at the server. The topic without a name is that of
 * the server's broadcasts, of which only hello can ask.
 */
export interface Topic extends SubscriptionOwner {
  join(handler: MessageHandler | undefined, options: SubscribeOptions): TopicSubscription;
  /** What to tell the server now, in hello or by itself. */
  ask(): Members;
  /**
   * Takes what a request was answered, or hello of this topic: undefined if it says nothing, null
   * if the server keeps no logs.
   */
  answered(answer: unknown): void;
  /** The server subscribed us by itself; false if that is nothing new. */
  joined(body: Members): boolean;
  /** Delivers to each subscriber; those who leave meanwhile get no more. */
  deliver(delivery: Delivery): void;
  /**
   * Takes a push from the log: the next one is delivered, and one too far on tells of a hole.
   * Returns false for one that we had.
   */
  push(delivery: Delivery): boolean;
  /** Takes an event of the server's. @throws ArpcError `data_loss` when it cannot be read. */
  event(body: Members): void;
  /** The connection is gone, or it is over. */
  disconnected(isFinal: boolean): void;
  /** Tells the server what is wanted, one request at a time, until it knows. Never rejects. */
  sync(): Promise<void> | undefined;
}

/** Makes a topic that nobody is subscribed to yet. */
export function createTopic(name: string, link: TopicLink): Topic {
  const { report } = link;
  const subscriptions = new Set<TopicSubscription>();
  const roster = createRoster((event, ...args) => {
    for (const { emitter } of subscriptions) {
      (emitter as Emitter<PresenceEvents>).emit(event, ...args);
    }
  });
  // What the server was told to do, on the current connection: empty is no subscription.
  let live = "";
  // What it is being told, and the body of that.
  let asked = "";
  let asking: Members | undefined;
  // Whether it is to be asked again for what is behind our place.
  let isDue = false;
  let syncing: Promise<void> | undefined;
  const retry = createTimer();
  // Where the server's pushes are. Every subscription is there, or further on.
  const cursor: Cursor = { ...NOWHERE };
  let holes = 0;

  /** Whether pushes follow our place: otherwise an answer is awaited, or is to be. */
  const isListening = (): boolean => live !== "" && !isDue && !asking;
  /** What all subscriptions want the server to do; empty for no subscription. */
  const wanted = (): string => {
    const all = [...subscriptions];
    const present = all.filter(({ presence }) => presence).at(-1)?.presence;
    if (all.length === 0) return "";
    return JSON.stringify({
      lag: all.every(({ options }) => options.policy === "latest") ? "latest" : undefined,
      echo: all.every(({ options }) => options.echo === false) ? false : undefined,
      ...(present && { member: link.member, ...present }),
    });
  };
  /** The connection on which the server is to be told something. */
  const due = (): Conn | undefined => {
    const wishes = wanted();
    return name && (wishes !== live || (isDue && wishes)) ? link.ready() : undefined;
  };
  const sync = (): Promise<void> | undefined => {
    if (due()) syncing ??= run();
    return syncing;
  };
  const run = async (): Promise<void> => {
    for (let conn = due(); conn && (await tell(conn)); conn = due());
    syncing = undefined;
    forgetIfUnused();
  };
  /** Tells the server what is wanted; false if that is to be tried again later. */
  const tell = async (conn: Conn): Promise<boolean> => {
    const body = topic.ask();
    try {
      await link.tell(conn, asked !== "", body, topic.answered);
    } catch (error) {
      // A connection that was lost took the answer's worth with it.
      if (body === asking) return refused(error);
    }
    return true;
  };

  /** The server did what it was told; without an answer it is one that keeps no logs. */
  const settle = (answer: Members | undefined): void => {
    const isJoin = asked !== "";
    const to = answer && isJoin ? toPosition(answer) : NOWHERE;
    const { members, last } = answer ?? {};
    const presence = answer && members ? toPresence(answer) : undefined;
    const since = asking as Partial<Position>;
    // A server that lost its newest publications gives their offsets to others.
    const isReset = since.epoch === to.epoch && to.offset < (since.offset ?? 0);
    live = asked;
    asking = undefined;
    Object.assign(cursor, to);
    if (presence) roster.renew(presence);
    else roster.expire(true);
    for (const subscription of subscriptions) {
      // Who joined meanwhile, and wants to begin elsewhere, is asked for next.
      if (subscription.isUnasked || !isJoin) continue;
      subscription.begin(to, isOffset(last) ? last : to.offset, isReset);
    }
  };
  /**
   * A request that got lost is repeated, later (false); any other no ends the subscriptions it was
   * made for, which are those not confirmed, if there are any.
   */
  const refused = (reason: unknown): boolean => {
    const error = ArpcError.from(reason);
    asking = undefined;
    isDue = true;
    if (error.code === "unavailable" || error.code === "deadline_exceeded") {
      retry(RETRY_DELAY, sync);
      return false;
    }
    const all = [...subscriptions];
    const some = all.filter(({ state }) => state === "subscribing");
    if (asked) end(error, some.length > 0 ? some : all);
    else {
      live = "";
      report(error);
    }
    return true;
  };
  const end = (error: ArpcError, some: Iterable<TopicSubscription>): void => {
    report(error);
    for (const subscription of [...some]) {
      subscriptions.delete(subscription);
      subscription.close(error);
    }
  };
  /** What lies before a place is not coming any more. */
  const skip = (to: Position, isSkipped: boolean): void => {
    seek(cursor, to);
    for (const subscription of subscriptions) subscription.seek(to, false, isSkipped);
  };
  const forgetIfUnused = (): void => {
    if (subscriptions.size > 0 || live || asking || syncing !== undefined) return;
    retry();
    link.forget(name);
  };

  const topic: Topic = {
    name,
    roster,
    report,
    sync,
    async leave(subscription) {
      subscriptions.delete(subscription);
      await sync();
      forgetIfUnused();
    },
    join(handler, options) {
      const subscription = createSubscription(topic, handler, options);
      subscriptions.add(subscription);
      if (wanted() !== (asking ? asked : live)) subscription.isUnasked = true;
      if (subscription.isUnasked) isDue = true;
      else if (isListening()) subscription.begin(cursor, cursor.offset, false);
      void sync();
      return subscription;
    },
    ask() {
      let since: Position | undefined;
      let last = 0;
      for (const subscription of subscriptions) {
        const { cursor } = subscription;
        subscription.isUnasked = false;
        last = Math.max(last, subscription.last());
        if (cursor.epoch && !(since && since.offset < cursor.offset)) since = { ...cursor };
      }
      const begin = since
        ? { ...since, offset: Math.max(0, since.offset - last) }
        : last && { last };
      isDue = false;
      asked = wanted();
      asking = { topic: name, ...begin, ...(asked && (JSON.parse(asked) as Members)) };
      return asking;
    },
    answered(answer) {
      const body = Object(answer) as Members;
      try {
        if (body["error"]) throw toError(body["error"], "refused");
        if (answer !== undefined) settle(answer ? body : undefined);
        asking = undefined;
      } catch (error) {
        refused(error);
      }
      forgetIfUnused();
    },
    joined(body) {
      if (live || asking) return false;
      asked = "{}";
      asking = {};
      topic.answered(body);
      return live !== "";
    },
    deliver(delivery) {
      for (const subscription of subscriptions) subscription.deliver(delivery);
    },
    push(delivery) {
      const { epoch, offset: had } = cursor;
      const { offset } = delivery;
      if (!isListening() || !isOffset(offset)) return true;
      if (offset <= had) return false;
      if (offset > had + 1) {
        if (name) {
          // Asks again since our place, behind which something is missing.
          isDue = true;
          if (++holes > MAX_HOLES) {
            end(new ArpcError("data_loss", `holes in ${name}`), subscriptions);
          }
          void sync();
          return true;
        }
        skip({ epoch, offset: offset - 1 }, false);
      }
      holes = 0;
      cursor.offset = offset;
      topic.deliver({ ...delivery, epoch });
      return true;
    },
    event(body) {
      const { event, member, version } = body;
      if (!live) return;
      if (event === "ended") {
        live = "";
        end(toError(body, event), subscriptions);
        forgetIfUnused();
      } else if (event === "join" || event === "leave") {
        roster.apply(event === "join", toPresence({ members: [member], version }));
      } else if (event === "members") {
        roster.renew(toPresence(body));
      } else if (isListening() && (event === "skip" || event === "gap" || event === "epoch")) {
        skip(toPosition(body), event === "skip");
      }
    },
    disconnected(isFinal) {
      live = "";
      asking = undefined;
      roster.expire(false);
      for (const subscription of subscriptions) {
        if (isFinal) subscription.close();
        else subscription.suspend();
      }
      if (isFinal) subscriptions.clear();
      forgetIfUnused();
    },
  };
  return topic;
}
