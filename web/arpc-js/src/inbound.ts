import { decodeBody, encodeBody } from "./codec.ts";
import type { Conn } from "./conn.ts";
import { contextOf, endJob, type Job } from "./context.ts";
import type { Engine } from "./engine.ts";
import { ArpcError, isArpcError } from "./errors.ts";
import { isPromise, type Router } from "./handler.ts";
import { MAX_RUNNING, MAX_WAITING, MAX_WAITING_BYTES } from "./limits.ts";
import { CLOSE_OVERRUN } from "./socket.ts";
import { encodeRefusal, tooBig } from "./structured.ts";
import {
  CMD_MASK,
  CMD_NOTIFY,
  CMD_RESPONSE,
  EMPTY,
  encodeFrame,
  FLAG_ASYNC,
  type Frame,
  KIND_SHIFT,
  kindOf,
} from "./wire.ts";

/** Messages that wait for those before them. */
interface Lane {
  readonly waiting: Job[];
  running: number;
  /** How many may run. */
  bound(): number;
}

/** What the peer asks of us: requests run concurrently, notifies one after the other. */
export interface Inbound {
  /** Takes a request, which is answered once, or a notify. */
  receive(frame: Frame, conn: Conn): void;
  /** The caller gave a request up. It is answered all the same. */
  cancel(seq: bigint): void;
  /**
   * The connection is gone, and no session goes on: nobody is there to be answered. What it was
   * notified of still runs, unless it was the last.
   */
  lost(reason: ArpcError, isFinal: boolean): void;
}

/** Makes what runs the handlers of a client. */
export function createInbound(engine: Engine, router: Router): Inbound {
  const { jobs, report, settings } = engine;
  const notifies: Lane = { waiting: [], running: 0, bound: () => 1 };
  const requests: Lane = {
    waiting: [],
    running: 0,
    // One that waits for the peer does not run, and if it counted, two peers whose handlers all
    // call back would wait for each other for ever. Which handlers wait is not known; how many
    // calls do is.
    bound: () => MAX_RUNNING + Math.min(engine.unanswered, 3 * MAX_RUNNING),
  };
  let waitingBytes = 0;

  const enqueue = (job: Job, { waiting }: Lane): boolean => {
    const { frame } = job;
    const { length } = frame.body;
    const count = requests.waiting.length + notifies.waiting.length;
    if (count >= MAX_WAITING || waitingBytes + length > MAX_WAITING_BYTES) return false;
    frame.body = frame.body.slice();
    waitingBytes += length;
    waiting.push(job);
    return true;
  };
  const take = ({ waiting }: Lane): Job | undefined => {
    const job = waiting.shift();
    waitingBytes -= job?.frame.body.length ?? 0;
    return job;
  };

  /** Handles a message, and then those that waited for it to end. Never rejects. */
  const work = async (first: Job | undefined, lane: Lane): Promise<void> => {
    lane.running++;
    for (let job = first; job; job = lane.running > lane.bound() ? undefined : take(lane)) {
      let isHandled = false;
      try {
        const ctx = open(job);
        const done = ctx && router.find(ctx.method)?.run(ctx);
        // Awaited only if there is something to wait for: the work stays in the reader's turn.
        if (isPromise(done)) await done;
        isHandled = true;
        if (!job.isNotify) reply(job, ctx?.reply);
      } catch (cause) {
        // A reply without an encoding is the fault of this end, and none that a handler chose to tell.
        refuse(job, isHandled ? new Error("the reply has no encoding", { cause }) : cause);
      }
      jobs.delete(job);
      engine.progress();
    }
    lane.running--;
  };
  /** What the handler of a message is given; undefined for a notify that has none. */
  const open = (job: Job): ReturnType<typeof contextOf> | undefined => {
    const { isNotify, ended, frame } = job;
    const route = router.find(frame.method);
    // Canceled while it waited.
    if (ended && !isNotify) throw ended;
    if (!route) {
      if (isNotify) return undefined;
      throw new ArpcError("not_found", "method not found");
    }
    const body = decodeBody(frame.body, kindOf(frame.flag), settings.codec, route.as);
    frame.body = EMPTY;
    return contextOf(job, body);
  };

  const reply = (job: Job, value: unknown): void => {
    const { kind, bytes: body } = encodeBody(value, settings.codec);
    const { method, seq, flag: asked } = job.frame;
    const flag = (asked & FLAG_ASYNC) | (kind << KIND_SHIFT);
    send(job, encodeFrame({ cmd: CMD_RESPONSE, flag, method, seq, body }));
  };
  /** Answers with what a handler threw, as the peer may see it: an ArpcError and no other. */
  const refuse = (job: Job, error: unknown): void => {
    const isDeliberate = isArpcError(error);
    if (job.isNotify || !isDeliberate) report(error);
    if (job.isNotify) return;
    const refusal = isDeliberate ? error : new ArpcError("internal", "internal error");
    send(job, encodeRefusal(job.conn, job.frame, refusal));
  };
  /** Sends the answer, or why not if it is more than the connection takes. */
  const send = ({ conn, frame }: Job, answer: Uint8Array): void => {
    const refusal = tooBig(answer, conn.maxBytes, "answer");
    if (refusal) report(refusal);
    conn.transmit(refusal ? encodeRefusal(conn, frame, refusal) : answer);
  };

  engine.resume = () => {
    while (requests.waiting.length > 0 && requests.running < requests.bound()) {
      void work(take(requests), requests);
    }
  };
  return {
    receive(frame, conn) {
      const isNotify = (frame.cmd & CMD_MASK) === CMD_NOTIFY;
      const job: Job = { frame, conn, isNotify };
      const lane = isNotify ? notifies : requests;
      const mayRun = lane.running < lane.bound();
      if (!mayRun && !enqueue(job, lane)) {
        const overrun = new ArpcError("resource_exhausted", "inbound queue full");
        // A notify would be lost in silence.
        if (isNotify) conn.hangUp(CLOSE_OVERRUN, overrun);
        else refuse(job, overrun);
        return;
      }
      jobs.add(job);
      engine.progress();
      if (mayRun) void work(job, lane);
    },
    cancel(seq) {
      for (const job of jobs) {
        if (job.frame.seq === seq && !job.isNotify) {
          endJob(job, new ArpcError("canceled", "canceled by the caller"));
        }
      }
    },
    lost(reason, isFinal) {
      for (const job of jobs) endJob(job, reason);
      jobs.clear();
      while (take(requests));
      while (isFinal && take(notifies));
    },
  };
}
