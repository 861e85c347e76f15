import type { Engine } from "./engine.ts";
import { ArpcError } from "./errors.ts";
import { MAX_STORED } from "./limits.ts";
import type { Orphan } from "./options.ts";
import type { Held } from "./session.ts";
import { checked } from "./structured.ts";
import type { Frame } from "./wire.ts";

// Sessions go from a page to the next one in its tab, when that is reloaded. They are in storage
// only from the end of the one until the start of the other: a tab that is duplicated copies what
// is there, and two pages must not share a session.

/** The place that a client has among those of its URL, while it lives. */
export interface Slot {
  /** The session that the page before left in it, if it did. */
  readonly held: Held | undefined;
  /**
   * Lets the next client have it, and the next page the session, if there is one; false if there is
   * none, too much of it, or nowhere to put it.
   */
  leave(held?: Held): boolean;
}

/** A session in storage. */
interface Stored extends Pick<Held, "ticket" | "grace" | "received" | "gone" | "sent"> {
  readonly data: readonly number[];
  /** The last of ours, and the streams that are over. */
  readonly seqs: readonly string[];
}

/** The keys of the slots that clients of this page have. */
const taken = new Set<string>();

/**
 * Takes the first free slot of the client's URL: when a page is reloaded, its clients find their
 * sessions by the order in which they are made.
 */
export function takeSlot(engine: Engine): Slot {
  let key = `arpc:${engine.url}`;
  // No URL has a space.
  while (taken.has(key)) key += " ";
  taken.add(key);
  return {
    held: restore(engine, key),
    leave(held) {
      taken.delete(key);
      if (!held) return false;
      const { memory, head, tail, over, ...rest } = held;
      if (tail - head > MAX_STORED) return false;
      try {
        const stored: Stored = {
          ...rest,
          data: [...memory.subarray(head, tail)],
          seqs: [engine.lastSeq, ...over].map(String),
        };
        sessionStorage.setItem(key, JSON.stringify(stored));
        return true;
      } catch {
        return false;
      }
    },
  };
}

function restore(engine: Engine, key: string): Held | undefined {
  try {
    const stored: Stored = JSON.parse(sessionStorage.getItem(key) ?? "");
    sessionStorage.removeItem(key);
    const { data, seqs, ...rest } = stored;
    const memory = Uint8Array.from(data);
    const [seq = 0n, ...over] = seqs.map(BigInt);
    const held = { ...rest, memory, head: 0, tail: data.length, over: new Set(over) };
    engine.lastSeq = seq;
    return held;
  } catch {
    // There is none, or it is another version's.
    return undefined;
  }
}

/** The answer to a call of the page before. */
export function toOrphan({ fromBody }: Engine, frame: Frame): Orphan {
  const { method, seq } = frame;
  try {
    const { body, flag } = checked(frame);
    return { method, seq, body: fromBody(body, flag) };
  } catch (error) {
    return { method, seq, body: undefined, error: ArpcError.from(error) };
  }
}
