import { concat } from "./wire.ts";

/**
 * The frames of one direction of a session that the peer may not have yet, as they are on the wire.
 * They are copied, one behind the other: objects that outlive their turn, one a frame, cost the
 * collector as much as all the rest of a call.
 */
export interface Journal {
  /** How many frames of the session were before these. */
  gone: number;
  /** How long each is, the oldest first. */
  readonly sent: number[];
  /** The frames are memory[head, tail). */
  memory: Uint8Array;
  head: number;
  tail: number;
}

/** Adds a frame. Over the limit in bytes the oldest go. */
export function keep(journal: Journal, frame: Uint8Array, limit: number): void {
  const { length } = frame;
  const { memory, head, tail } = journal;
  if (tail + length > memory.length) {
    // As much room as is held, and more: linear in what is kept.
    const held = memory.subarray(head, tail);
    journal.memory = concat(held, new Uint8Array(held.length + 2 * length));
    journal.head = 0;
    journal.tail = held.length;
  }
  journal.memory.set(frame, journal.tail);
  journal.tail += length;
  journal.sent.push(length);
  while (journal.tail - journal.head > limit) drop(journal, 1);
}

/**
 * Drops the frames that the peer has.
 * @param count how many of the session it has.
 * @returns false if it cannot have so many, or some behind them are gone.
 */
export function confirm(journal: Journal, count: unknown): boolean {
  const more = Number.isInteger(count) ? (count as number) - journal.gone : -1;
  if (more < 0 || more > journal.sent.length) return false;
  drop(journal, more);
  return true;
}

function drop(journal: Journal, count: number): void {
  for (const length of journal.sent.splice(0, count)) journal.head += length;
  journal.gone += count;
}

/** The frames, each in bytes of its own. */
export function missing({ sent, memory, head }: Journal): Uint8Array[] {
  let end = head;
  return sent.map((length) => {
    end += length;
    return memory.slice(end - length, end);
  });
}
