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

/** Longest time a timer can wait, in ms; a longer one would fire at once. */
const MAX_TIMEOUT = 0x7fff_ffff;

/** A request that waits for its answer, which comes once: the peer's, or an error. */
export class Pending implements Outgoing {
  readonly bytes: Uint8Array;
  readonly answer: Promise<Frame>;
  sent = false;
  readonly #signal: AbortSignal | undefined;
  readonly #forget: () => void;
  #resolve!: (answer: Frame) => void;
  #reject!: (error: ArpcError) => void;
  #timer: ReturnType<typeof setTimeout> | undefined;

  /** @param forget is called once, when the answer is decided. */
  constructor(bytes: Uint8Array, { timeout = 0, signal }: WaitOptions, forget: () => void) {
    this.bytes = bytes;
    this.#signal = signal;
    this.#forget = forget;
    this.answer = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    if (timeout > 0 && timeout <= MAX_TIMEOUT) {
      this.#timer = setTimeout(() => {
        this.fail("deadline_exceeded", `no answer in ${timeout} ms`);
      }, timeout);
    }
    signal?.addEventListener("abort", this.#onAbort);
  }

  settle(answer: Frame): void {
    this.#end();
    this.#resolve(answer);
  }

  fail(code: ErrorCode, message: string, cause?: unknown): void {
    this.#end();
    this.#reject(new ArpcError(code, message, { sent: this.sent, cause }));
  }

  readonly #onAbort = (): void => {
    const { code, message } = aborted(this.#signal?.reason);
    this.fail(code, message, this.#signal?.reason);
  };

  #end(): void {
    clearTimeout(this.#timer);
    this.#signal?.removeEventListener("abort", this.#onAbort);
    this.#forget();
  }
}

/** The error of a call whose signal is aborted: `deadline_exceeded` for a timeout's signal. */
export function aborted(reason: unknown): ArpcError {
  const { code } = ArpcError.from(reason);
  const isTimeout = code === "deadline_exceeded";
  const message = isTimeout ? "the signal timed out" : "the call was aborted";
  return new ArpcError(isTimeout ? code : "canceled", message, { cause: reason });
}
