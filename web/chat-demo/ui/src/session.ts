/**
 * One stay in the chat: a connection that keeps the visited rooms subscribed,
 * fetches what was said before, hands over what was written, and tells the
 * store what became of it. Leaving ends it; coming back is a new session.
 */

import {
  type ArpcError,
  type ClientState,
  isArpcError,
  type Message,
  type StateDetail,
  type SubscriptionState,
} from "arpc-js";
import type { Connection, Gap, HistoryPage, Subscription } from "./connection.ts";
import { oldestPlace, type Past, type Room } from "./conversation.ts";
import { Here } from "./here.ts";
import { parsePublication, parseRoom } from "./publication.ts";
import { ROOMS_TOPIC, topicOf } from "./room.ts";
import { Sender } from "./sender.ts";
import { currentRoom, type Heard } from "./state.ts";
import type { Store } from "./store.ts";

/** Messages fetched at a time when one reads back. */
const PAGE = 50;

/** Rooms the server tells of at most. */
const MAX_ROOMS = 200;

/** Who comes in. */
export interface Visitor {
  /** Proves to the server, and to nobody else, that we are who wrote before. */
  readonly secret: string;
  /** Whether the connection brings a password: a refusal asks for one, or says that it was wrong. */
  readonly hasPassword: boolean;
}

/** One stay in the chat. */
export class Session {
  readonly #connection: Connection;
  readonly #store: Store;
  readonly #visitor: Visitor;
  readonly #here: Here;
  readonly #sender: Sender;
  readonly #undo: Array<() => void>;
  readonly #subscriptions = new Map<string, Subscription>();
  /** The rooms we asked to be let into on the connection there is. */
  readonly #asked = new Set<string>();

  constructor(connection: Connection, store: Store, visitor: Visitor) {
    this.#connection = connection;
    this.#store = store;
    this.#visitor = visitor;
    this.#here = new Here(connection, store);
    this.#sender = new Sender(connection, store);
    this.#undo = [
      connection.on("state", (status, detail) => this.#onLink(status, detail)),
      store.subscribe(() => this.#advance()),
    ];
    connection.subscribe(ROOMS_TOPIC, ({ data }) => this.#list(data), { last: MAX_ROOMS });
    this.#advance();
  }

  /** Asks again to be let into the room on screen. */
  reenter(): void {
    this.#asked.delete(this.#store.state.room);
    this.#advance();
  }

  /** Tells the others in the room on screen that we are typing. */
  type(): void {
    this.#here.type();
  }

  /** Ends the stay. What was not sent is kept by the store, for the next session. */
  close(): void {
    for (const undo of this.#undo) {
      undo();
    }
    this.#sender.close();
    this.#here.leave();
    this.#connection.close();
  }

  // Does what the state asks for; called after each change of it.
  #advance(): void {
    const { room, rooms } = this.#store.state;
    for (const name of new Set([room, ...rooms.keys()])) {
      this.#subscribe(name, rooms.get(name));
    }
    for (const [name, subscription] of this.#subscriptions) {
      if (name !== room && !rooms.has(name)) {
        this.#subscriptions.delete(name);
        void subscription.unsubscribe();
      }
    }
    void this.#enter(room);
    this.#here.visit(room);
    void this.#sender.run();
    void this.#fetchPast(room, currentRoom(this.#store.state));
  }

  #onLink(status: ClientState, { delay = 0 }: StateDetail): void {
    if (status !== "open") {
      this.#asked.clear();
      this.#sender.isKnown = false;
    }
    this.#store.dispatch({ type: "link", status, retryAt: Date.now() + delay });
  }

  #list(data: unknown): void {
    const room = parseRoom(data);
    if (room !== undefined) {
      this.#store.dispatch({ type: "listed", room });
    }
  }

  // Says who we are, and makes the room if nobody has: once on each connection.
  async #enter(room: string): Promise<void> {
    const { link, name } = this.#store.state;
    if (link.status !== "open" || this.#asked.has(room)) {
      return;
    }
    this.#asked.add(room);
    const { dispatch } = this.#store;
    try {
      const { secret } = this.#visitor;
      const answer = await this.#connection.call("/chat/enter", { name, secret, room });
      const { author } = answer as { author: string };
      this.#sender.isKnown = true;
      dispatch({ type: "known", author });
      dispatch({ type: "admitted", room });
      this.#advance();
    } catch (error) {
      // A connection that was lost is followed by one that asks again.
      if (!isArpcError(error) || error.code !== "unavailable") {
        dispatch({ type: "refused", room, reason: reasonOf(error) });
      }
    }
  }

  #subscribe(room: string, known: Room | undefined): void {
    if (this.#subscriptions.has(room)) {
      return;
    }
    const since = known?.readTo;
    const subscription = this.#connection.subscribe(
      topicOf(room),
      (message) => this.#hear(room, message),
      since === undefined ? {} : { since },
    );
    this.#subscriptions.set(room, subscription);
    subscription.on("state", (state, error) => this.#onSubscription(room, state, error));
    subscription.on("gap", (gap) => this.#onGap(room, gap));
  }

  #onSubscription(room: string, state: SubscriptionState, error: ArpcError | undefined): void {
    const { dispatch } = this.#store;
    if (error?.code === "unauthenticated" || error?.code === "permission_denied") {
      dispatch({ type: "locked", refused: this.#visitor.hasPassword });
    } else if (error !== undefined) {
      dispatch({ type: "refused", room, reason: reasonOf(error) });
    }
    dispatch({ type: "subscribed", room, live: state === "subscribed" });
  }

  #hear(room: string, message: Message): void {
    const heard = heardOf(message);
    if (heard !== undefined) {
      this.#store.dispatch({ type: "heard", room, ...heard });
    }
  }

  #onGap(room: string, { missed = 0, epoch }: Gap): void {
    const messages = this.#store.state.rooms.get(room)?.messages ?? [];
    const last = messages.findLast(({ place }) => place !== undefined)?.place;
    const newEpoch = last !== undefined && last.epoch !== epoch;
    this.#store.dispatch({ type: "gap", room, missed, newEpoch });
  }

  async #fetchPast(room: string, { live, past, ...known }: Room): Promise<void> {
    // What is our own in it can be told once we know who we are.
    if (!live || past !== "wanted" || this.#store.state.author === "") {
      return;
    }
    const { dispatch } = this.#store;
    dispatch({ type: "past", room, past: "loading" });
    const before = oldestPlace({ live, past, ...known });
    try {
      const page = await this.#connection.history(topicOf(room), {
        limit: PAGE,
        ...(before === undefined ? {} : { before: before.offset }),
      });
      const isSameLog = before === undefined || before.epoch === page.epoch;
      const messages = isSameLog ? page.messages.map(heardOf).filter(isHeard) : [];
      dispatch({ type: "history", room, messages, past: isSameLog ? pastOf(page) : "cut" });
    } catch (error) {
      const isLost = isArpcError(error) && error.code === "unavailable";
      dispatch({ type: "past", room, past: isLost ? "wanted" : "failed" });
    }
  }
}

function heardOf({ data, epoch, offset, time }: Message): Heard | undefined {
  const publication = parsePublication(data);
  return publication && { ...publication, time, place: { epoch, offset } };
}

function isHeard(heard: Heard | undefined): heard is Heard {
  return heard !== undefined;
}

function pastOf({ more, from, last }: HistoryPage): Past {
  if (more) {
    return "more";
  }
  return from > 1 || (from === 0 && last > 0) ? "cut" : "start";
}

function reasonOf(error: unknown): string {
  return isArpcError(error) ? error.message : "something went wrong on this page";
}
