import { isPromise } from "./handler.ts";
import { decodeFrame, type Frame, MAX_CODED_EXTRA } from "./wire.ts";

/**
 * Transforms whole frames: header, method and body. Each has a bit of the header's `coders` byte,
 * byte 4, which says that a frame went through it; bytes 0-3 hold the number of bytes behind the
 * header. It may be asynchronous: frames keep their order. What it throws ends the connection.
 */
export interface Coder {
  /** The coder's name, as hello lists it. */
  readonly name: string;
  /** Its bit in the `coders` byte. */
  readonly bit: number;
  /**
   * Whether it has every frame but pings and pongs, hello included, and ends a connection on which
   * one comes without. @default false: it is used where both hellos list it, or none is said
   */
  readonly always?: boolean;
  /** Whether it has no frame towards a server that says no hello. @default false */
  readonly agreedOnly?: boolean;
  /** Gives the frame with the bit set, or the frame as it is. Must not change `frame`. */
  encode(frame: Uint8Array): Uint8Array | Promise<Uint8Array>;
  /**
   * Gives the frame as it was before. Must not change `frame`.
   * @param limit most bytes of method and body the result may have.
   */
  decode(frame: Uint8Array, limit: number): Uint8Array | Promise<Uint8Array>;
}

/** What the way of a connection's frames through its coders needs of the connection. */
export interface PipeOwner {
  /** Most bytes of method and body of a decoded frame. */
  readonly limit: number;
  /** Whether a coder that is not always used is used by now. */
  isAgreed(coder: Coder): boolean;
  send(frame: Uint8Array): void;
  take(frame: Frame): void;
  /** Takes why a frame could not be coded. */
  fail(cause: unknown): void;
}

/** The way of a connection's frames through its coders: in order, each direction for itself. */
export class Pipe {
  readonly #coders: readonly Coder[];
  readonly #owner: PipeOwner;
  readonly #out: Lane;
  readonly #in: Lane;

  /** @param coders those of the client, to which more may come. */
  constructor(coders: readonly Coder[], owner: PipeOwner) {
    this.#coders = coders;
    this.#owner = owner;
    this.#out = lane(owner.fail);
    this.#in = lane(owner.fail);
  }

  /** The bits of all coders. */
  get bits(): number {
    return bitsOf(this.#coders);
  }

  /** Codes a frame of ours, and sends it behind those before it. */
  encode(frame: Uint8Array): void {
    const { send, isAgreed } = this.#owner;
    const active = this.#coders.filter((coder) => coder.always || isAgreed(coder));
    this.#out(() => through(frame, active, (bytes, coder) => coder.encode(bytes)), send);
  }

  /** Decodes a frame of the peer's, and takes it behind those before it. */
  decode(frame: Frame): void {
    const { take, limit } = this.#owner;
    const bits = frame.coders ?? 0;
    const used = this.#coders.filter(({ bit }) => bits & bit).reverse();
    this.#in(() => {
      const missing = bitsOf(this.#coders.filter(({ always }) => always)) & ~bits;
      if (missing) throw new Error(`coders ${missing} missing`);
      if (!bits) return frame;
      // What the coders in front of it added is still there.
      const most = limit + MAX_CODED_EXTRA;
      const bytes = through(frame.body, used, (input, coder) => coder.decode(input, most));
      return isPromise(bytes)
        ? bytes.then((plain) => decodeFrame(plain, limit))
        : decodeFrame(bytes, limit);
    }, take);
  }

  /** Does something when all that came is taken. */
  drained(then: () => void): void {
    this.#in(() => undefined, then);
  }
}

type Coded = Uint8Array | PromiseLike<Uint8Array>;

function bitsOf(coders: readonly Coder[]): number {
  return coders.reduce((bits, { bit }) => bits | bit, 0);
}

/** Takes bytes through coders, without a promise if none makes one. */
function through(
  frame: Uint8Array,
  coders: readonly Coder[],
  step: (bytes: Uint8Array, coder: Coder) => Coded,
): Coded {
  return coders.reduce<Coded>(
    (bytes, coder) =>
      isPromise(bytes) ? bytes.then((each) => step(each, coder)) : step(bytes, coder),
    frame,
  );
}

/** Makes a value and uses it behind the values before it. */
type Lane = <T>(make: () => T | PromiseLike<T>, use: (value: T) => void) => void;

/** Makes a lane: work begins at once, and is done in order. */
function lane(fail: (cause: unknown) => void): Lane {
  let last: Promise<void> | undefined;
  return (make, use) => {
    try {
      const made = make();
      if (!last && !isPromise(made)) {
        use(made);
        return;
      }
      const done = Promise.all([made, last])
        .then(([value]) => use(value))
        .catch(fail)
        .finally(() => {
          if (last === done) last = undefined;
        });
      last = done;
    } catch (cause) {
      fail(cause);
    }
  };
}
