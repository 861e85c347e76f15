/**
 * The frames of one direction of a session that the peer may not have yet, as they are on the wire.
 */
export interface Journal {
  /** How many frames of the session were before these. */
  gone: number;
  /** The frames, the oldest first. */
  readonly frames: Uint8Array[];
  /** Bytes in them. */
  bytes: number;
}

/** Adds a frame, which must not change any more. Over the limit in bytes the oldest go. */
export function keep(journal: Journal, frame: Uint8Array, limit: number): void {
  journal.frames.push(frame);
  journal.bytes += frame.length;
  while (journal.bytes > limit) drop(journal, 1);
}

/**
 * Drops the frames that the peer has.
 * @param count how many of the session it has.
 * @returns false if it cannot have so many, or some behind them are gone.
 */
export function confirm(journal: Journal, count: unknown): boolean {
  const more = Number.isInteger(count) ? (count as number) - journal.gone : -1;
  if (more < 0 || more > journal.frames.length) return false;
  drop(journal, more);
  return true;
}

function drop(journal: Journal, count: number): void {
  for (const frame of journal.frames.splice(0, count)) journal.bytes -= frame.length;
  journal.gone += count;
}
