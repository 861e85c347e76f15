/**
 * The arpc frame: a 16-byte little-endian header, then the method, then the body. Pure bytes: no
 * I/O, no timer, no import.
 *
 *     bodyLen u32 (method + body) | reserved u8 | cmd u8 | flag u8 | methodLen u8 | seq u64
 */

/** Bytes of a frame's header. */
export const HEADER_LENGTH = 16;
/** How many bytes longer than the limit a frame may be that went through coders. */
export const MAX_CODED_EXTRA = 256;
/** Most bytes of UTF-8 a method may have. */
export const MAX_METHOD_LENGTH = 127;

/** Most methods whose bytes are kept. */
const MAX_NAMES = 256;

/** Commands: the low six bits of the header's cmd byte ({@link CMD_MASK}). */
export const CMD_REQUEST = 1;
export const CMD_RESPONSE = 2;
export const CMD_NOTIFY = 3;
export const CMD_PING = 4;
export const CMD_PONG = 5;
export const CMD_STREAM = 6;
export const CMD_CANCEL = 7;
export const CMD_CREDIT = 8;
export const CMD_CONFIRM = 9;
/** The bits of cmd that hold the command; the two above them belong to streams. */
export const CMD_MASK = 0x3f;
/** Bit of cmd: the last frame of its direction of a stream. */
export const STREAM_END = 0x40;
/** Bit of cmd: the sender opened the stream. */
export const STREAM_OPENER = 0x80;

/** Flag: the body is an error. */
export const FLAG_ERROR = 0x01;
/** Flag: an asynchronous call; the responder copies it. */
export const FLAG_ASYNC = 0x02;
/** Flag, only with {@link FLAG_ERROR}: the error is structured. */
export const FLAG_STRUCTURED = 0x04;
/** Flag: a frame of the protocol itself, which no session counts. */
export const FLAG_OUTSIDE = 0x08;
/** How far the kind of the body is shifted in the flag byte (two bits). */
export const KIND_SHIFT = 4;
/** The bits of the kind in the flag byte. */
export const KIND_MASK = 0x30;

/** What a body is: 0 unknown, 1 text, 2 bytes, 3 a value of the codec. */
export type Kind = 0 | 1 | 2 | 3;
export const KIND_UNKNOWN = 0;
export const KIND_TEXT = 1;
export const KIND_BYTES = 2;
export const KIND_VALUE = 3;

/** What coders found in a frame for its handler, by name. */
export interface Carried {
  /** The caller's `traceparent`, if the coder `trace` took one from the frame. */
  trace?: string;
  [name: string]: unknown;
}

/**
 * One frame. A decoded frame's `body` is a view of the bytes it came in: copy it to keep it, drop
 * it to let those go.
 */
export interface Frame {
  /** The whole cmd byte. */
  readonly cmd: number;
  /** The whole flag byte. */
  readonly flag: number;
  /** At most 127 bytes of UTF-8. */
  readonly method: string;
  /** An unsigned 64-bit number: echoed, never rounded. */
  readonly seq: bigint;
  /** What is behind the method. */
  body: Uint8Array;
  /**
   * The bits of the coders that transformed it, if any did: then `body` is the frame as it came, and
   * nothing else means anything.
   */
  readonly coders?: number;
  /** What its coders found in it. */
  carried?: Readonly<Carried>;
}

/** A frame to be sent: what is left out is zero or empty. */
export type FrameInit = Pick<Frame, "cmd"> & Partial<Frame>;

/** The rule a frame broke. The values are the same in every language. */
export type FrameReason =
  | "body_too_long"
  | "method_too_long"
  | "method_overrun"
  | "method_missing"
  | "method_unexpected"
  | "method_not_utf8"
  | "stream_zero"
  | "flags_invalid"
  | "coder_unknown"
  | "truncated";

/** Bytes that are no frame: the only error this file throws. */
export class FrameError extends Error {
  declare readonly reason: FrameReason;

  constructor(reason: FrameReason) {
    super(`bad frame: ${reason}`);
    this.reason = reason;
  }
}

/** No bytes at all. */
export const EMPTY: Uint8Array = new Uint8Array(0);

// Made at first use: importing this file must touch no global.
let encoder: TextEncoder | undefined;
let decoder: TextDecoder | undefined;
let strictDecoder: TextDecoder | undefined;

/** The UTF-8 bytes of a string; a lone surrogate becomes U+FFFD. */
export function encodeText(text: string): Uint8Array {
  encoder ??= new TextEncoder();
  return encoder.encode(text);
}

/** The string of UTF-8 bytes; a leading BOM is kept, bad bytes become U+FFFD. */
export function decodeText(bytes: Uint8Array): string {
  decoder ??= new TextDecoder("utf-8", { ignoreBOM: true });
  return decoder.decode(bytes);
}

/** The kind in a flag byte. */
export function kindOf(flag: number): Kind {
  return ((flag & KIND_MASK) >> KIND_SHIFT) as Kind;
}

/**
 * Encodes a frame into bytes of its own: nothing of `frame` is retained.
 * @throws FrameError when the method does not fit the command.
 */
export function encodeFrame({
  cmd,
  flag = 0,
  method = "",
  seq = 0n,
  body = EMPTY,
}: FrameInit): Uint8Array {
  const name = encodeName(method);
  const length = name.length + body.length;
  checkMethod(cmd, name.length, length);
  const bytes = new Uint8Array(HEADER_LENGTH + length);
  const header = new DataView(bytes.buffer);
  header.setUint32(0, length, true);
  header.setUint32(4, (cmd << 8) | (flag << 16) | (name.length << 24), true);
  header.setBigUint64(8, seq, true);
  bytes.set(name, HEADER_LENGTH);
  bytes.set(body, HEADER_LENGTH + name.length);
  return bytes;
}

const names = new Map<string, Uint8Array>();

/** The bytes of a method, kept: encoding them again takes as long as all the rest of a frame. */
function encodeName(method: string): Uint8Array {
  let name = names.get(method);
  if (!name) {
    // The peer has a say in it: its methods come back in answers.
    if (names.size >= MAX_NAMES) names.clear();
    name = encodeText(method);
    names.set(method, name);
  }
  return name;
}

/** Whether a frame with this cmd byte is a ping or a pong, which differ in the lowest bit. */
export function isSign(cmd = 0): boolean {
  return (cmd & CMD_MASK & ~1) === CMD_PING;
}

/** Clears and sets bits of the flag byte of an encoded frame. */
export function amendFlag(frame: Uint8Array, cleared: number, set: number): void {
  frame[6] = ((frame[6] as number) & ~cleared) | set;
}

/** Whether each command has a method (1), or none (0); those that are not listed may. */
const HAS_METHOD = "?111001000";

function checkMethod(cmd: number, methodLength: number, bodyLength: number): void {
  if (methodLength > MAX_METHOD_LENGTH) throw new FrameError("method_too_long");
  if (methodLength > bodyLength) throw new FrameError("method_overrun");
  const has = HAS_METHOD[cmd & CMD_MASK];
  if (has === "0" && methodLength > 0) throw new FrameError("method_unexpected");
  if (has === "1" && methodLength === 0) throw new FrameError("method_missing");
}

function decodeMethod(bytes: Uint8Array): string {
  strictDecoder ??= new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
  try {
    return strictDecoder.decode(bytes);
  } catch {
    throw new FrameError("method_not_utf8");
  }
}

/**
 * Cuts a byte stream, given in any split, into frames. What it holds is at most twice what arrived
 * and was not read yet, whatever a header claims; a chunk of whole frames is never copied.
 */
export interface FrameDecoder {
  /** Takes the next bytes of the stream. They are retained, not copied: do not change them. */
  push(chunk: Uint8Array): void;
  /**
   * The next whole frame, or undefined when more bytes are needed. Each frame consumes at least
   * {@link HEADER_LENGTH} bytes.
   * @param coders the bits of the coders whose frames are taken.
   * @throws FrameError on bytes that are no frame, and the same ever after.
   */
  next(coders?: number): Frame | undefined;
  /** How many bytes are held that were not read. */
  unread(): number;
}

/** @param limit most bytes a frame may have after its header (method and body). */
export function frameDecoder(limit: number): FrameDecoder {
  // The unread bytes are buffer[start, end). Frames handed out lie before start, so appending at
  // end never changes them.
  let buffer = EMPTY;
  let start = 0;
  let end = 0;
  const unread = (): number => end - start;
  const push = (chunk: Uint8Array): void => {
    const length = unread();
    if (length > 0 && end + chunk.length <= buffer.length) {
      buffer.set(chunk, end);
      end += chunk.length;
      return;
    }
    // Doubling: linear in what arrived.
    buffer =
      length > 0
        ? concat(buffer.subarray(start, end), chunk, new Uint8Array(length + chunk.length))
        : chunk;
    start = 0;
    end = length + chunk.length;
  };

  const next = (allowed = 0): Frame | undefined => {
    const from = start + HEADER_LENGTH;
    if (end < from) return undefined;
    const view = new DataView(buffer.buffer, buffer.byteOffset + start);
    const length = view.getUint32(0, true);
    const coders = view.getUint8(4);
    const cmd = view.getUint8(5);
    const flag = view.getUint8(6);
    const methodLength = view.getUint8(7);
    const seq = view.getBigUint64(8, true);
    // What coders add does not count: once decoded a frame is held to the limit again.
    if (length > limit + (coders & allowed ? MAX_CODED_EXTRA : 0)) {
      throw new FrameError("body_too_long");
    }
    if (coders & ~allowed) throw new FrameError("coder_unknown");
    const to = from + length;
    // Of a coded frame only the length can be trusted.
    if (coders) {
      if (end < to) return undefined;
      const body = buffer.subarray(start, to);
      start = to;
      return { coders, cmd: 0, flag: 0, method: "", seq: 0n, body };
    }
    checkMethod(cmd, methodLength, length);
    if ((cmd & CMD_MASK) === CMD_STREAM && !seq) throw new FrameError("stream_zero");
    if ((flag & (FLAG_STRUCTURED | FLAG_ERROR)) === FLAG_STRUCTURED) {
      throw new FrameError("flags_invalid");
    }
    if (end < to) return undefined;
    const bodyFrom = from + methodLength;
    const method = decodeMethod(buffer.subarray(from, bodyFrom));
    start = to;
    return { cmd, flag, method, seq, body: buffer.subarray(bodyFrom, to) };
  };

  return { push, next, unread };
}

/**
 * Decodes bytes that are one whole frame.
 * @throws FrameError `truncated` when they are more or fewer, else as the decoder does.
 */
export function decodeFrame(bytes: Uint8Array, limit: number = Infinity): Frame {
  const decoder = frameDecoder(limit);
  decoder.push(bytes);
  const frame = decoder.next();
  if (frame && decoder.unread() === 0) return frame;
  throw new FrameError("truncated");
}

/** Bytes one behind the other, as bytes of their own. */
export function concat(...parts: Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(parts.reduce((length, part) => length + part.length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}
