/**
 * Two clients connected in memory, for tests without a server, and a network that can fail.
 *
 * @module
 */

import type { ApiShape } from "./api.ts";
import type { Coder } from "./coder.ts";
import { connect } from "./connect.ts";
import { ArpcError } from "./errors.ts";
import type { ConnectOptions, PubSubClient } from "./pubsub.ts";
import type { Socket } from "./socket.ts";
import { decodeFrame, decodeText, encodeFrame, encodeText, FLAG_OUTSIDE } from "./wire.ts";

/** Options of the clients of a {@link Pair}: they say hello, to each other, and need no token. */
export type PairOptions = Omit<ConnectOptions, "WebSocket" | "hello" | "token">;

/** Two clients that are each other's peer, and what is between them. */
export interface Pair<Near extends ApiShape, Far extends ApiShape> {
  /** One client. */
  readonly near: PubSubClient<Near>;
  /** The other, which does what the server would: it has handlers, and can call back. */
  readonly far: PubSubClient<Far>;
  /** The network between them. */
  readonly link: Link;
}

/**
 * Makes two clients and connects them. Neither has topics or sessions: those are a server's. The
 * hellos are answered in between, by who cannot read coded ones: `useCoder` throws an ArpcError
 * `unimplemented` when it is given a coder with `always`, such as `aead`.
 *
 *     const { near, far, link } = pair();
 *     far.handle("/echo", (ctx) => ctx.body);
 *     await near.call("/echo", "hi");
 *     link.cut(); // near and far dial again
 */
export function pair<Near extends ApiShape = ApiShape, Far extends ApiShape = ApiShape>(
  options: { readonly near?: PairOptions; readonly far?: PairOptions } = {},
): Pair<Near, Far> {
  const link = new Link();
  const client = <A extends ApiShape>(side: 0 | 1, given?: PairOptions): PubSubClient<A> => {
    const made = connect<A>("ws://memory/", {
      backoff: { min: 1, max: 50 },
      ...given,
      WebSocket: class extends LinkSocket {
        constructor() {
          super(link, side);
        }
      },
    });
    const { useCoder } = made;
    return Object.assign(made, {
      useCoder(coder: Coder): void {
        // Without this both would dial again and again, and calls wait until their deadline.
        if (coder.always) throw new ArpcError("unimplemented", `${coder.name} needs a server`);
        useCoder(coder);
      },
    });
  };
  return { near: client<Near>(0, options.near), far: client<Far>(1, options.far), link };
}

/** The network between two clients, with its faults. It may be changed at any time. */
export class Link {
  /** From `near` to `far`. */
  readonly outward: Path = new Path();
  /** From `far` to `near`. */
  readonly inward: Path = new Path();
  readonly #ends: [LinkSocket?, LinkSocket?] = [];
  #isUp = true;

  /** Ends the connection there is, as a network does. The clients dial again. */
  cut(): void {
    for (const end of this.#ends.splice(0)) end?.ended(1006, "");
  }

  /** Cuts, and lets no dial through until {@link Link.up}. */
  down(): void {
    this.#isUp = false;
    this.cut();
  }

  /** Lets dials through again. */
  up(): void {
    this.#isUp = true;
  }

  /** @internal An end dials: both are connected when the other has too. */
  dialed(end: LinkSocket): void {
    if (!this.#isUp) {
      end.ended(1006, "");
      return;
    }
    const { side } = end;
    this.#ends[side]?.ended(1006, "");
    this.#ends[side] = end;
    const other = this.#ends[1 - side];
    if (!other) return;
    end.meet(other);
    other.meet(end);
    for (const each of [end, other]) each.opened();
  }

  /** @internal An end closes: the other is told. */
  closed(end: LinkSocket, code: number, reason: string): void {
    const other = this.#ends[1 - end.side];
    if (this.#ends[end.side] === end) this.#ends.length = 0;
    end.ended(code, reason);
    other?.ended(code, reason);
  }
}

/** One direction of a {@link Link}, with its faults: they hold until it is told otherwise. */
export class Path {
  /** How long each message is on its way, in ms. */
  delay = 0;
  /** Whether what is sent is lost, without a sign. */
  blackHole = false;
  /** Most bytes of a message; frames are cut into several where they are longer. */
  slice: number = Infinity;
  /** Bytes that were sent. */
  passed = 0;
  #flip: { at: number; bit: number } | undefined;

  /** Turns a bit of one of the next bytes, the first of which is 0. */
  flipBit(at: number, bit: number): void {
    this.#flip = { at: this.passed + at, bit };
  }

  /** Takes every fault away. */
  heal(): void {
    Object.assign(this, { delay: 0, blackHole: false, slice: Infinity });
    this.#flip = undefined;
  }

  /** @internal What of bytes arrives, and as which messages. */
  carry(sent: ArrayBuffer): ArrayBuffer[] {
    const bytes = new Uint8Array(sent.slice(0));
    const at = (this.#flip?.at ?? Infinity) - this.passed;
    if (this.#flip && at < bytes.length) {
      bytes[at] = (bytes[at] ?? 0) ^ (1 << this.#flip.bit);
      this.#flip = undefined;
    }
    this.passed += bytes.length;
    if (this.blackHole) return [];
    const messages: ArrayBuffer[] = [];
    for (let from = 0; from < bytes.length; from += this.slice) {
      messages.push(bytes.slice(from, from + this.slice).buffer);
    }
    return messages;
  }
}

/** An end of a link, as a client has it. */
class LinkSocket implements Socket {
  readyState = 0;
  readonly bufferedAmount = 0;
  binaryType = "arraybuffer";
  onopen: unknown;
  onmessage: unknown;
  onerror: unknown;
  onclose: unknown;
  readonly side: 0 | 1;
  readonly #link: Link;
  #other: LinkSocket | undefined;
  /** What our client says in hello, which the other one cannot answer: it dialed too. */
  #hello: Said | undefined;

  constructor(link: Link, side: 0 | 1) {
    this.#link = link;
    this.side = side;
    queueMicrotask(() => {
      if (this.readyState === 0) link.dialed(this);
    });
  }

  meet(other: LinkSocket): void {
    this.#other = other;
  }

  opened(): void {
    this.readyState = 1;
    tell(this.onopen, {});
  }

  send(data: ArrayBuffer): void {
    if (this.#hello) this.#carry(data);
    else this.#greet(JSON.parse(decodeText(decodeFrame(new Uint8Array(data)).body)) as Said);
  }

  close(code = 1000, reason = ""): void {
    if (this.readyState < 2) this.#link.closed(this, code, reason);
  }

  ended(code: number, reason: string): void {
    if (this.readyState === 3) return;
    this.readyState = 3;
    queueMicrotask(() => tell(this.onclose, { code, reason }));
  }

  /** Both hellos are answered when both are said, each with what the other can do. */
  #greet(said: Said): void {
    const other = this.#other as LinkSocket;
    this.#hello = said;
    if (!other.#hello) return;
    other.#answer(said);
    this.#answer(other.#hello);
  }

  #answer({ caps, coders, window }: Said): void {
    const limits = { inflight: 1024 };
    const answer = { arpc: 1, caps: caps.filter(isBetweenPeers), coders, window, limits };
    const body = encodeText(JSON.stringify(answer));
    const frame = encodeFrame({ cmd: 2, flag: FLAG_OUTSIDE, method: "arpc.hello", body });
    this.#receive(frame.buffer as ArrayBuffer);
  }

  #carry(data: ArrayBuffer): void {
    const path = this.side === 0 ? this.#link.outward : this.#link.inward;
    const { delay } = path;
    const other = this.#other as LinkSocket;
    for (const message of path.carry(data)) {
      if (delay > 0) setTimeout(() => other.#receive(message), delay);
      else queueMicrotask(() => other.#receive(message));
    }
  }

  #receive(data: ArrayBuffer): void {
    if (this.readyState === 1) tell(this.onmessage, { data });
  }
}

/** What a hello says, of what matters between two clients. */
interface Said {
  readonly caps: readonly string[];
  readonly coders: readonly string[];
  readonly window: number;
}

/** Topics are a server's, and goaway and sessions too. */
function isBetweenPeers(capability: string): boolean {
  return !["topics", "goaway", "resume"].includes(capability);
}

function tell(handler: unknown, event: unknown): void {
  if (typeof handler === "function") handler(event);
}
