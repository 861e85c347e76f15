import type { Conn, Pipe } from "./conn.ts";
import type { Engine, Part } from "./engine.ts";
import { ArpcError } from "./errors.ts";
import { positive } from "./hello.ts";
import { confirm, type Journal, keep, missing } from "./journal.ts";
import {
  CONFIRM_BYTES,
  CONFIRM_DELAY,
  CONFIRM_FRAMES,
  GIVE_UP,
  GRACE,
  MAX_GRACE,
} from "./limits.ts";
import type { ClientOptions, LossReason } from "./options.ts";
import { encodeRefusal } from "./structured.ts";
import { takeSlot, toOrphan } from "./tab.ts";
import { createTimer } from "./timer.ts";
import {
  CMD_CONFIRM,
  CMD_MASK,
  CMD_NOTIFY,
  CMD_REQUEST,
  CMD_RESPONSE,
  CMD_STREAM,
  EMPTY,
  encodeFrame,
  FLAG_OUTSIDE,
  type Frame,
  type FrameInit,
  HEADER_LENGTH,
  isSign,
  STREAM_OPENER,
} from "./wire.ts";

/** Settings of what outlives a connection. */
export interface SessionOptions extends ClientOptions {
  /**
   * What goes on when a connection is lost and the server has one for us again: calls, handlers,
   * notifies and streams, in `memory`; in this `tab`, after a reload of the page too; or `none`,
   * and what was sent fails with the connection. @default "memory"
   */
  readonly session?: "memory" | "tab" | "none";
  /**
   * Most bytes of frames that are kept until the server has them; if more were under way when a
   * connection is lost, the session is too. @default 1_048_576
   */
  readonly maxJournal?: number;
}

/** What both ends remember while connections come and go; the journal is of our frames. */
export interface Held extends Journal {
  /** What the server knows it by. */
  ticket: string;
  /** For how many ms without a connection the server keeps it. */
  grace: number;
  /** Counted frames of the server that were dispatched. */
  received: number;
  /** Streams of the server that are over, or never were. */
  readonly over: Set<bigint>;
}

/** A connection, and its way out. */
interface Line {
  readonly conn: Conn;
  /** The way through the coders. */
  readonly pipe: Pipe;
  /** The way behind them. */
  readonly send: (frame: Uint8Array, plain: Uint8Array) => void;
}

/** Keeps what is under way when a connection is lost, and goes on with it on the next one. */
export function addSession(
  engine: Engine,
  _client: object,
  { session: mode = "memory" }: SessionOptions,
): Part {
  if (mode === "none") return {};
  const { dispatch, emit, pipe: code } = engine;
  const expiry = createTimer();
  const idle = createTimer();
  const slot = mode === "tab" ? takeSlot(engine) : undefined;
  let held = slot?.held;
  // The newest connection it had, and the newest of all.
  let line: Line | undefined;
  let dialed: Line | undefined;
  // Whether it waits for a connection.
  let isPaused = false;
  // How much of what was received the server was told of, and the bytes in the rest.
  let told = 0;
  let untold = 0;
  // The seq of the last request of the page that was here before.
  const lastOrphan = engine.lastSeq;

  /** Whether it had a connection: what they remember of streams is the session's. */
  const has = ({ over }: Conn): boolean => over === held?.over;
  const tell = (frame: FrameInit): void => void line?.conn.transmit(encodeFrame(frame));
  const tellReceived = ({ received }: Held): void => {
    told = received;
    untold = 0;
    tell({ cmd: CMD_CONFIRM, seq: BigInt(received) });
  };
  /** Tells it when nothing came for a while: then an idle session holds nothing, and sends nothing. */
  const tellWhenIdle = (received: number): void =>
    idle(CONFIRM_DELAY, () => {
      if (!held || held.received === told) return;
      if (held.received === received) tellReceived(held);
      else tellWhenIdle(held.received);
    });
  const count = ({ method, body }: Frame, held: Held): void => {
    if (held.received++ === told) tellWhenIdle(held.received);
    untold += HEADER_LENGTH + method.length + body.length;
    if (held.received - told >= CONFIRM_FRAMES || untold >= CONFIRM_BYTES) tellReceived(held);
  };

  const pause = ({ grace }: Held): void => {
    isPaused = true;
    idle();
    expiry(grace + GIVE_UP, () => {
      forget("expired");
      engine.lose();
    });
  };
  const forget = (reason?: LossReason): void => {
    held = undefined;
    isPaused = false;
    expiry();
    idle();
    if (reason) emit("lost", reason);
  };
  const quit = (reason?: LossReason): void => {
    if (!held) return;
    tell({ cmd: CMD_NOTIFY, flag: FLAG_OUTSIDE, method: "arpc.goaway" });
    forget(reason);
  };

  if (code) {
    engine.pipe = (conn, send, take) => {
      const ours: Line["send"] = (frame, plain) => {
        if (held && has(conn) && isCounted(plain[5], plain[6])) {
          keep(held, frame, engine.settings.maxJournal);
        }
        send(frame, plain);
      };
      // What coders were still at when the connection ended was not counted, and comes again.
      const theirs = (frame: Frame): void => {
        if (conn === engine.conn) take(frame);
      };
      const pipe = code(conn, ours, theirs);
      dialed = { conn, pipe, send };
      return {
        ...pipe,
        outward(frame) {
          const way = line && has(conn) ? line.pipe : pipe;
          way.outward(frame);
          if (isSign(frame[5]) && held && conn === line?.conn && held.received > told)
            tellReceived(held);
        },
      };
    };
  }
  engine.dispatch = (frame, conn) => {
    const { cmd, flag, seq } = frame;
    const command = cmd & CMD_MASK;
    const isOurs = conn === line?.conn;
    if (isOurs && held && isCounted(cmd, flag)) count(frame, held);
    if (isOurs && held && command === CMD_CONFIRM) {
      if (seq > held.gone + held.sent.length)
        conn.badFrame(new Error("bad frame: confirm_overrun"));
      else confirm(held, Number(seq));
    } else if (command === CMD_RESPONSE && seq <= lastOrphan) {
      emit("orphan", toOrphan(engine, frame));
    } else dispatch(frame, conn);
  };
  engine.session = {
    isHeld: () => !!held,
    keeps(conn, frame) {
      const [, , , , , cmd = 0, flag] = frame;
      // What can wait for a connection does, and nobody need think that it left.
      if (!held || !has(conn) || cmd === CMD_REQUEST || cmd === CMD_NOTIFY) return false;
      const mayWait = isPaused && (cmd & ~STREAM_OPENER) === CMD_STREAM;
      if (mayWait && held.tail - held.head + frame.length > engine.settings.maxJournal)
        return false;
      return isCounted(cmd, flag);
    },
    survives() {
      const { obstacle } = engine;
      if (obstacle?.remote && /^(invalid_arg|failed_pre)/.test(obstacle.code)) {
        if (held) forget("unknown");
      } else if (held && !isPaused) {
        pause(held);
        if (obstacle) emit("paused", obstacle);
      }
      return !!held;
    },
    quit,
    left() {
      if (held && slot) {
        endForPage(engine);
        if (slot.leave(line?.pipe.leaving() === undefined ? held : undefined)) {
          return engine.rest();
        }
      }
      quit();
    },
  };
  if (held) pause(held);
  return {
    say(said) {
      said.caps.push("resume");
      if (held) said["session"] = { ticket: held.ticket, received: held.received };
    },
    agreed(conn) {
      const { ticket, grace, resumed, received, reason } = conn.helloAnswer ?? {};
      const isGiven = conn.knows("resume") && typeof ticket === "string";
      const earlier = line?.pipe;
      line = dialed;
      if (held && !(isGiven && resumed && confirm(held, received))) {
        // The server goes on with it, and we cannot.
        if (resumed) quit("gap");
        else forget(toReason(reason));
        engine.lose();
      }
      if (!isGiven || !line || (resumed && !held)) return;
      const { over } = conn;
      const none = { sent: [], memory: EMPTY, head: 0, tail: 0, gone: 0, received: 0 };
      held ??= { ...none, grace: 0, ticket, over };
      const { pipe, send } = line;
      const journal = Object.assign(held, { ticket, grace: positive(grace, GRACE, MAX_GRACE) });
      conn.over = held.over;
      tellReceived(held);
      // What the server does not have comes before anything new.
      pipe.behind(earlier, () => {
        for (const frame of missing(journal)) send(frame, frame);
      });
    },
    greet(conn) {
      const isInVain = !held && conn.helloAnswer?.["resumed"];
      if (isInVain) throw new ArpcError("unavailable", "session lost");
      return undefined;
    },
    opened() {
      expiry();
      if (isPaused) emit("resumed");
      isPaused = false;
    },
    closed() {
      quit();
      slot?.leave();
    },
  };
}

/** Answers what the page will not: those who asked wait for it. */
function endForPage({ jobs, parts }: Engine): void {
  const error = new ArpcError("unavailable", "page left");
  for (const part of parts) part.left?.();
  for (const { conn, frame, isNotify } of jobs) {
    if (!isNotify) conn.transmit(encodeRefusal(conn, frame, error));
  }
}

function toReason(reason: unknown): LossReason {
  return reason === "expired" || reason === "gap" || reason === "identity" ? reason : "unknown";
}

/** Whether a frame is one of the session, which both ends count. */
function isCounted(cmd = 0, flag = 0): boolean {
  return !(isSign(cmd) || (cmd & CMD_MASK) === CMD_CONFIRM || flag & FLAG_OUTSIDE);
}
