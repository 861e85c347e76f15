/**
 * All the page knows, and the only function that changes it. Pure: no DOM, no
 * clock, no network, so every situation of the page can be written as a test.
 */

import { LOBBY } from "./room.ts";

/** Messages kept per room; the oldest leave first, but never one that is still to be sent. */
export const MAX_MESSAGES = 500;

/**
 * Where a message of one's own is on its way: kept until there is a
 * connection, handed to it, acknowledged by the server, or refused.
 */
export type Delivery = "waiting" | "sending" | "sent" | "failed";

/** One message of a room. */
export interface Message {
  readonly id: string;
  readonly name: string;
  readonly text: string;
  /** Milliseconds since 1970: the server's time, or ours as long as the server has not seen it. */
  readonly time: number;
  readonly own: boolean;
  /** Messages of others are always "sent". */
  readonly delivery: Delivery;
  /** Why it failed, in words for a person. */
  readonly reason?: string;
}

/** One room: what was said there, then what is still to be sent. */
export interface Room {
  /** Whether the server sends us what is said there. */
  readonly live: boolean;
  readonly messages: readonly Message[];
}

/** The connection as a person sees it. */
export interface Link {
  readonly status: "connecting" | "open" | "waiting" | "closed";
  /** When the next attempt begins, in milliseconds since 1970; only while waiting. */
  readonly retryAt: number;
  /** It broke and the person has not yet been told long enough that it is back. */
  readonly lost: boolean;
}

/** Whether the server lets us in. */
export type Access = "granted" | "locked" | "refused";

/** All the page knows. */
export interface State {
  /** The name others see; empty until the person has joined. */
  readonly name: string;
  readonly access: Access;
  readonly link: Link;
  /** The clock of the views, in milliseconds since 1970. */
  readonly now: number;
  /** The room on screen. */
  readonly room: string;
  readonly rooms: ReadonlyMap<string, Room>;
}

/** All that can happen to the page. */
export type Event =
  | { readonly type: "joined"; readonly name: string }
  | { readonly type: "left" }
  | { readonly type: "locked"; readonly refused: boolean }
  | { readonly type: "link"; readonly status: Link["status"]; readonly retryAt: number }
  | { readonly type: "settled" }
  | { readonly type: "tick"; readonly now: number }
  | { readonly type: "visited"; readonly room: string }
  | { readonly type: "subscribed"; readonly room: string; readonly live: boolean }
  | { readonly type: "wrote"; readonly id: string; readonly text: string; readonly time: number }
  | { readonly type: "sending"; readonly room: string; readonly id: string }
  | { readonly type: "sent"; readonly room: string; readonly id: string }
  | { readonly type: "kept"; readonly room: string; readonly id: string }
  | { readonly type: "failed"; readonly room: string; readonly id: string; readonly reason: string }
  | { readonly type: "retried"; readonly id: string }
  | {
      readonly type: "heard";
      readonly room: string;
      readonly id: string;
      readonly name: string;
      readonly text: string;
      readonly time: number;
    };

/** The page before anything happened. */
export const initialState: State = {
  name: "",
  access: "granted",
  link: { status: "connecting", retryAt: 0, lost: false },
  now: 0,
  room: LOBBY,
  rooms: new Map(),
};

const emptyRoom: Room = { live: false, messages: [] };

/** The state after `event`; the same object if nothing changed. */
export function reduce(state: State, event: Event): State {
  switch (event.type) {
    case "joined":
      return { ...state, name: event.name, access: "granted" };
    case "left":
      return outside({ ...state, name: "", access: "granted" });
    case "locked":
      return outside({ ...state, access: event.refused ? "refused" : "locked" });
    case "link":
      return { ...state, link: nextLink(state.link, event.status, event.retryAt) };
    case "settled":
      return state.link.lost ? { ...state, link: { ...state.link, lost: false } } : state;
    case "tick":
      return { ...state, now: event.now };
    case "visited":
      return { ...state, room: event.room };
    case "subscribed":
      return inRoom(state, event.room, (room) => ({ ...room, live: event.live }));
    case "wrote":
      return inRoom(state, state.room, (room) => append(room, ownMessage(state.name, event)));
    case "sending":
      return deliver(state, event.room, event.id, "sending");
    case "sent":
      return deliver(state, event.room, event.id, "sent");
    case "kept":
      return deliver(state, event.room, event.id, "waiting");
    case "failed":
      return deliver(state, event.room, event.id, "failed", event.reason);
    case "retried":
      return deliver(state, state.room, event.id, "waiting");
    case "heard":
      return inRoom(state, event.room, (room) => hear(room, event));
  }
}

/** The room on screen. */
export function currentRoom(state: State): Room {
  return state.rooms.get(state.room) ?? emptyRoom;
}

/** The oldest message that is to be handed to the connection, if any. */
export function nextToSend(state: State): { room: string; message: Message } | undefined {
  for (const [room, { live, messages }] of state.rooms) {
    const message = live ? messages.find(({ delivery }) => delivery === "waiting") : undefined;
    if (message !== undefined) {
      return { room, message };
    }
  }
  return undefined;
}

/** Whether closing the page now would lose something written. */
export function hasUnsent(state: State): boolean {
  return [...state.rooms.values()].some((room) => room.messages.some(isUnsent));
}

// Without a session no room is live; what is unsent stays.
function outside(state: State): State {
  const rooms = [...state.rooms].map(([name, room]) => [name, { ...room, live: false }] as const);
  return { ...state, link: initialState.link, rooms: new Map(rooms) };
}

function nextLink(link: Link, status: Link["status"], retryAt: number): Link {
  const lost = link.lost || status === "waiting" || status === "closed";
  return { status, retryAt: status === "waiting" ? retryAt : 0, lost };
}

function inRoom(state: State, name: string, change: (room: Room) => Room): State {
  const room = state.rooms.get(name) ?? emptyRoom;
  const changed = change(room);
  return changed === room ? state : { ...state, rooms: new Map(state.rooms).set(name, changed) };
}

function ownMessage(name: string, wrote: { id: string; text: string; time: number }): Message {
  const { id, text, time } = wrote;
  return { id, name, text, time, own: true, delivery: "waiting" };
}

function deliver(
  state: State,
  name: string,
  id: string,
  delivery: Delivery,
  reason?: string,
): State {
  return inRoom(state, name, (room) => {
    const message = room.messages.find((candidate) => candidate.id === id);
    // What the server acknowledged, or what came back to us from the topic, stays sent.
    if (message === undefined || !message.own || message.delivery === "sent") {
      return room;
    }
    const { reason: _, ...rest } = message;
    const next = { ...rest, delivery, ...(reason === undefined ? {} : { reason }) };
    return delivery === "sent" ? settle(room, next) : replace(room, next);
  });
}

// A topic brings back what we published. The first copy of an id counts, ours
// moves to the place the topic gave it.
function hear(room: Room, heard: Omit<Message, "own" | "delivery">): Room {
  const { id, name, text, time } = heard;
  const known = room.messages.find((message) => message.id === id);
  if (known === undefined) {
    return settle(room, { id, name, text, time, own: false, delivery: "sent" });
  }
  if (!known.own || known.delivery === "sent") {
    return room;
  }
  const { reason: _, ...rest } = known;
  return settle(room, { ...rest, time, delivery: "sent" });
}

// Puts a message behind all that was said and before all that is unsent.
function settle(room: Room, message: Message): Room {
  const others = room.messages.filter(({ id }) => id !== message.id);
  const said = [...others.filter((other) => !isUnsent(other)), message];
  const unsent = others.filter(isUnsent);
  return { ...room, messages: [...said.slice(-MAX_MESSAGES), ...unsent] };
}

function append(room: Room, message: Message): Room {
  return { ...room, messages: [...room.messages, message] };
}

function replace(room: Room, message: Message): Room {
  const messages = room.messages.map((other) => (other.id === message.id ? message : other));
  return { ...room, messages };
}

function isUnsent({ delivery }: Message): boolean {
  return delivery !== "sent";
}
