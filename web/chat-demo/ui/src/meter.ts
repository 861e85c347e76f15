/**
 * Looks over the client's shoulder: every frame in and out is counted, the last
 * ones are kept in words. What the live panel shows comes from here.
 */

/** A frame of the protocol, as the client's debug hook tells it. */
export interface Frame {
  readonly cmd: number;
  readonly flag: number;
  readonly method: string;
  readonly seq: bigint;
  readonly body: Uint8Array;
}

/** Which way a frame went. */
export type Direction = "in" | "out";

/** A frame in words. */
export interface FrameNote {
  /** Counts up; no two notes have the same. */
  readonly id: number;
  readonly direction: Direction;
  readonly command: string;
  readonly method: string;
  readonly seq: string;
  /** Bytes on the wire, header included. */
  readonly size: number;
  readonly body: string;
}

/** What has been counted at a moment. */
export interface Reading {
  /** Connections there have been: each begins with a hello. */
  readonly connections: number;
  /** The last time a request took to be answered, in milliseconds; undefined before the first. */
  readonly roundTrip: number | undefined;
  /** Frames of the last seconds, a second. */
  readonly perSecond: Readonly<Record<Direction, number>>;
  /** All bytes so far. */
  readonly bytes: Readonly<Record<Direction, number>>;
  /** The last frames, newest first. */
  readonly frames: readonly FrameNote[];
}

const COMMANDS = [
  "?",
  "request",
  "response",
  "notify",
  "ping",
  "pong",
  "stream",
  "cancel",
  "credit",
  "confirm",
] as const;

// The panel is there to be shown around; this is not: who has it is taken for us.
const SECRET = /("(?:secret|ticket)":")[^"]*/g;

const HELLO = "arpc.hello";
const PUBLICATION = "in_P";
const HEADER = 16;
const MAX_FRAMES = 40;
const MAX_BODY = 160;
const MAX_PENDING = 256;

/** Rates are taken over this many milliseconds. */
const WINDOW = 5000;

/** Counts frames. Times are in milliseconds of one clock, whichever. */
export class Meter {
  readonly #bytes = { in: 0, out: 0 };
  readonly #recent: Array<{ readonly direction: Direction; readonly at: number }> = [];
  readonly #asked = new Map<bigint, number>();
  #frames: readonly FrameNote[] = [];
  #roundTrip: number | undefined;
  #count = 0;
  #connections = 0;

  /** Counts a frame that passed at a moment. */
  record(direction: Direction, frame: Frame, now: number): void {
    const command = COMMANDS[frame.cmd & 0x3f] ?? "?";
    const size = HEADER + byteLength(frame.method) + frame.body.length;
    this.#bytes[direction] += size;
    this.#connections += direction === "out" && frame.method === HELLO ? 1 : 0;
    this.#recent.push({ direction, at: now });
    this.#forget(now);
    this.#time(direction, command, frame.seq, now);
    const note = {
      id: ++this.#count,
      direction,
      command: frame.flag & 1 ? "error" : command,
      ...partsOf(frame),
      seq: String(frame.seq),
      size,
    };
    this.#frames = [note, ...this.#frames.slice(0, MAX_FRAMES - 1)];
  }

  /** What has been counted up to a moment. */
  read(now: number): Reading {
    this.#forget(now);
    const rate = (direction: Direction) =>
      (this.#recent.filter((frame) => frame.direction === direction).length * 1000) / WINDOW;
    return {
      connections: this.#connections,
      roundTrip: this.#roundTrip,
      perSecond: { in: rate("in"), out: rate("out") },
      bytes: { ...this.#bytes },
      frames: this.#frames,
    };
  }

  #time(direction: Direction, command: string, seq: bigint, now: number): void {
    if (direction === "out" && command === "request") {
      // What was never answered is never asked for again.
      if (this.#asked.size >= MAX_PENDING) {
        this.#asked.clear();
      }
      this.#asked.set(seq, now);
      return;
    }
    const asked = this.#asked.get(seq);
    if (direction === "in" && command === "response" && asked !== undefined) {
      this.#asked.delete(seq);
      this.#roundTrip = now - asked;
    }
  }

  #forget(now: number): void {
    const first = this.#recent.findIndex(({ at }) => now - at < WINDOW);
    this.#recent.splice(0, first === -1 ? this.#recent.length : first);
  }
}

function byteLength(text: string): number {
  return new TextEncoder().encode(text).length;
}

// A publication has its topic behind its data: then the name, the name's length
// in two bytes, and the time in eight.
function partsOf({ method, body }: Frame): Pick<FrameNote, "method" | "body"> {
  const end = body.length - 10;
  if (method !== PUBLICATION || end < 0) {
    return { method, body: wordsOf(body) };
  }
  const length = new DataView(body.buffer, body.byteOffset + end).getUint16(0, true);
  const start = Math.max(end - length, 0);
  const topic = wordsOf(body.subarray(start, end));
  return { method: `${method} ${topic}`, body: wordsOf(body.subarray(0, start)) };
}

// Bytes that are no text show as dots, as in a hex viewer.
function wordsOf(body: Uint8Array): string {
  const text = new TextDecoder().decode(body.subarray(0, MAX_BODY));
  const shown = text.replace(/[\p{C}\ufffd]+/gu, "·").replace(SECRET, "$1…");
  return body.length > MAX_BODY ? `${shown}…` : shown;
}
