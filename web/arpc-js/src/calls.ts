import type { ArpcError } from "./errors.ts";
import { Pending, type WaitOptions } from "./pending.ts";
import { Timer } from "./timer.ts";
import type { Frame } from "./wire.ts";

/** The calls that are not answered yet. */
export class Calls {
  readonly #pending = new Map<bigint, Pending>();
  readonly #ended: (pending: Pending) => void;
  #seq = 0n;
  /** How many the peer may be working on. */
  inflight = 0;
  /** Why there is no connection: what a call that waits for one in vain fails because of. */
  obstacle: ArpcError | undefined;

  // One timer for all deadlines, set for the nearest. It is not reset when a call is answered: it
  // fires, finds nothing due, and is set for what is the nearest then.
  readonly #timer = new Timer();
  #nearest = Infinity;

  /** @param ended is told of each call that is decided. */
  constructor(ended: (pending: Pending) => void) {
    this.#ended = ended;
  }

  /** The number of the next request. */
  next(): bigint {
    return ++this.#seq;
  }

  /** Begins a call. Its request is not sent yet. */
  add(seq: bigint, bytes: Uint8Array, options: WaitOptions): Pending {
    const pending = new Pending(seq, bytes, options, this.#onEnd);
    this.#pending.set(seq, pending);
    this.#watch(pending.deadline);
    return pending;
  }

  /** Takes an answer. One nobody waits for came too late, or twice. */
  settle(answer: Frame): void {
    this.#pending.get(answer.seq)?.settle(answer);
  }

  /** Fails the calls the peer may have, or all. */
  fail(all: boolean, message: string, cause?: unknown): void {
    for (const pending of this.#pending.values()) {
      if (all || pending.conn) pending.fail("unavailable", message, cause);
    }
  }

  /** Leaves no timer. */
  close(): void {
    this.#timer.clear();
  }

  readonly #onEnd = (pending: Pending): void => {
    this.#pending.delete(pending.seq);
    if (pending.conn) this.inflight--;
    this.#ended(pending);
  };

  #watch(deadline: number): void {
    if (deadline >= this.#nearest) return;
    this.#nearest = deadline;
    this.#timer.set(deadline - performance.now(), () => this.#expire());
  }

  #expire(): void {
    const now = performance.now();
    this.#nearest = Infinity;
    for (const pending of this.#pending.values()) {
      if (pending.deadline <= now) {
        const cause = pending.conn ? undefined : this.obstacle;
        pending.fail("deadline_exceeded", "no answer in time", cause);
      } else this.#watch(pending.deadline);
    }
  }
}
