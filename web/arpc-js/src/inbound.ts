import { type Codec, decodeBody, encodeBody, type Payload } from "./codec.ts";
import type { Conn } from "./conn.ts";
import { Context, Job } from "./context.ts";
import { ArpcError, isArpcError } from "./errors.ts";
import { isPromise, type Router } from "./handler.ts";
import { tooBig } from "./outbox.ts";
import { CLOSE_OVERRUN } from "./socket.ts";
import { encodeRefusal } from "./structured.ts";
import {
  CMD_RESPONSE,
  EMPTY,
  encodeFrame,
  FLAG_ASYNC,
  type Frame,
  KIND_SHIFT,
  kindOf,
} from "./wire.ts";

/** Most requests of the peer that are worked on at once. */
const MAX_RUNNING = 1024;
/** Most requests and notifies of the peer, and bytes in them, that wait for their turn. */
const MAX_WAITING = 4096;
const MAX_WAITING_BYTES = 4 << 20;

/** What requests and notifies of the peer need of the client. */
export interface InboundOwner {
  /** Calls of ours the peer may be working on. */
  inflight(): number;
  /** A request or notify arrived, or was handled. */
  changed(): void;
  /** Takes the errors that must not reach the peer, and those of notifies. */
  report(error: unknown): void;
}

/** Messages that wait for those before them. */
interface Lane {
  readonly waiting: Job[];
  running: number;
  /** How many may run. */
  bound(): number;
}

/** What the peer asks of us: requests run concurrently, notifies one after the other. */
export class Inbound {
  readonly #router: Router;
  readonly #codec: Codec;
  readonly #owner: InboundOwner;
  // Those of the present connection that wait or run.
  readonly #open = new Set<Job>();
  readonly #notifies: Lane = { waiting: [], running: 0, bound: () => 1 };
  readonly #requests: Lane = {
    waiting: [],
    running: 0,
    // One that waits for the peer does not run, and if it counted, two peers whose handlers all
    // call back would wait for each other for ever. Which handlers wait is not known; how many
    // calls do is.
    bound: () => MAX_RUNNING + Math.min(this.#owner.inflight(), 3 * MAX_RUNNING),
  };
  #waitingBytes = 0;

  constructor(router: Router, codec: Codec, owner: InboundOwner) {
    this.#router = router;
    this.#codec = codec;
    this.#owner = owner;
  }

  /** How many requests and notifies wait or run. */
  get open(): number {
    return this.#open.size;
  }

  /** Takes a request, which is answered once, or a notify. */
  receive(frame: Frame, conn: Conn): void {
    const job = new Job(frame, conn);
    const lane = job.isNotify ? this.#notifies : this.#requests;
    const mayRun = lane.running < lane.bound();
    if (!mayRun && !this.#enqueue(job, lane)) {
      const overrun = new ArpcError("resource_exhausted", "inbound queue full");
      // A notify would be lost in silence.
      if (job.isNotify) conn.fail(CLOSE_OVERRUN, overrun);
      else this.#refuse(job, overrun);
      return;
    }
    this.#open.add(job);
    this.#owner.changed();
    if (mayRun) void this.#work(job, lane);
  }

  /** Lets requests run that waited for the bound to rise. */
  resume(): void {
    const lane = this.#requests;
    while (lane.waiting.length > 0 && lane.running < lane.bound()) {
      void this.#work(this.#take(lane), lane);
    }
  }

  /** The caller gave a request up. It is answered all the same. */
  cancel(seq: bigint): void {
    for (const job of this.#open) {
      if (job.frame.seq === seq && !job.isNotify) {
        job.end(new ArpcError("canceled", "canceled by the caller"));
      }
    }
  }

  /**
   * The connection is gone: nobody is there to be answered. What it was notified of still runs,
   * unless it was the last.
   */
  lost(reason: ArpcError, isFinal: boolean): void {
    for (const job of this.#open) job.end(reason);
    this.#open.clear();
    while (this.#take(this.#requests));
    while (isFinal && this.#take(this.#notifies));
  }

  #enqueue(job: Job, { waiting }: Lane): boolean {
    const { body } = job.frame;
    const count = this.#requests.waiting.length + this.#notifies.waiting.length;
    if (count >= MAX_WAITING || this.#waitingBytes + body.length > MAX_WAITING_BYTES) {
      return false;
    }
    job.frame.body = body.slice();
    this.#waitingBytes += body.length;
    waiting.push(job);
    return true;
  }

  #take({ waiting }: Lane): Job | undefined {
    const job = waiting.shift();
    this.#waitingBytes -= job?.frame.body.length ?? 0;
    return job;
  }

  /** Handles a message, and then those that waited for it to end. Never rejects. */
  async #work(first: Job | undefined, lane: Lane): Promise<void> {
    lane.running++;
    for (let job = first; job; job = lane.running > lane.bound() ? undefined : this.#take(lane)) {
      const handled = this.#handle(job);
      // Awaited only if there is something to wait for: the work stays in the reader's turn.
      if (isPromise(handled)) await handled;
      this.#open.delete(job);
      this.#owner.changed();
    }
    lane.running--;
  }

  /** Runs the handler and answers: at once, if the handler does. Never throws or rejects. */
  #handle(job: Job): void | PromiseLike<void> {
    const refuse = (error: unknown): void => this.#refuse(job, error);
    try {
      const reply = this.#run(job);
      if (!isPromise(reply)) return this.#reply(job, reply);
      return reply.then((value) => this.#reply(job, value)).then(undefined, refuse);
    } catch (error) {
      refuse(error);
    }
  }

  /** The handler's reply, without a promise if the chain has none. */
  #run(job: Job): unknown {
    const { method, flag, body: bytes } = job.frame;
    const route = this.#router.find(method);
    if (job.isNotify && !route) return undefined;
    // Canceled while it waited.
    if (job.ended && !job.isNotify) throw job.ended;
    if (!route) throw new ArpcError("not_found", "method not found");
    const body = decodeBody(bytes, kindOf(flag), this.#codec, route.as);
    job.frame.body = EMPTY;
    const ctx = new Context(job, body);
    const done = route.run(ctx);
    return isPromise(done) ? done.then(() => ctx.reply) : ctx.reply;
  }

  #reply(job: Job, value: unknown): void {
    if (job.isNotify) return;
    const { kind, bytes: body } = this.#encode(value);
    const { method, seq, flag: asked } = job.frame;
    const flag = (asked & FLAG_ASYNC) | (kind << KIND_SHIFT);
    // Not a spread of the frame: that takes longer than all the rest.
    this.#send(job, encodeFrame({ cmd: CMD_RESPONSE, flag, method, seq, body }));
  }

  #encode(value: unknown): Payload {
    try {
      return encodeBody(value, this.#codec);
    } catch (cause) {
      // The fault of this end, and none that a handler chose to tell.
      throw new Error("the reply cannot be encoded", { cause });
    }
  }

  /** Answers with what a handler threw, as the peer may see it: an ArpcError and no other. */
  #refuse(job: Job, error: unknown): void {
    const isDeliberate = isArpcError(error);
    if (job.isNotify || !isDeliberate) this.#owner.report(error);
    if (job.isNotify) return;
    const refusal = isDeliberate ? error : new ArpcError("internal", "internal error");
    this.#send(job, encodeRefusal(job.frame, refusal, job.conn.has("errors")));
  }

  /** Sends the answer, or why not if it is more than the connection takes. */
  #send(job: Job, answer: Uint8Array): void {
    const { conn, frame } = job;
    const refusal = tooBig(answer, conn.maxBody, "answer");
    if (refusal) this.#owner.report(refusal);
    conn.send(refusal ? encodeRefusal(frame, refusal, conn.has("errors")) : answer);
  }
}
