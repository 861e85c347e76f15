/**
 * Derived from the messages of a room, for the views: which lines belong
 * together, and who has spoken.
 */

import type { Message } from "./state.ts";

/** Messages of one person further apart than this begin a new group, in milliseconds. */
const GROUP_GAP = 5 * 60_000;

/** A message and its place among its neighbours. */
export interface Line {
  readonly message: Message;
  /** It opens a group: name, picture and time are shown. */
  readonly first: boolean;
  /** It closes a group: its delivery is shown. */
  readonly last: boolean;
}

/** Someone who has spoken, and when last, in milliseconds since 1970. */
export interface Speaker {
  readonly name: string;
  readonly time: number;
  readonly own: boolean;
}

/** The messages as lines, grouped by who speaks. */
export function linesOf(messages: readonly Message[]): Line[] {
  return messages.map((message, i) => {
    const before = messages[i - 1];
    const after = messages[i + 1];
    return {
      message,
      first: before === undefined || !together(before, message),
      last: after === undefined || !together(message, after),
    };
  });
}

/** Who has spoken, whoever spoke last first; a name counts once, one's own apart from the same name elsewhere. */
export function speakersOf(messages: readonly Message[]): Speaker[] {
  const speakers = new Map<string, Speaker>();
  for (const { name, time, own } of messages) {
    const key = `${own ? "own" : "other"} ${name}`;
    speakers.delete(key);
    speakers.set(key, { name, time, own });
  }
  return [...speakers.values()].reverse();
}

function together(a: Message, b: Message): boolean {
  return a.own === b.own && a.name === b.name && Math.abs(b.time - a.time) < GROUP_GAP;
}
