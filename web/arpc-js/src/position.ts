import type { Members } from "./codec.ts";
import { ArpcError } from "./errors.ts";

/**
 * A place in the log of a topic: behind the publication of that offset. Keep it, in a page's
 * storage too, and subscribe `since` it later.
 */
export interface Position {
  /** The life of the topic whose offsets these are; empty where the server keeps no log. */
  readonly epoch: string;
  /** From 1, without holes within an epoch; 0 is before the first. */
  readonly offset: number;
}

/** Publications that a subscriber will never get: the server no longer had them. */
export interface Gap {
  /** How many; undefined when nobody knows, because the topic began a new epoch. */
  readonly missed: number | undefined;
  /** The offset of the first publication after the gap. */
  readonly from: number;
  /** The epoch it is in. */
  readonly epoch: string;
}

/** Whether what a peer sent can be an offset. */
export function isOffset(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

/**
 * The position in an answer or an event.
 * @param mayBeNowhere whether it may be that of a topic that does not exist.
 * @throws ArpcError `data_loss` when there is none.
 */
export function toPosition({ epoch, offset }: Members, mayBeNowhere = false): Position {
  if (typeof epoch === "string" && isOffset(offset) && (epoch || (mayBeNowhere && !offset))) {
    return { epoch, offset };
  }
  throw new ArpcError("data_loss", "no position");
}

/** A position that moves. Without an epoch it is nowhere yet. */
export interface Cursor {
  epoch: string;
  offset: number;
}

/**
 * Moves a cursor forward to a place, or into another epoch; never back, unless `isReset`.
 * @param isSkipped whether what lies before the place was not for us: then it is not missed.
 * @returns what is missed, unless the cursor was nowhere.
 */
export function seek(
  cursor: Cursor,
  { epoch, offset }: Position,
  isReset = false,
  isSkipped = false,
): Gap | undefined {
  const wasIn = cursor.epoch;
  const distance = epoch === wasIn ? offset - cursor.offset : NaN;
  if (distance <= 0 && !isReset) return undefined;
  cursor.epoch = epoch;
  cursor.offset = offset;
  const missed = distance > 0 ? distance : undefined;
  return wasIn && !(isSkipped && missed) ? { missed, from: offset + 1, epoch } : undefined;
}
