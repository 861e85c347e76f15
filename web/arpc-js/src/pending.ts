import type { Conn } from "./conn.ts";
import { ArpcError, type ErrorCode } from "./errors.ts";
import type { Outgoing } from "./outbox.ts";
import type { Frame } from "./wire.ts";

/** How long a call waits, and what ends it early. */
export interface WaitOptions {
  /** Milliseconds until the call fails with `deadline_exceeded`; 0 waits without end. */
  readonly timeout?: number | undefined;
  /** Ends the call with `canceled` when aborted. */
  readonly signal?: AbortSignal | undefined;
}

/** A request that waits for its answer, which comes once: the peer's, or an error. */
export class Pending implements Outgoing {
  readonly seq: bigint;
  readonly bytes: Uint8Array;
  /** When it has waited long enough, by `performance.now()`. */
  readonly deadline: number;
  readonly answer: Promise<Frame>;
  conn: Conn | undefined;
  recode: Outgoing["recode"];
  /** Told of the answer before what is behind it arrives; the promise tells later. Must not throw. */
  answered: ((answer: Frame) => void) | undefined;
  readonly #signal: AbortSignal | undefined;
  readonly #ended: (pending: Pending) => void;
  #resolve!: (answer: Frame) => void;
  #reject!: (error: ArpcError) => void;

  /** @param ended is called once, when the answer is decided. */
  constructor(
    seq: bigint,
    bytes: Uint8Array,
    { timeout = 0, signal }: WaitOptions,
    ended: (pending: Pending) => void,
  ) {
    this.seq = seq;
    this.bytes = bytes;
    this.deadline = timeout > 0 ? performance.now() + timeout : Infinity;
    this.#signal = signal;
    this.#ended = ended;
    this.answer = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    signal?.addEventListener("abort", this.#onAbort);
  }

  settle(answer: Frame): void {
    this.#end();
    this.answered?.(answer);
    this.#resolve(answer);
  }

  /** Gives up; a peer that may have the request and knows the word is told. */
  fail(code: ErrorCode, message: string, cause?: unknown): void {
    this.conn?.cancel(this.seq);
    this.#end();
    this.#reject(new ArpcError(code, message, { sent: this.conn !== undefined, cause }));
  }

  readonly #onAbort = (): void => {
    const { code, message } = aborted(this.#signal?.reason);
    this.fail(code, message, this.#signal?.reason);
  };

  #end(): void {
    this.#signal?.removeEventListener("abort", this.#onAbort);
    this.#ended(this);
  }
}

/** The error of a call whose signal is aborted: `deadline_exceeded` for a timeout's signal. */
export function aborted(cause: unknown): ArpcError {
  const { code } = ArpcError.from(cause);
  return code === "deadline_exceeded"
    ? new ArpcError(code, "no answer in time", { cause })
    : new ArpcError("canceled", "the call was aborted", { cause });
}
