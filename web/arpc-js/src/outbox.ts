/** Encoded frames on their way to the socket. */
export interface Outgoing {
  readonly bytes: Uint8Array;
  /** Whether the bytes were given to a socket, so that the peer may have them. */
  sent: boolean;
}

/** What waits for a connection, first in, first out, bounded in frames and bytes. */
export class Outbox {
  readonly #maxFrames: number;
  readonly #maxBytes: number;
  readonly #waiting = new Set<Outgoing>();
  #bytes = 0;

  constructor(maxFrames: number, maxBytes: number) {
    this.#maxFrames = maxFrames;
    this.#maxBytes = maxBytes;
  }

  /** Lets a frame wait; false when that would pass a bound. */
  add(outgoing: Outgoing): boolean {
    const { length } = outgoing.bytes;
    if (this.#waiting.size >= this.#maxFrames || this.#bytes + length > this.#maxBytes) {
      return false;
    }
    this.#waiting.add(outgoing);
    this.#bytes += length;
    return true;
  }

  /** Takes a frame back that has not left. */
  delete(outgoing: Outgoing): void {
    if (this.#waiting.delete(outgoing)) this.#bytes -= outgoing.bytes.length;
  }

  /** Gives the frames to `send`, until there are none or it refuses one. */
  flush(send: (bytes: Uint8Array) => boolean): void {
    for (const outgoing of this.#waiting) {
      if (!send(outgoing.bytes)) return;
      outgoing.sent = true;
      this.delete(outgoing);
    }
  }

  /** Drops all of it. */
  clear(): void {
    this.#waiting.clear();
    this.#bytes = 0;
  }
}
