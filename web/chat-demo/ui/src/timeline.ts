/** The lines of a room from top to bottom, derived from what it holds: what the views show. */

import type { Message, Room } from "./conversation.ts";

/** Messages of one person further apart than this begin a new group, in milliseconds. */
const GROUP_GAP = 5 * 60_000;

/** A message and its place among its neighbours. */
export interface MessageLine {
  readonly kind: "message";
  readonly key: string;
  readonly message: Message;
  /** It opens a group: name, picture and time are shown. */
  readonly first: boolean;
  /** It closes a group: its delivery is shown. */
  readonly last: boolean;
}

/** A new day begins; `time` lies in it, in milliseconds since 1970. */
export interface DayLine {
  readonly kind: "day";
  readonly key: string;
  readonly time: number;
}

/** What follows was not yet seen. */
export interface UnreadLine {
  readonly kind: "unread";
  readonly key: string;
}

/** Messages are gone for good; 0 if nobody can tell how many. */
export interface GapLine {
  readonly kind: "gap";
  readonly key: string;
  readonly missed: number;
}

/** One line of a room. */
export type Line = MessageLine | DayLine | UnreadLine | GapLine;

/** The lines of a room. */
export function linesOf({ messages, gaps, firstUnread }: Room): Line[] {
  const missedAfter = new Map(gaps.map(({ after, missed }) => [after, missed]));
  const lines: Line[] = [];
  let latest: Message | undefined;
  for (const message of messages) {
    if (latest === undefined || !isSameDay(latest.time, message.time)) {
      lines.push({ kind: "day", key: `day ${message.id}`, time: message.time });
    }
    if (message.id === firstUnread) {
      lines.push({ kind: "unread", key: "unread" });
    }
    // Whatever stands between two messages parts them.
    const before = lines.at(-1);
    const joins = before?.kind === "message" && isTogether(before.message, message);
    if (joins) {
      lines[lines.length - 1] = { ...before, last: false };
    }
    lines.push({ kind: "message", key: message.id, message, first: !joins, last: true });
    latest = message;
    const missed = missedAfter.get(message.id);
    if (missed !== undefined) {
      lines.push({ kind: "gap", key: `gap ${message.id}`, missed });
    }
  }
  return lines;
}

/** Whether two lines with one key look the same. */
export function isSameLine(a: Line, b: Line): boolean {
  if (a.kind === "message" && b.kind === "message") {
    return a.message === b.message && a.first === b.first && a.last === b.last;
  }
  return a.kind === "gap" && b.kind === "gap" ? a.missed === b.missed : a.kind === b.kind;
}

/** Whether two moments, in milliseconds since 1970, lie in one day where the reader is. */
export function isSameDay(a: number, b: number): boolean {
  return new Date(a).toDateString() === new Date(b).toDateString();
}

function isTogether(message: Message, next: Message): boolean {
  return (
    message.own === next.own &&
    message.author === next.author &&
    message.name === next.name &&
    Math.abs(next.time - message.time) < GROUP_GAP
  );
}
