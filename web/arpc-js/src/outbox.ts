import type { Conn } from "./conn.ts";
import { ArpcError, type ErrorCode } from "./errors.ts";
import type { Settings } from "./options.ts";
import { HEADER_LENGTH } from "./wire.ts";

/** An encoded frame on its way to the peer. */
export interface Outgoing {
  readonly bytes: Uint8Array;
  /** The connection the bytes were given to; once there is one, the peer may have them. */
  conn: Conn | undefined;
  /** Encodes it anew for a connection that takes another form of it. */
  recode?: ((conn: Conn) => Uint8Array | undefined) | undefined;
  /** Told when the frame, which waited, can never be sent. */
  fail(code: ErrorCode, message: string): void;
}

/** Why a frame cannot be sent to a peer that takes so many bytes of method and body. */
export function tooBig(
  frame: Uint8Array,
  maxBody: number,
  what: "body" | "answer" = "body",
): ArpcError | undefined {
  const length = frame.length - HEADER_LENGTH;
  if (length <= maxBody) return undefined;
  const bytes = length - (frame[7] ?? 0);
  return new ArpcError("resource_exhausted", `${what} of ${bytes} bytes, limit ${maxBody}`);
}

/**
 * What waits, first in, first out, bounded in frames and bytes: for a connection, or (calls) for
 * the peer to have fewer of them.
 */
export class Outbox {
  readonly #settings: Settings;
  readonly #waiting = new Set<Outgoing>();
  #bytes = 0;

  constructor(settings: Settings) {
    this.#settings = settings;
  }

  /** Lets a frame wait; false when that would pass a bound. */
  add(outgoing: Outgoing): boolean {
    const { maxQueue, maxQueueBytes } = this.#settings;
    const { length } = outgoing.bytes;
    if (this.#waiting.size >= maxQueue || this.#bytes + length > maxQueueBytes) return false;
    this.#waiting.add(outgoing);
    this.#bytes += length;
    return true;
  }

  /** Takes a frame back that has not left. */
  delete(outgoing: Outgoing): void {
    if (this.#waiting.delete(outgoing)) this.#bytes -= outgoing.bytes.length;
  }

  /**
   * Gives the frames to `send` and forgets those it takes.
   * @param all also those behind one it does not take.
   */
  flush(send: (outgoing: Outgoing) => boolean, all: boolean): void {
    for (const outgoing of this.#waiting) {
      if (send(outgoing)) this.delete(outgoing);
      else if (!all) return;
    }
  }

  /** Drops all of it. */
  clear(): void {
    this.#waiting.clear();
    this.#bytes = 0;
  }
}
