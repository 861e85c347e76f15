import type { Conn } from "./conn.ts";
import { CMD_MASK, CMD_NOTIFY, type Frame, type Kind, kindOf } from "./wire.ts";

/** A request or a notify of the peer, from its arrival until it is handled. */
export class Job {
  /** Its body is copied if it has to wait, and dropped when it is decoded. */
  readonly frame: Frame;
  readonly conn: Conn;
  readonly isNotify: boolean;
  /** Why the handler works in vain. */
  ended: Error | undefined;
  // Made when it is first asked for: most handlers never do.
  #abort: AbortController | undefined;

  constructor(frame: Frame, conn: Conn) {
    this.frame = frame;
    this.conn = conn;
    this.isNotify = (frame.cmd & CMD_MASK) === CMD_NOTIFY;
  }

  get signal(): AbortSignal {
    this.#abort ??= new AbortController();
    if (this.ended) this.#abort.abort(this.ended);
    return this.#abort.signal;
  }

  end(reason: Error): void {
    this.ended ??= reason;
    this.#abort?.abort(reason);
  }
}

/** A request or a notify of the peer, as handlers and middleware see it. */
export class Context<Request = unknown> {
  /** What the peer called it by. */
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
  readonly #job: Job;

  /** @internal */
  constructor(job: Job, body: Request) {
    this.method = job.frame.method;
    this.body = body;
    this.kind = kindOf(job.frame.flag);
    this.isNotify = job.isNotify;
    this.#job = job;
  }

  /**
   * Aborted when nobody waits for the reply any more: the peer gave the call up (the reason is an
   * ArpcError `canceled`), or the connection the message came by is gone (`unavailable`).
   */
  get signal(): AbortSignal {
    return this.#job.signal;
  }
}
