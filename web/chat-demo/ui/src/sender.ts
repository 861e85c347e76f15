/**
 * Hands over what was written, one message at a time so that the order stays,
 * and as often as it takes: the id of a message is its idempotency key, so what
 * is sent again lands once.
 */

import { type ArpcError, isArpcError } from "arpc-js";
import type { Connection } from "./connection.ts";
import type { Message, Place } from "./conversation.ts";
import { nextToSend } from "./state.ts";
import type { Store } from "./store.ts";

/** How long to wait before sending again what was refused for now, in milliseconds. */
const PAUSE = 250;

/** How long at most, whatever the server says. */
const MAX_PAUSE = 30_000;

/** How long a person is told to write more slowly at least, in milliseconds. */
const SLOWED_FOR = 2000;

/** Sends the messages that wait in the store. */
export class Sender {
  /** Whether the server knows who we are, on the connection there is. */
  isKnown = false;
  readonly #connection: Connection;
  readonly #store: Store;
  #isBusy = false;
  #isClosed = false;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(connection: Connection, store: Store) {
    this.#connection = connection;
    this.#store = store;
  }

  /** Sends until nothing is left that can be sent now; does nothing if it does so already. Never rejects. */
  async run(): Promise<void> {
    if (this.#isBusy) {
      return;
    }
    this.#isBusy = true;
    for (let next = this.#next(); next !== undefined; next = this.#next()) {
      await this.#send(next.room, next.message);
    }
    this.#isBusy = false;
  }

  /** Sends nothing any more. */
  close(): void {
    this.#isClosed = true;
    clearTimeout(this.#timer);
  }

  #next(): { room: string; message: Message } | undefined {
    return this.isKnown && !this.#isClosed ? nextToSend(this.#store.state) : undefined;
  }

  async #send(room: string, { id, text }: Message): Promise<void> {
    const { dispatch } = this.#store;
    dispatch({ type: "sending", room, id });
    try {
      const place = await this.#connection.call("/chat/say", { room, id, text });
      dispatch({ type: "sent", room, id, place: place as Place });
    } catch (error) {
      await this.#notSent(room, id, error);
    }
  }

  // What a lost connection swallowed may have arrived all the same: it is sent
  // again, and so is what the server did not take for now. What it refused for
  // good is the person's to decide.
  async #notSent(room: string, id: string, error: unknown): Promise<void> {
    const { dispatch } = this.#store;
    if (!isArpcError(error) || !isForNow(error)) {
      const reason = isArpcError(error) ? error.message : "something went wrong on this page";
      dispatch({ type: "failed", room, id, reason });
      return;
    }
    const pause = pauseAfter(error);
    if (error.code === "resource_exhausted") {
      dispatch({ type: "slowed", until: Date.now() + Math.max(pause, SLOWED_FOR) });
    }
    dispatch({ type: "kept", room, id });
    await this.#rest(pause);
  }

  // Whoever closes it does not wait for the end of a rest: then nobody does.
  async #rest(pause: number): Promise<void> {
    if (!this.#isClosed) {
      await new Promise((resolve) => {
        this.#timer = setTimeout(resolve, pause);
      });
    }
  }
}

function isForNow({ code }: ArpcError): boolean {
  return code === "unavailable" || code === "deadline_exceeded" || code === "resource_exhausted";
}

// The server says in the error's data how many milliseconds it wants to rest.
function pauseAfter({ data }: ArpcError): number {
  const { retryAfter } = (data ?? {}) as { retryAfter?: unknown };
  return typeof retryAfter === "number" ? Math.min(Math.max(retryAfter, PAUSE), MAX_PAUSE) : PAUSE;
}
