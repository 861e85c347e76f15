/** Most bytes of frames that share a message; a larger frame has one of its own. */
const MAX_BATCH = 32 << 10;

/** Collects the frames of one turn into messages. */
export class Batch {
  readonly #send: (message: Uint8Array) => void;
  readonly #buffer = new Uint8Array(MAX_BATCH);
  /** Bytes that were added and not flushed. */
  length = 0;

  /** @param send takes the bytes of a message, which are its own. */
  constructor(send: (message: Uint8Array) => void) {
    this.#send = send;
  }

  /** Takes a frame, which leaves before the turn ends. */
  add(frame: Uint8Array): void {
    if (this.length + frame.length > MAX_BATCH) this.flush();
    if (frame.length > MAX_BATCH) {
      this.#send(frame);
      return;
    }
    if (this.length === 0) queueMicrotask(() => this.flush());
    this.#buffer.set(frame, this.length);
    this.length += frame.length;
  }

  /** Sends what was added. */
  flush(): void {
    if (this.length > 0) this.#send(this.#buffer.slice(0, this.length));
    this.length = 0;
  }
}
