import { decodeObject, type Members } from "./codec.ts";
import { ArpcError } from "./errors.ts";
import { MAX_OPTIONS_LENGTH, MAX_TOPIC_LENGTH } from "./limits.ts";
import { concat, decodeText, encodeText } from "./wire.ts";

/** A publication on the wire: `data, name, nameLen u16, time i64 (ns since 1970)`, little-endian. */
export interface Publication {
  readonly topic: string;
  readonly data: Uint8Array;
  /** Milliseconds since 1970. */
  readonly time: number;
}

/** Bytes behind the name: its length and the time. */
const TAIL_LENGTH = 10;
const NS_PER_MS = 1_000_000n;

/**
 * The bytes of a topic's name.
 * @throws ArpcError `invalid_argument` when there are none, or over {@link MAX_TOPIC_LENGTH}.
 */
export function encodeTopic(topic: string): Uint8Array {
  const name = encodeText(topic);
  if (name.length === 0 || name.length > MAX_TOPIC_LENGTH) {
    throw new ArpcError(
      "invalid_argument",
      `topic of ${name.length} bytes, limit ${MAX_TOPIC_LENGTH}`,
    );
  }
  return name;
}

/**
 * Encodes a publication; subscribe and unsubscribe are one without data.
 * @throws ArpcError `invalid_argument` as {@link encodeTopic}.
 */
export function encodePublication({ topic, data, time }: Publication): Uint8Array {
  const name = encodeTopic(topic);
  const tail = new DataView(new ArrayBuffer(TAIL_LENGTH));
  tail.setUint16(0, name.length, true);
  tail.setBigInt64(2, BigInt(Math.trunc(time)) * NS_PER_MS, true);
  return concat(data, name, new Uint8Array(tail.buffer));
}

/**
 * Decodes a publication; its data is a view of `bytes`.
 * @throws RangeError when the lengths do not fit.
 */
export function decodePublication(bytes: Uint8Array): Publication {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const nameEnd = bytes.length - TAIL_LENGTH;
  // Throws by itself when there is no room for the tail.
  const nameStart = nameEnd - view.getUint16(nameEnd, true);
  if (nameStart < 0) throw new RangeError("too short");
  return {
    topic: decodeText(bytes.subarray(nameStart, nameEnd)),
    data: bytes.subarray(0, nameStart),
    time: Number(view.getBigInt64(nameEnd + 2, true) / NS_PER_MS),
  };
}

/**
 * Encodes data with options: `data, JSON of the options, its length u16`.
 * @throws ArpcError `invalid_argument` when the options are longer than that.
 */
export function encodeWithOptions(data: Uint8Array, options: object): Uint8Array {
  const text = encodeText(JSON.stringify(options));
  if (text.length > MAX_OPTIONS_LENGTH) {
    throw new ArpcError("invalid_argument", `options of ${text.length} bytes`);
  }
  return concat(data, text, Uint8Array.of(text.length, text.length >> 8));
}

/**
 * Decodes data with options; the data is a view of `bytes`.
 * @throws RangeError when the length does not fit.
 */
export function decodeWithOptions(bytes: Uint8Array): [data: Uint8Array, options: Members] {
  const end = bytes.length - 2;
  const [low = 0, high = 0] = bytes.subarray(end);
  const start = end - (high << 8) - low;
  if (end < 0 || start < 0) throw new RangeError("too short");
  return [bytes.subarray(0, start), decodeObject(bytes.subarray(start, end))];
}
