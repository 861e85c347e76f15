/** Who is in the room on screen, and who is typing there: what passes, and is not kept. */

import type { Message } from "arpc-js";
import type { Connection, Member, Subscription } from "./connection.ts";
import { TOLD_FOR, TYPING_FOR } from "./conversation.ts";
import { type Person, parsePerson } from "./publication.ts";
import { hereTopicOf } from "./room.ts";
import type { Store } from "./store.ts";

/** How often typing is told at most, in milliseconds. */
const TYPING_EVERY = 2000;

/** Follows the room on screen, one at a time. */
export class Here {
  readonly #connection: Connection;
  readonly #store: Store;
  #room = "";
  #subscription: Subscription | undefined;
  #toldAt = 0;
  /** The least that anything the server dated seemed to be old, by our clock. */
  #least = Number.POSITIVE_INFINITY;

  constructor(connection: Connection, store: Store) {
    this.#connection = connection;
    this.#store = store;
  }

  /** Goes into a room, and out of the one before; does nothing in the room one is in. */
  visit(room: string): void {
    const { author, name } = this.#store.state;
    // Who comes in says who that is, and the server tells us who we are.
    if (room === this.#room || author === "") {
      return;
    }
    this.leave();
    this.#room = room;
    this.#toldAt = 0;
    const subscription = this.#connection.subscribe(
      hereTopicOf(room),
      (message) => this.#onTyping(room, message),
      { presence: { info: { author, name } } },
    );
    subscription.on("members", (members) => this.#onMembers(room, members));
    this.#subscription = subscription;
  }

  /** Tells the others that we are typing, once in a while. */
  type(): void {
    const now = Date.now();
    if (this.#store.state.link.status === "open" && now - this.#toldAt >= TYPING_EVERY) {
      this.#toldAt = now;
      this.#connection.notify("/chat/typing", { room: this.#room });
    }
  }

  /** Goes out of the room, so that nobody takes it for a lost connection. */
  leave(): void {
    if (this.#subscription !== undefined) {
      void this.#subscription.unsubscribe();
      this.#subscription = undefined;
      this.#store.dispatch({ type: "people", room: this.#room, people: [] });
    }
  }

  #onTyping(room: string, { data, time }: Message): void {
    const person = parsePerson(data);
    const rest = TYPING_FOR - this.#ageOf(time);
    // Who comes back online is told what passed meanwhile, too.
    if (person !== undefined && rest > 0) {
      this.#store.dispatch({ type: "typed", room, ...person, until: Date.now() + rest });
    }
  }

  // How long ago the server dated something, in milliseconds. Its clock and ours may be hours
  // apart: what has come to us fastest so far, our own arrival mostly, counts as just now.
  #ageOf(time: number): number {
    const apart = performance.now() - time;
    this.#least = Math.min(this.#least, apart);
    return apart - this.#least;
  }

  #onMembers(room: string, members: readonly Member[]): void {
    if (room !== this.#room) {
      return;
    }
    for (const { since } of members) {
      this.#ageOf(since);
    }
    const before = this.#store.state.rooms.get(room)?.people ?? [];
    const people = peopleOf(members);
    this.#store.dispatch({ type: "people", room, people });
    // The first list tells who is here, not who came.
    const [came] = before.length > 0 ? missingIn(before, people) : [];
    const [left] = missingIn(people, before);
    const until = Date.now() + TOLD_FOR;
    if (came !== undefined) {
      this.#store.dispatch({ type: "change", room, ...came, came: true, until });
    } else if (left !== undefined) {
      this.#store.dispatch({ type: "change", room, ...left, came: false, until });
    }
  }
}

// Whoever has the room open twice is one person all the same, by the latest name.
function peopleOf(members: readonly Member[]): Person[] {
  const people = new Map<string, Person>();
  for (const { info } of members.toSorted((a, b) => a.since - b.since)) {
    const person = parsePerson(info);
    if (person !== undefined) {
      people.set(person.author, person);
    }
  }
  return [...people.values()];
}

/** Those of `all` who are not among `people`. */
function missingIn(people: readonly Person[], all: readonly Person[]): Person[] {
  const authors = new Set(people.map(({ author }) => author));
  return all.filter(({ author }) => !authors.has(author));
}
