import type { Payload } from "./codec.ts";
import type { Conn } from "./conn.ts";
import { type Engine, ready, refusal } from "./engine.ts";
import { ArpcError, type ErrorCode } from "./errors.ts";
import type { NotifyResult } from "./options.ts";
import { tooBig } from "./structured.ts";
import { createTimer } from "./timer.ts";
import {
  CMD_NOTIFY,
  CMD_REQUEST,
  encodeFrame,
  FLAG_ASYNC,
  FLAG_OUTSIDE,
  type Frame,
  type FrameError,
  KIND_SHIFT,
} from "./wire.ts";

/** An encoded frame on its way to the peer. */
interface Outgoing {
  readonly bytes: Uint8Array;
  /** The connection the bytes were given to; once there is one, the peer may have them. */
  conn?: Conn;
  /** Whether it is of use on one connection only, even if that one's session has another. */
  readonly isBound?: boolean;
  /** Encodes it anew for a connection that takes another form of it. */
  recode?(conn: Conn): Uint8Array | undefined;
  /** Told when the frame can never be sent, or its answer is not waited for any more. */
  abandon(code: ErrorCode, message: string, cause?: unknown): void;
}

/** A request that waits for its answer, which comes once: the peer's, or an error. */
interface Call extends Outgoing {
  /** When it has waited long enough, by `performance.now()`. */
  readonly deadline: number;
  settle(answer: Frame): void;
}

/** What this end asks and tells the peer. */
export interface Calls {
  /** Sends a notify, now or as soon as it can be. @throws ArpcError when it never can. */
  notify(method: string, payload: Payload): NotifyResult;
  /** Takes an answer. One nobody waits for came too late, or twice. */
  settle(answer: Frame): void;
  /**
   * Fails the calls the peer may have (where their session goes on only those bound to the
   * connection), or all.
   */
  fail(all: boolean, isPaused: boolean, message: string, cause?: unknown): void;
  /** Fails all, and leaves no timer. */
  close(): void;
}

/** Makes the calls of a client. */
export function createCalls(engine: Engine): Calls {
  const { settings, report } = engine;
  const calls = new Map<bigint, Call>();
  // What waits, first in, first out: for a connection, or (calls) for the peer to have fewer.
  const waiting = new Set<Outgoing>();
  let waitingBytes = 0;
  // One timer for all deadlines, set for the nearest. It is not reset when a call is answered: it
  // fires, finds nothing due, and is set for what is the nearest then.
  const timer = createTimer();
  let nearest = Infinity;

  const watch = (deadline: number): void => {
    if (deadline >= nearest) return;
    nearest = deadline;
    timer(deadline - performance.now(), expire);
  };
  const expire = (): void => {
    const now = performance.now();
    nearest = Infinity;
    for (const call of calls.values()) {
      if (call.deadline > now) watch(call.deadline);
      else {
        call.abandon(
          "deadline_exceeded",
          "no answer in time",
          call.conn ? undefined : engine.obstacle,
        );
      }
    }
  };

  const encode = (
    cmd: number,
    flag: number,
    method: string,
    seq: bigint,
    { kind, bytes: body }: Payload,
  ): Uint8Array => {
    let frame: Uint8Array;
    try {
      frame = encodeFrame({ cmd, flag: flag | (kind << KIND_SHIFT), method, seq, body });
    } catch (cause) {
      throw new ArpcError("invalid_argument", (cause as FrameError).message, { cause });
    }
    const error = tooBig(frame, engine.conn?.maxBytes ?? settings.maxBody);
    if (error) throw error;
    return frame;
  };

  const give = (outgoing: Outgoing, conn: Conn): boolean => {
    // It may have been encoded before the peer said what it takes.
    const bytes = outgoing.recode?.(conn) ?? outgoing.bytes;
    const error = tooBig(bytes, conn.maxBytes);
    if (error) {
      outgoing.abandon(error.code, error.message);
      return true;
    }
    if (!conn.transmit(bytes)) return false;
    outgoing.conn = conn;
    if (isCall(outgoing)) {
      engine.unanswered++;
      engine.resume();
    }
    return true;
  };
  /**
   * Sends now; false when it has to wait: for a connection, or because the peer works on as many
   * calls as it wants. As many more as it has open here may be needed to answer those.
   */
  const transmit = (outgoing: Outgoing): boolean => {
    const conn = ready(engine);
    if (!conn) return false;
    const bound = conn.maxCalls + engine.jobs.size;
    return !(isCall(outgoing) && engine.unanswered >= bound) && give(outgoing, conn);
  };
  /** Sends now, or as soon as it can be; false when it would be too much, or in vain. */
  const send = (outgoing: Outgoing): boolean => {
    const { length } = outgoing.bytes;
    if (refusal(engine) || (ready(engine)?.buffered() ?? 0) > settings.maxQueueBytes) return false;
    if (transmit(outgoing)) return true;
    if (waiting.size >= settings.maxQueue || waitingBytes + length > settings.maxQueueBytes)
      return false;
    waiting.add(outgoing);
    waitingBytes += length;
    return true;
  };
  const take = (outgoing: Outgoing): void => {
    if (waiting.delete(outgoing)) waitingBytes -= outgoing.bytes.length;
  };

  engine.flush = (all) => {
    for (const outgoing of waiting) {
      if (transmit(outgoing)) take(outgoing);
      else if (!all) return;
    }
  };
  engine.request = (
    method,
    payload,
    { timeout = settings.timeout, signal, conn, outside, recode, answered },
  ) =>
    new Promise((resolve, reject) => {
      const refused = refusal(engine);
      if (refused && !(conn && engine.state !== "closed")) throw refused;
      const abort = (): void => {
        const { code } = ArpcError.from(signal?.reason);
        const isLate = code === "deadline_exceeded";
        call.abandon(isLate ? code : "canceled", "aborted", signal?.reason);
      };
      const seq = ++engine.lastSeq;
      const end = (): void => {
        signal?.removeEventListener("abort", abort);
        calls.delete(seq);
        if (call.conn) engine.unanswered--;
        take(call);
        engine.progress();
      };
      const call: Call = {
        bytes: encode(CMD_REQUEST, outside ? FLAG_OUTSIDE : 0, method, seq, payload),
        isBound: conn !== undefined,
        deadline: timeout > 0 ? performance.now() + timeout : Infinity,
        recode(conn) {
          const other = recode?.(conn);
          return other && encode(CMD_REQUEST, 0, other[0], seq, other[1]);
        },
        settle(answer) {
          end();
          answered?.(answer);
          resolve(answer);
        },
        abandon(code, message, cause) {
          call.conn?.giveUp(seq);
          end();
          reject(new ArpcError(code, message, { sent: call.conn !== undefined, cause }));
        },
      };
      calls.set(seq, call);
      if (signal?.aborted) {
        abort();
        return;
      }
      signal?.addEventListener("abort", abort);
      watch(call.deadline);
      if (conn) {
        if (!give(call, conn)) call.abandon("unavailable", "connection lost");
      } else if (!send(call)) call.abandon("resource_exhausted", "queue full");
    });

  const fail: Calls["fail"] = (all, isPaused, message, cause) => {
    for (const call of calls.values()) {
      const isLost = call.conn ? !isPaused || call.isBound : all;
      if (isLost) call.abandon("unavailable", message, cause);
    }
  };
  return {
    notify(method, payload) {
      const outgoing: Outgoing = {
        bytes: encode(CMD_NOTIFY, FLAG_ASYNC, method, 0n, payload),
        abandon: (code, message) => report(new ArpcError(code, message)),
      };
      if (!send(outgoing)) return "dropped";
      return outgoing.conn ? "sent" : "queued";
    },
    settle: (answer) => calls.get(answer.seq)?.settle(answer),
    fail,
    close() {
      waiting.clear();
      fail(true, false, "client closed");
      timer();
    },
  };
}

function isCall(outgoing: Outgoing): boolean {
  return (outgoing as Partial<Call>).settle !== undefined;
}
