import type { Conn } from "./conn.ts";
import { type Carried, type Frame, type Kind, kindOf } from "./wire.ts";

/** A request or a notify of the peer, from its arrival until it is handled. */
export interface Job {
  /** Its body is copied if it has to wait, and dropped when it is decoded. */
  readonly frame: Frame;
  readonly conn: Conn;
  readonly isNotify: boolean;
  /** Why the handler works in vain. */
  ended?: Error;
  /** Made when the signal is first asked for: most handlers never do. */
  abort?: AbortController;
}

/** A request or a notify of the peer, as handlers and middleware see it. */
export interface Context<Request = unknown> {
  /** What the peer called it by. */
  readonly method: string;
  /** What the peer sent. Bytes are the handler's own. */
  readonly body: Request;
  /** What the peer said the body is; 0 if it did not say. */
  readonly kind: Kind;
  /** What the coders of the peer sent along, such as the caller's `trace`. */
  readonly carried: Readonly<Carried>;
  /** Whether nobody waits for a reply. */
  readonly isNotify: boolean;
  /**
   * What the peer will get: the handler's return value; middleware may replace it after `next()`.
   * undefined is an empty answer.
   */
  reply: unknown;
  /**
   * Aborted when nobody waits for the reply any more: the peer gave the call up (the reason is an
   * ArpcError `canceled`), or the connection the message came by is gone, and its session too
   * (`unavailable`).
   */
  readonly signal: AbortSignal;
}

/** What the handlers of a job get. */
export function contextOf(job: Job, body: unknown): Context {
  const { frame, isNotify } = job;
  return {
    method: frame.method,
    body,
    kind: kindOf(frame.flag),
    carried: frame.carried ?? {},
    isNotify,
    reply: undefined,
    get signal() {
      job.abort ??= new AbortController();
      if (job.ended) job.abort.abort(job.ended);
      return job.abort.signal;
    },
  };
}

/** Nobody waits for a job any more. */
export function endJob(job: Job, reason: Error): void {
  job.ended ??= reason;
  job.abort?.abort(reason);
}
