import type { Conn } from "./conn.ts";
import { CMD_NOTIFY, type Frame, type Kind, kindOf } from "./wire.ts";

/** A request or a notify of the peer, as handlers and middleware see it. */
export class Context<Request = unknown> {
  readonly method: string;
  /** What the peer sent. Bytes are the handler's own. */
  readonly body: Request;
  /** What the peer said the body is; 0 if it did not say. */
  readonly kind: Kind;
  /** Whether nobody waits for a reply. */
  readonly isNotify: boolean;
  /**
   * What the peer will get: the handler's return value; middleware may replace it after `next()`.
   * undefined is an empty answer.
   */
  reply: unknown;
  readonly #conn: Conn;

  /** @internal */
  constructor(frame: Frame, body: Request, conn: Conn) {
    this.method = frame.method;
    this.body = body;
    this.kind = kindOf(frame.flag);
    this.isNotify = frame.cmd === CMD_NOTIFY;
    this.#conn = conn;
  }

  /** Aborted when the connection the message came by is gone: nobody waits for the reply then. */
  get signal(): AbortSignal {
    return this.#conn.signal;
  }
}
