import type { Conn, Pipe } from "./conn.ts";
import type { Engine, Part } from "./engine.ts";
import { isPromise } from "./handler.ts";
import { type Carried, decodeFrame, type Frame, isSign, MAX_CODED_EXTRA } from "./wire.ts";

/**
 * Transforms whole frames: header, method and body. Each has a bit of the header's `coders` byte,
 * byte 4, which says that a frame went through it; bytes 0-3 hold the number of bytes behind the
 * header. It may be asynchronous: frames keep their order. What it throws ends the connection.
 *
 * What it makes depends on the frame alone: it is kept, and sent again on the next connection. For
 * coders that depend on the connection, which servers in Go can have, there is no place here: those
 * that are not always used are left out towards this client.
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
   * @param carried takes what handlers find in `ctx.carried`.
   */
  decode(frame: Uint8Array, limit: number, carried?: Carried): Uint8Array | Promise<Uint8Array>;
}

/** A client whose frames may be transformed. */
export interface CodingClient {
  /**
   * Has whole frames transformed, in the order of these calls. To be called before the connection is
   * open, in the turn of `connect`: hello lists what there is by then.
   */
  useCoder(coder: Coder): void;
}

/** Adds coders to a client. */
export function addCoders(engine: Engine, client: object): Part {
  const coders: Coder[] = [];
  const added: CodingClient = { useCoder: (coder) => void coders.push(coder) };
  Object.assign(client, added);
  engine.pipe = (...ways) => createPipe(coders, engine.settings.maxBody, ...ways);
  return {
    say(said) {
      said["coders"] = coders.map(({ name }) => name);
    },
  };
}

/** The way of a connection's frames through its coders: in order, each direction for itself. */
function createPipe(
  coders: readonly Coder[],
  limit: number,
  conn: Conn,
  send: (frame: Uint8Array, plain: Uint8Array) => void,
  take: (frame: Frame) => void,
): Pipe {
  const out = createLane(conn.badFrame);
  const into = createLane(conn.badFrame);
  // Without hello it is for the application to know what the server can do.
  const isAgreed = ({ name, agreedOnly }: Coder): boolean => {
    const { helloAnswer: answer } = conn;
    const known = answer?.["coders"];
    return answer ? Array.isArray(known) && known.includes(name) : conn.isReady && !agreedOnly;
  };
  // Pings and pongs are never coded, and answered whatever waits to be decoded.
  const isPlain = (cmd?: number): boolean => coders.length === 0 || isSign(cmd);
  return {
    bits: () => bitsOf(coders),
    outward(frame) {
      if (isPlain(frame[5])) {
        send(frame, frame);
        return;
      }
      const active = coders.filter((coder) => coder.always || isAgreed(coder));
      const coded = (): Coded => through(frame, active, (bytes, coder) => coder.encode(bytes));
      // A coder may give a view, and a message fills its buffer.
      conn.coding += frame.length;
      out.put(coded, (bytes) => {
        conn.coding -= frame.length;
        send(bytes.slice(), frame);
      });
    },
    inward(frame) {
      const { cmd, coders: bits = 0, body } = frame;
      if (isPlain(cmd)) {
        take(frame);
        return;
      }
      const used = coders.filter(({ bit }) => bits & bit).reverse();
      into.put(() => {
        const missing = bitsOf(coders.filter(({ always }) => always)) & ~bits;
        if (missing) throw new Error(`coders ${missing} missing`);
        if (!bits) return frame;
        const carried: Carried = {};
        const bytes = through(body, used, (input, coder) =>
          // What the coders in front of it added is still there.
          coder.decode(input, limit + MAX_CODED_EXTRA, carried),
        );
        return behind(bytes, (plain) => ({ ...decodeFrame(plain, limit), carried }));
      }, take);
    },
    drained: (then) => into.put(() => undefined, then),
    leaving: out.left,
    behind: (earlier, then) => out.put(() => earlier?.leaving(), then),
  };
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
  return coders.reduce<Coded>((bytes, coder) => behind(bytes, (each) => step(each, coder)), frame);
}

/** What `next` makes of a value, at once if that is there. */
function behind<T, R>(
  value: T | PromiseLike<T>,
  next: (value: T) => R | PromiseLike<R>,
): R | PromiseLike<R> {
  return isPromise(value) ? value.then(next) : next(value);
}

/** A queue of values that take time to be made. */
interface Lane {
  /** Makes a value, at once, and uses it behind the values before it. */
  put<T>(make: () => T | PromiseLike<T>, use: (value: T) => void): void;
  /** What is under way, if anything is. */
  left(): Promise<void> | undefined;
}

function createLane(fail: (cause: unknown) => void): Lane {
  let last: Promise<void> | undefined;
  return {
    put(make, use) {
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
    },
    left: () => last,
  };
}
