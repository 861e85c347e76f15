import type { Conn, Pipe } from "./conn.ts";
import type { Engine, Part } from "./engine.ts";
import { ArpcError } from "./errors.ts";
import { positive } from "./hello.ts";
import { createJournal, type Journal } from "./journal.ts";
import { CONFIRM_BYTES, CONFIRM_DELAY, CONFIRM_FRAMES, GIVE_UP, GRACE } from "./limits.ts";
import type { ClientOptions, LossReason } from "./options.ts";
import { encodeRefusal } from "./structured.ts";
import { keepInTab, takeFromTab, toOrphan } from "./tab.ts";
import { createTimer } from "./timer.ts";
import {
  CMD_CONFIRM,
  CMD_MASK,
  CMD_NOTIFY,
  CMD_PING,
  CMD_PONG,
  CMD_REQUEST,
  CMD_RESPONSE,
  CMD_STREAM,
  encodeFrame,
  FLAG_OUTSIDE,
  type Frame,
  HEADER_LENGTH,
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

/** What both ends remember while connections come and go. */
export interface Held {
  /** What the server knows it by. */
  ticket: string;
  /** For how many ms without a connection the server keeps it. */
  grace: number;
  /** Counted frames of the server that were dispatched. */
  received: number;
  /** Our counted frames. */
  readonly journal: Journal;
  /** Streams of the server that are over, or never were. */
  over: Set<bigint>;
}

/** A connection, and its way out through the coders. */
interface Line {
  readonly conn: Conn;
  readonly pipe: Pipe;
  /** Sends a frame that went through them. */
  send(frame: Uint8Array): void;
}

/** Keeps what is under way when a connection is lost, and goes on with it on the next one. */
export function addSession(
  engine: Engine,
  _client: object,
  { session: mode = "memory", maxJournal = 1 << 20 }: SessionOptions,
): Part {
  if (mode === "none") return {};
  const { dispatch, emit, pipe: code } = engine;
  const expiry = createTimer();
  const confirming = createTimer();
  let held = mode === "tab" ? takeFromTab(engine, maxJournal) : undefined;
  // Those the session had, and the newest of them; and the newest of all.
  let conns = new WeakSet<Conn>();
  let line: Line | undefined;
  let dialed: Line | undefined;
  // Whether there is no connection, or one whose hello is not answered.
  let isPaused = false;
  // Whether the server has given it up by now.
  let isLate = false;
  // What the server was told that we have; the bytes in the frames since; what we had a while ago.
  let confirmed = 0;
  let bytes = 0;
  let before = 0;
  // The seq of the last request of the page that was here before.
  const lastOrphan = engine.lastSeq;

  const confirm = (): void => {
    const received = held?.received ?? 0;
    confirmed = received;
    bytes = 0;
    line?.conn.transmit(encodeFrame({ cmd: CMD_CONFIRM, seq: BigInt(received) }));
  };
  /** Confirms when nothing came for a while: an idle session holds nothing, and sends nothing. */
  const confirmLater = (): void => {
    before = held?.received ?? 0;
    confirming(CONFIRM_DELAY, () => {
      if (!held || held.received === confirmed) return;
      if (held.received === before) confirm();
      else confirmLater();
    });
  };
  const count = ({ method, body }: Frame, held: Held): void => {
    if (held.received++ === confirmed) confirmLater();
    bytes += HEADER_LENGTH + method.length + body.length;
    if (held.received - confirmed >= CONFIRM_FRAMES || bytes >= CONFIRM_BYTES) confirm();
  };

  const pause = (grace: number): void => {
    isPaused = true;
    isLate = false;
    confirming();
    expiry(grace + GIVE_UP, () => {
      isLate = true;
      // A connection that is being made may still be in time.
      if (engine.conn) return;
      forget("expired");
      engine.lose();
    });
  };
  const forget = (reason?: LossReason): void => {
    held = undefined;
    isPaused = false;
    expiry();
    confirming();
    if (reason) emit("lost", reason);
  };
  const quit = (reason?: LossReason): void => {
    if (!held) return;
    line?.conn.transmit(
      encodeFrame({ cmd: CMD_NOTIFY, flag: FLAG_OUTSIDE, method: "arpc.goaway" }),
    );
    forget(reason);
  };

  if (code) {
    engine.pipe = (conn, send, take) => {
      const ours = (bytes: Uint8Array, plain: Uint8Array): void => {
        if (conns.has(conn) && isCounted(plain[5], plain[6])) held?.journal.add(bytes);
        send(bytes, plain);
      };
      // What coders were still at when the connection ended was not counted, and comes again.
      const theirs = (frame: Frame): void => {
        if (conn === engine.conn) take(frame);
      };
      const pipe = code(conn, ours, theirs);
      dialed = { conn, pipe, send: (bytes) => send(bytes, bytes) };
      return {
        ...pipe,
        outward(frame) {
          const way = conns.has(conn) && line ? line.pipe : pipe;
          way.outward(frame);
          const command = commandOf(frame[5]);
          const isDue = held && held.received !== confirmed && conn === line?.conn;
          if (isDue && (command === CMD_PING || command === CMD_PONG)) confirm();
        },
      };
    };
  }
  engine.dispatch = (frame, conn) => {
    if (held && conn === line?.conn && isCounted(frame.cmd, frame.flag)) count(frame, held);
    const isOrphan = commandOf(frame.cmd) === CMD_RESPONSE && frame.seq <= lastOrphan;
    if (isOrphan) emit("orphan", toOrphan(engine, frame));
    else dispatch(frame, conn);
  };
  engine.session = {
    isHeld: () => held !== undefined,
    keeps(conn, frame) {
      const [cmd = 0, flag] = frame.subarray(5);
      // What can wait for a connection does, and nobody need think that it left.
      if (!held || !conns.has(conn) || cmd === CMD_REQUEST || cmd === CMD_NOTIFY) return false;
      const mayWait = isPaused && (cmd & ~STREAM_OPENER) === CMD_STREAM;
      const isTooMuch = mayWait && held.journal.bytes + frame.length > maxJournal;
      return !isTooMuch && isCounted(cmd, flag);
    },
    survives() {
      const { obstacle } = engine;
      if (!held) return false;
      if (obstacle?.remote && /^(invalid_arg|failed_pre)/.test(obstacle.code)) forget("unknown");
      else if (isPaused && isLate) forget("expired");
      else if (!isPaused) {
        pause(held.grace);
        if (obstacle) emit("paused", obstacle);
      }
      return held !== undefined;
    },
    quit,
  };

  /** Takes a connection into the session: what the server does not have is sent again, first. */
  const carryOn = (held: Held, next: Line, earlier: Line | undefined): void => {
    const { conn, pipe, send } = next;
    const { buffered } = conn;
    conns.add(conn);
    // A stream may know one of before.
    conn.buffered = () => {
      if (conn === engine.conn) return buffered();
      return line && line.conn !== conn ? line.conn.buffered() : 0;
    };
    conn.over = held.over;
    confirm();
    pipe.behind(earlier?.pipe, () => {
      for (const frame of held.journal.frames) send(frame);
    });
  };

  const hide = (event: Event): void => {
    if ((event as PageTransitionEvent).persisted || !held) return;
    if (mode === "tab") {
      endForPage(engine);
      if (!line?.pipe.leaving() && keepInTab(engine, held)) {
        engine.rest();
        return;
      }
    }
    quit();
  };
  const { addEventListener, removeEventListener } = globalThis as Partial<typeof globalThis>;
  addEventListener?.("pagehide", hide);
  if (held) pause(held.grace);
  return {
    say(said) {
      said.caps.push("resume");
      if (held) said["session"] = { ticket: held.ticket, received: held.received };
    },
    agreed(conn) {
      const { ticket, grace, resumed, received, reason } = conn.helloAnswer ?? {};
      const isGiven = conn.knows("resume") && typeof ticket === "string";
      const earlier = line;
      line = dialed;
      if (held && !(isGiven && resumed && held.journal.confirm(received))) {
        // The server went on with it, and we cannot.
        if (resumed) quit("gap");
        else forget(toReason(reason));
        engine.lose();
      }
      if (!isGiven || !line || (resumed && !held)) return;
      if (!held) {
        conns = new WeakSet();
        confirmed = 0;
        held = { received: 0, journal: createJournal(maxJournal), over: conn.over } as Held;
      }
      held.ticket = ticket;
      held.grace = positive(grace, GRACE);
      carryOn(held, line, earlier);
    },
    greet(conn) {
      if (conn.helloAnswer?.["resumed"] && !held)
        throw new ArpcError("unavailable", "session lost");
      return undefined;
    },
    opened() {
      expiry();
      if (isPaused) emit("resumed");
      isPaused = false;
    },
    take(frame, conn) {
      const isOurs = conn.knows("resume") && commandOf(frame.cmd) === CMD_CONFIRM;
      if (!isOurs || !held) return isOurs;
      const count = Number(frame.seq);
      if (count > held.journal.sent) conn.badFrame(new Error("bad frame: confirm_overrun"));
      else held.journal.confirm(count);
      return true;
    },
    closed() {
      quit();
      removeEventListener?.("pagehide", hide);
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
  const command = commandOf(cmd);
  const isPlain = command === CMD_PING || command === CMD_PONG || command === CMD_CONFIRM;
  return !(isPlain || flag & FLAG_OUTSIDE);
}

function commandOf(cmd = 0): number {
  return cmd & CMD_MASK;
}
