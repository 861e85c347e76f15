/**
 * The frames of one direction of a session that the peer may not have yet, as they are on the wire.
 * They are counted from the first one of the session on.
 */
export interface Journal {
  /** How many frames it was given so far. */
  readonly sent: number;
  /** How many of them are gone: the peer has them, or there was no room. */
  readonly gone: number;
  /** Those that are left, the oldest first. */
  readonly frames: readonly Uint8Array[];
  /** The bytes in them. */
  readonly bytes: number;
  /** Takes a frame, which must not change any more. Over the limit the oldest go. */
  add(frame: Uint8Array): void;
  /**
   * Drops the frames that the peer has.
   * @param count how many it has of all.
   * @returns false if it cannot have so many, or some behind them are gone.
   */
  confirm(count: unknown): boolean;
}

/**
 * Makes a journal.
 * @param limit most bytes it holds.
 * @param gone how many frames were before the first one it is given.
 */
export function createJournal(limit: number, gone = 0): Journal {
  const frames: Uint8Array[] = [];
  let bytes = 0;
  const drop = (count: number): void => {
    for (const frame of frames.splice(0, count)) bytes -= frame.length;
    gone += count;
  };
  return {
    get sent() {
      return gone + frames.length;
    },
    get gone() {
      return gone;
    },
    get bytes() {
      return bytes;
    },
    frames,
    add(frame) {
      frames.push(frame);
      bytes += frame.length;
      while (bytes > limit) drop(1);
    },
    confirm(count) {
      const more = Number.isInteger(count) ? (count as number) - gone : -1;
      if (more < 0 || more > frames.length) return false;
      drop(more);
      return true;
    },
  };
}
