/** One room as the page knows it, and what can happen in it. Pure, as all of the state. */

import type { Person, Publication } from "./publication.ts";

/** Messages kept per room; the oldest leave first, but never one that is still to be sent. */
export const MAX_MESSAGES = 1000;

/** How long someone counts as typing after the last sign of it, in milliseconds. */
export const TYPING_FOR = 5000;

/** How long the page tells that someone came or went, in milliseconds. */
export const TOLD_FOR = 4000;

/** A place in a topic; offsets of different epochs have nothing to do with each other. */
export interface Place {
  readonly epoch: string;
  readonly offset: number;
}

/**
 * Where a message of one's own is on its way: kept until there is a
 * connection, handed to it, acknowledged by the server, or refused.
 */
export type Delivery = "waiting" | "sending" | "sent" | "failed";

/** One message of a room. */
export interface Message extends Publication {
  /** Milliseconds since 1970: the server's time, or ours as long as the server has not seen it. */
  readonly time: number;
  readonly own: boolean;
  /** Messages of others are always "sent". */
  readonly delivery: Delivery;
  /** Why it failed, in words for a person. */
  readonly reason?: string;
  /** Where the topic has it; nowhere as long as it is not sent. */
  readonly place?: Place;
}

/** Messages that are gone for good, behind the message with the id `after`. */
export interface Gap {
  readonly after: string;
  /** How many; 0 if nobody can tell. */
  readonly missed: number;
}

/**
 * What lies before the first message: it is wanted, on its way, could not be
 * had, goes on, begins here, or is no longer kept.
 */
export type Past = "wanted" | "loading" | "failed" | "more" | "start" | "cut";

/** Someone typing, as long as `until` lies ahead, in milliseconds since 1970. */
export interface Typist extends Person {
  readonly until: number;
}

/** Someone came or went; told until then, in milliseconds since 1970. */
export interface Change extends Person {
  readonly came: boolean;
  readonly until: number;
}

/** One room: what was said there, then what is still to be sent. */
export interface Room {
  /** Whether the server sends us what is said there. */
  readonly live: boolean;
  readonly messages: readonly Message[];
  readonly gaps: readonly Gap[];
  readonly past: Past;
  /** How far the person has read. */
  readonly readTo?: Place;
  /** Messages of others since then. */
  readonly unread: number;
  /** The first of them; stays marked until the person turns away again. */
  readonly firstUnread?: string;
  readonly people: readonly Person[];
  readonly typing: readonly Typist[];
  readonly change?: Change;
  /** Why the server does not let us in, in words for a person. */
  readonly refusal?: string;
  /** What is half written. */
  readonly draft: string;
}

/** A room before anything is known of it. */
export const emptyRoom: Room = {
  live: false,
  messages: [],
  gaps: [],
  past: "wanted",
  unread: 0,
  people: [],
  typing: [],
  draft: "",
};

/** Whether a message is still to be sent, or was refused. */
export function isUnsent({ delivery }: Message): boolean {
  return delivery !== "sent";
}

/** The oldest message the topic has, of the epoch it is in now. */
export function oldestPlace({ messages }: Room): Place | undefined {
  const said = messages.filter((message) => message.place !== undefined);
  const epoch = said.at(-1)?.place?.epoch;
  return said.find(({ place }) => place?.epoch === epoch)?.place;
}

/** Appends a message of one's own, to be sent. */
export function write(room: Room, message: Message): Room {
  const { firstUnread: _, ...rest } = room;
  return { ...rest, messages: [...room.messages, message] };
}

/** Removes a message that was never sent. */
export function discard(room: Room, id: string): Room {
  const messages = room.messages.filter((message) => message.id !== id || !isUnsent(message));
  return { ...room, messages };
}

/** Notes what became of a message of one's own; `place` when the server took it. */
export function deliver(
  room: Room,
  id: string,
  delivery: Delivery,
  outcome: { reason?: string; place?: Place } = {},
): Room {
  const message = room.messages.find((candidate) => candidate.id === id);
  // What the server acknowledged, or what came back to us from the topic, stays sent.
  if (message === undefined || !message.own || message.delivery === "sent") {
    return room;
  }
  const { reason: _, ...rest } = message;
  const next = { ...rest, delivery, ...outcome };
  return delivery === "sent" ? settle(room, next) : replace(room, next);
}

/**
 * Takes in a message of the topic. A topic brings back what we said: the first
 * copy of an id counts, and ours moves to the place the topic gave it.
 */
export function hear(room: Room, heard: Message, looking: boolean): Room {
  const known = room.messages.find(({ id }) => id === heard.id);
  if (known?.delivery === "sent") {
    // Our clock said when; now the server's does.
    const isOurs = known.own && known.place?.offset === heard.place?.offset;
    return isOurs ? replace(room, { ...known, time: heard.time }) : room;
  }
  const said = settle(room, { ...heard, own: heard.own || known !== undefined });
  const typing = room.typing.filter(({ author }) => author !== heard.author);
  return count({ ...said, typing }, heard, looking);
}

/** Puts an older page of the topic before what is there. */
export function prepend(room: Room, page: readonly Message[], past: Past): Room {
  const known = new Set(room.messages.map(({ id }) => id));
  const fresh = page.filter(({ id }) => !known.has(id));
  return { ...room, past, messages: [...fresh, ...room.messages] };
}

/** Notes that messages are gone between what was said last and what comes next. */
export function miss(room: Room, missed: number): Room {
  const after = room.messages.findLast((message) => !isUnsent(message))?.id;
  if (after === undefined) {
    return room;
  }
  const gaps = room.gaps.filter((gap) => gap.after !== after);
  return { ...room, gaps: [...gaps, { after, missed }] };
}

/** The person looks at the room: all of it is read. */
export function look(room: Room): Room {
  return { ...room, unread: 0, ...lastRead(room) };
}

/** The person looks away: what is new from now on gets a mark of its own. */
export function turnAway(room: Room): Room {
  const { firstUnread: _, ...rest } = room;
  return room.unread > 0 ? room : rest;
}

/** Someone gave a sign of typing. */
export function type(room: Room, typist: Typist): Room {
  const others = room.typing.filter(({ author }) => author !== typist.author);
  return { ...room, typing: [...others, typist] };
}

/** Notes who is in the room; who is not there does not type there. */
export function gather(room: Room, people: readonly Person[]): Room {
  const here = new Set(people.map(({ author }) => author));
  return { ...room, people, typing: room.typing.filter(({ author }) => here.has(author)) };
}

/** Forgets what is over by now; the same room if nothing is. */
export function expire(room: Room, now: number): Room {
  const typing = room.typing.filter(({ until }) => until > now);
  const isOver = room.change !== undefined && room.change.until <= now;
  if (typing.length === room.typing.length && !isOver) {
    return room;
  }
  const { change, ...rest } = room;
  return { ...rest, typing, ...(isOver || change === undefined ? {} : { change }) };
}

function count(room: Room, heard: Message, looking: boolean): Room {
  if (looking) {
    return { ...room, ...lastRead(room) };
  }
  if (heard.own) {
    return room;
  }
  return { ...room, unread: room.unread + 1, firstUnread: room.firstUnread ?? heard.id };
}

function lastRead(room: Room): { readTo?: Place } {
  const place = room.messages.findLast((message) => message.place !== undefined)?.place;
  return place === undefined ? {} : { readTo: place };
}

// Puts a message where its offset belongs: behind all that was said before it,
// and before all that is unsent.
function settle(room: Room, message: Message): Room {
  const others = room.messages.filter(({ id }) => id !== message.id);
  const said = others.filter((other) => !isUnsent(other));
  const unsent = others.filter(isUnsent);
  let at = said.length;
  while (follows(said[at - 1], message)) {
    at--;
  }
  said.splice(at, 0, message);
  return trim({ ...room, messages: [...said.slice(-MAX_MESSAGES), ...unsent] }, said.length);
}

function follows(a: Message | undefined, b: Message): boolean {
  return (
    a?.place !== undefined && a.place.epoch === b.place?.epoch && a.place.offset > b.place.offset
  );
}

// What was dropped can be had again.
function trim(room: Room, before: number): Room {
  return before > MAX_MESSAGES && room.past !== "cut" ? { ...room, past: "more" } : room;
}

function replace(room: Room, message: Message): Room {
  const messages = room.messages.map((other) => (other.id === message.id ? message : other));
  return { ...room, messages };
}
