import { type Codec, decodeBody, emptyPayload, encodeBody, type Payload } from "./codec.ts";
import type { Conn } from "./conn.ts";
import { Context } from "./context.ts";
import { ArpcError, isArpcError } from "./errors.ts";
import { isPromise, type Route, type Router } from "./handler.ts";
import { CLOSE_OVERRUN } from "./socket.ts";
import {
  CMD_RESPONSE,
  encodeFrame,
  encodeText,
  FLAG_ASYNC,
  FLAG_ERROR,
  type Frame,
  HEADER_LENGTH,
  KIND_SHIFT,
  kindOf,
} from "./wire.ts";

/** Most requests of the peer that are worked on at once. */
const MAX_RUNNING = 1024;
/** Most notifies of the peer, and bytes in them, that wait for the one before to be handled. */
const MAX_NOTIFIES = 4096;
const MAX_NOTIFY_BYTES = 4 << 20;

/** What the peer asks of us: requests run concurrently, notifies one after the other. */
export class Inbound {
  readonly #router: Router;
  readonly #codec: Codec;
  readonly #maxBody: number;
  readonly #report: (error: unknown) => void;
  readonly #notifies: Array<{ frame: Frame; conn: Conn }> = [];
  #notifyBytes = 0;
  #notifying = false;
  #running = 0;

  /** @param report takes the errors that must not reach the peer, and those of notifies. */
  constructor(router: Router, codec: Codec, maxBody: number, report: (error: unknown) => void) {
    this.#router = router;
    this.#codec = codec;
    this.#maxBody = maxBody;
    this.#report = report;
  }

  /** Answers a request, once, on the connection it came by. Never rejects. */
  async request(frame: Frame, conn: Conn): Promise<void> {
    if (this.#running >= MAX_RUNNING) {
      conn.send(this.#refusal(frame, new ArpcError("resource_exhausted", "too many requests")));
      return;
    }
    this.#running++;
    let answer: Uint8Array;
    try {
      const route = this.#router.find(frame.method);
      if (!route) throw new ArpcError("not_found", "method not found");
      answer = this.#answer(frame, 0, encodeBody(await this.#run(route, frame, conn), this.#codec));
    } catch (error) {
      answer = this.#refusal(frame, error);
    }
    this.#running--;
    conn.send(answer);
  }

  /** Handles a notify after those before it. One beyond the bound ends the connection. */
  notify(frame: Frame, conn: Conn): void {
    this.#notifyBytes += frame.body.length;
    if (this.#notifies.length >= MAX_NOTIFIES || this.#notifyBytes > MAX_NOTIFY_BYTES) {
      this.clear();
      conn.fail(CLOSE_OVERRUN, new ArpcError("resource_exhausted", "overrun by notifies"));
      return;
    }
    this.#notifies.push({ frame, conn });
    if (!this.#notifying) void this.#handleNotifies();
  }

  /** Drops the notifies that were not begun. */
  clear(): void {
    this.#notifies.length = 0;
    this.#notifyBytes = 0;
  }

  async #handleNotifies(): Promise<void> {
    this.#notifying = true;
    for (let next = this.#notifies.shift(); next; next = this.#notifies.shift()) {
      const { frame, conn } = next;
      this.#notifyBytes -= frame.body.length;
      const route = this.#router.find(frame.method);
      try {
        const done = route && this.#run(route, frame, conn);
        // Awaited only if there is something to wait for: the work stays in the reader's turn.
        if (isPromise(done)) await done;
      } catch (error) {
        this.#report(error);
      }
    }
    this.#notifying = false;
  }

  /** The handler's reply, without a promise if the chain has none. */
  #run(route: Route, frame: Frame, conn: Conn): unknown {
    const body = decodeBody(frame.body, kindOf(frame.flag), this.#codec, route.as);
    const ctx = new Context(frame, body, conn);
    const done = route.run(ctx);
    return isPromise(done) ? done.then(() => ctx.reply) : ctx.reply;
  }

  /** What a handler threw, as the peer may see it: the text of an ArpcError and of no other. */
  #refusal(frame: Frame, error: unknown): Uint8Array {
    const isDeliberate = isArpcError(error);
    if (!isDeliberate) this.#report(error);
    const message = isDeliberate ? error.message : "internal error";
    const payload = { ...emptyPayload, bytes: encodeText(message) };
    return this.#answer(frame, FLAG_ERROR, payload);
  }

  #answer({ flag, method, seq }: Frame, error: number, { kind, bytes }: Payload): Uint8Array {
    const flags = error | (flag & FLAG_ASYNC) | (kind << KIND_SHIFT);
    const frame = { cmd: CMD_RESPONSE, flag: flags, method, seq, body: bytes };
    const encoded = encodeFrame(frame);
    if (encoded.length - HEADER_LENGTH <= this.#maxBody) return encoded;
    const reason = `reply over ${this.#maxBody} bytes`;
    this.#report(new ArpcError("resource_exhausted", reason));
    return encodeFrame({
      ...frame,
      flag: FLAG_ERROR | (flag & FLAG_ASYNC),
      body: encodeText(reason),
    });
  }
}
