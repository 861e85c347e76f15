/**
 * One stay in the chat: a connection that keeps the visited rooms subscribed,
 * hands over what was written, one message at a time so that the order stays,
 * and tells the store what became of it. Leaving ends it; coming back is a new
 * session.
 */

import {
  type ArpcError,
  type ClientState,
  isArpcError,
  type Message,
  type StateDetail,
  type SubscriptionState,
} from "arpc-js";
import { type Publication, parsePublication } from "./publication.ts";
import { topicOf } from "./room.ts";
import { nextToSend } from "./state.ts";
import type { Store } from "./store.ts";

/** What a session needs of an arpc client. */
export interface Connection {
  on(event: "state", listener: (state: ClientState, detail: StateDetail) => void): () => void;
  subscribe(topic: string, handler: (message: Message) => void): RoomSubscription;
  publish(topic: string, data: Publication): Promise<unknown>;
  close(): void;
}

/** What a session needs of a subscription. */
export interface RoomSubscription {
  on(
    event: "state",
    listener: (state: SubscriptionState, error: ArpcError | undefined) => void,
  ): () => void;
}

/** One stay in the chat. */
export class Session {
  readonly #connection: Connection;
  readonly #store: Store;
  readonly #hasPassword: boolean;
  readonly #undo: Array<() => void>;
  readonly #subscribed = new Set<string>();
  #sending = false;

  /**
   * @param hasPassword whether the connection brings a password; decides if a
   * refusal asks for one or says that it was wrong.
   */
  constructor(connection: Connection, store: Store, hasPassword: boolean) {
    this.#connection = connection;
    this.#store = store;
    this.#hasPassword = hasPassword;
    this.#undo = [
      connection.on("state", (status, { delay = 0 }) =>
        store.dispatch({ type: "link", status, retryAt: Date.now() + delay }),
      ),
      store.subscribe(() => this.#advance()),
    ];
    this.#advance();
  }

  /** Ends the stay. What was not sent is kept by the store, for the next session. */
  close(): void {
    for (const undo of this.#undo) {
      undo();
    }
    this.#connection.close();
  }

  // Does what the state asks for; called after each change of it.
  #advance(): void {
    const { room, rooms } = this.#store.state;
    for (const name of [room, ...rooms.keys()]) {
      this.#enter(name);
    }
    void this.#sendNext();
  }

  #enter(room: string): void {
    if (this.#subscribed.has(room)) {
      return;
    }
    this.#subscribed.add(room);
    this.#connection
      .subscribe(topicOf(room), (message) => this.#hear(room, message))
      .on("state", (state, error) => this.#onSubscription(room, state, error));
  }

  // The server lets everybody into a room who has the password, if it has one:
  // a refusal is about that.
  #onSubscription(room: string, state: SubscriptionState, error: ArpcError | undefined): void {
    if (error !== undefined) {
      this.#store.dispatch({ type: "locked", refused: this.#hasPassword });
      return;
    }
    this.#store.dispatch({ type: "subscribed", room, live: state === "subscribed" });
  }

  #hear(room: string, { data, time }: Message): void {
    const publication = parsePublication(data);
    if (publication !== undefined) {
      this.#store.dispatch({ type: "heard", room, ...publication, time });
    }
  }

  async #sendNext(): Promise<void> {
    const { state, dispatch } = this.#store;
    const next = nextToSend(state);
    if (next === undefined || this.#sending) {
      return;
    }
    const { room, message } = next;
    const { id, name, text } = message;
    this.#sending = true;
    dispatch({ type: "sending", room, id });
    try {
      await this.#connection.publish(topicOf(room), { id, name, text });
      this.#sending = false;
      dispatch({ type: "sent", room, id });
    } catch (error) {
      this.#sending = false;
      this.#notSent(room, id, error);
    }
  }

  // What a lost connection swallowed waits for the next one. It may have
  // arrived all the same; sending it again is safe, a room shows an id once.
  #notSent(room: string, id: string, error: unknown): void {
    const { rooms } = this.#store.state;
    const lost = isArpcError(error) && error.code === "unavailable" && !rooms.get(room)?.live;
    this.#store.dispatch(
      lost ? { type: "kept", room, id } : { type: "failed", room, id, reason: reasonOf(error) },
    );
  }
}

function reasonOf(error: unknown): string {
  if (!isArpcError(error)) {
    return "something went wrong on this page";
  }
  return error.code === "deadline_exceeded" ? "the server did not answer" : error.message;
}
