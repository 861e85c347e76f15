/**
 * All the page knows, and the only function that changes it. Pure: no DOM, no
 * clock, no network, so every situation of the page can be written as a test.
 */

import * as conversation from "./conversation.ts";
import {
  type Change,
  emptyRoom,
  type Message,
  type Past,
  type Place,
  type Room,
} from "./conversation.ts";
import type { Person, Publication } from "./publication.ts";
import { LOBBY } from "./rules.ts";

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

/** Light or dark, or as the system has it. */
export type Theme = "system" | "light" | "dark";

/** All the page knows. */
export interface State {
  /** The name others see; empty until the person has joined. */
  readonly name: string;
  /** Who the server says we are; empty until it has said so. */
  readonly author: string;
  readonly access: Access;
  readonly link: Link;
  /** The clock of the views, in milliseconds since 1970. */
  readonly now: number;
  /** The room on screen. */
  readonly room: string;
  /** Whether the page is on screen. */
  readonly visible: boolean;
  /** The rooms visited, whose messages we get. */
  readonly rooms: ReadonlyMap<string, Room>;
  /** All rooms the server told of. */
  readonly listed: ReadonlySet<string>;
  /** The server wants us to write more slowly; until then, in milliseconds since 1970. */
  readonly slowUntil: number;
  readonly theme: Theme;
  /** Whether the live panel is open. */
  readonly panel: boolean;
  /** Whether the menu is open, where there is no room to always show it. */
  readonly menu: boolean;
  /** Whether the connection is held broken, on purpose. */
  readonly cut: boolean;
}

/** All that can happen to the page. */
export type Event =
  | { readonly type: "joined"; readonly name: string }
  | { readonly type: "left" }
  | { readonly type: "known"; readonly author: string }
  | { readonly type: "locked"; readonly refused: boolean }
  | { readonly type: "link"; readonly status: Link["status"]; readonly retryAt: number }
  | { readonly type: "settled" }
  | { readonly type: "tick"; readonly now: number }
  | { readonly type: "shown"; readonly visible: boolean }
  | { readonly type: "themed"; readonly theme: Theme }
  | { readonly type: "panel"; readonly open: boolean }
  | { readonly type: "menu"; readonly open: boolean }
  | { readonly type: "cut"; readonly cut: boolean }
  | { readonly type: "slowed"; readonly until: number }
  | { readonly type: "listed"; readonly room: string }
  | { readonly type: "visited"; readonly room: string }
  | ({ readonly room: string } & RoomEvent);

/** All that can happen to a room. */
export type RoomEvent =
  | { readonly type: "forgotten" }
  | { readonly type: "subscribed"; readonly live: boolean }
  | { readonly type: "refused"; readonly reason: string }
  | { readonly type: "admitted" }
  | { readonly type: "drafted"; readonly text: string }
  | { readonly type: "wrote"; readonly id: string; readonly text: string; readonly time: number }
  | { readonly type: "sending"; readonly id: string }
  | { readonly type: "sent"; readonly id: string; readonly place: Place }
  | { readonly type: "kept"; readonly id: string }
  | { readonly type: "failed"; readonly id: string; readonly reason: string }
  | { readonly type: "retried"; readonly id: string }
  | { readonly type: "discarded"; readonly id: string }
  | ({ readonly type: "heard" } & Heard)
  | { readonly type: "gap"; readonly missed: number; readonly newEpoch: boolean }
  | { readonly type: "past"; readonly past: Past }
  | { readonly type: "history"; readonly messages: readonly Heard[]; readonly past: Past }
  | { readonly type: "people"; readonly people: readonly Person[] }
  | ({ readonly type: "change" } & Change)
  | ({ readonly type: "typed" } & Person & { readonly until: number });

/** A message as the topic has it. */
export interface Heard extends Publication {
  readonly time: number;
  readonly place: Place;
}

/** The page before anything happened. */
export const initialState: State = {
  name: "",
  author: "",
  access: "granted",
  link: { status: "connecting", retryAt: 0, lost: false },
  now: 0,
  room: LOBBY,
  visible: true,
  rooms: new Map(),
  listed: new Set([LOBBY]),
  slowUntil: 0,
  theme: "system",
  panel: false,
  menu: false,
  cut: false,
};

/** The state after `event`; the same object if nothing changed. */
export function reduce(state: State, event: Event): State {
  switch (event.type) {
    case "joined":
      return { ...state, name: event.name, access: "granted" };
    case "left":
      return outside({ ...state, name: "", access: "granted", menu: false });
    case "known":
      return state.author === event.author ? state : { ...state, author: event.author };
    case "locked":
      return outside({ ...state, access: event.refused ? "refused" : "locked" });
    case "link":
      return { ...state, link: nextLink(state.link, event.status, event.retryAt) };
    case "settled":
      return state.link.lost ? { ...state, link: { ...state.link, lost: false } } : state;
    case "tick":
      return tick(state, event.now);
    case "shown":
      return show({ ...state, visible: event.visible });
    case "themed":
      return { ...state, theme: event.theme };
    case "panel":
      return { ...state, panel: event.open };
    case "menu":
      return state.menu === event.open ? state : { ...state, menu: event.open };
    case "cut":
      return { ...state, cut: event.cut };
    case "slowed":
      return { ...state, slowUntil: event.until };
    case "listed":
      return state.listed.has(event.room) ? state : list(state, event.room);
    case "visited":
      return visit(state, event.room);
    case "forgotten":
      return forget(state, event.room);
    default:
      // A room that was left meanwhile stays left.
      return inKnownRoom(state, event.room, (room) => happen(state, room, event));
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

/** What others wrote and the person has not seen, in all rooms. */
export function unreadOf(state: State): number {
  return [...state.rooms.values()].reduce((sum, { unread }) => sum + unread, 0);
}

/** Whether anything on the page changes by itself as time passes. */
export function isClockNeeded(state: State): boolean {
  const { typing, change } = currentRoom(state);
  const isWaiting = state.link.status === "waiting" || state.slowUntil > 0;
  return isWaiting || typing.length > 0 || change !== undefined;
}

function happen(
  state: State,
  room: Room,
  event: Exclude<RoomEvent, { type: "forgotten" }> & { room: string },
): Room {
  switch (event.type) {
    case "subscribed":
      return { ...room, live: event.live };
    case "refused":
      return { ...room, refusal: event.reason };
    case "admitted": {
      const { refusal: _, ...rest } = room;
      return room.refusal === undefined ? room : rest;
    }
    case "drafted":
      return { ...room, draft: event.text };
    case "wrote":
      return conversation.write(room, ownMessage(state, event));
    case "sending":
      return conversation.deliver(room, event.id, "sending");
    case "sent":
      return conversation.deliver(room, event.id, "sent", { place: event.place });
    case "kept":
    case "retried":
      return conversation.deliver(room, event.id, "waiting");
    case "failed":
      return conversation.deliver(room, event.id, "failed", { reason: event.reason });
    case "discarded":
      return conversation.discard(room, event.id);
    case "heard":
      return conversation.hear(room, said(state, event), isLooking(state, event.room));
    case "gap":
      return { ...conversation.miss(room, event.missed), ...(event.newEpoch ? cutOff(room) : {}) };
    case "past":
      return { ...room, past: event.past };
    case "history": {
      const page = event.messages.map((heard) => said(state, heard));
      const longer = conversation.prepend(room, page, event.past);
      return isLooking(state, event.room) ? conversation.look(longer) : longer;
    }
    case "people":
      return conversation.gather(room, event.people);
    case "change": {
      const { author, name, came, until } = event;
      return author === state.author ? room : { ...room, change: { author, name, came, until } };
    }
    case "typed": {
      const { author, name, until } = event;
      return author === state.author ? room : conversation.type(room, { author, name, until });
    }
  }
}

// What was said in another epoch stays on the page, but nothing before it can be had.
function cutOff({ messages }: Room): { past: Past } | Record<never, never> {
  return messages.length > 0 ? { past: "cut" } : {};
}

function tick(state: State, now: number): State {
  const slowUntil = state.slowUntil <= now ? 0 : state.slowUntil;
  const next = { ...state, now, slowUntil };
  return inRoom(next, state.room, (room) => conversation.expire(room, now));
}

function visit(state: State, room: string): State {
  const left = state.room === room ? state : inKnownRoom(state, state.room, conversation.turnAway);
  return show(list({ ...left, room, menu: false }, room));
}

function show(state: State): State {
  const change = isLooking(state, state.room) ? conversation.look : conversation.turnAway;
  return inRoom(state, state.room, (room) => ({ ...change(room) }));
}

function list(state: State, room: string): State {
  return { ...state, listed: new Set(state.listed).add(room) };
}

function forget(state: State, room: string): State {
  const rooms = new Map(state.rooms);
  rooms.delete(room);
  return { ...state, rooms };
}

function isLooking(state: State, room: string): boolean {
  return state.visible && state.room === room && state.name !== "";
}

// Without a session no room is live; what is unsent stays.
function outside(state: State): State {
  const rooms = [...state.rooms].map(
    ([name, room]) => [name, { ...room, live: false, people: [], typing: [] }] as const,
  );
  return { ...state, link: initialState.link, rooms: new Map(rooms), cut: false };
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

function inKnownRoom(state: State, name: string, change: (room: Room) => Room): State {
  return state.rooms.has(name) ? inRoom(state, name, change) : state;
}

function ownMessage(state: State, wrote: { id: string; text: string; time: number }): Message {
  const { id, text, time } = wrote;
  const { author, name } = state;
  return { id, author, name, text, time, own: true, delivery: "waiting" };
}

function said({ author: me }: State, heard: Heard): Message {
  const { id, author, name, text, time, place } = heard;
  return { id, author, name, text, time, place, own: author === me, delivery: "sent" };
}
