/**
 * The trace of a caller, a `traceparent` as the W3C has it, at the end of the body of requests and
 * notifies, byte for byte as the Go package `coder/trace`.
 *
 *     client.useCoder(trace({ current: () => tracer.traceparent() }));
 *     client.handle("/work", ({ body, carried }) => work(body, carried.trace));
 *
 * @module
 */

import type { Coder } from "./coder.ts";
import {
  CMD_MASK,
  CMD_NOTIFY,
  CMD_REQUEST,
  decodeText,
  encodeText,
  FrameError,
  HEADER_LENGTH,
} from "./wire.ts";

const BIT = 0x01;
const NAME = "traceparent";
/** The length of all that is added, at its end. */
const TAIL = 2;
const TRACEPARENT = /^00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$/;

/** Where traces come from and go to. */
export interface TraceOptions {
  /**
   * The `traceparent` of what is being sent, undefined if it has none. It is asked when a frame is
   * encoded: while `call` or `notify` runs if there is a connection, and later otherwise.
   */
  readonly current?: () => string | undefined;
  /**
   * Takes the `traceparent` of a request or notify of the peer, and its method, before its handler,
   * which has it as `ctx.carried.trace`.
   */
  readonly received?: (traceparent: string, method: string) => void;
}

/**
 * Makes a coder that carries traces, towards servers that have it too: another would take them for
 * a part of the body. Give it to `client.useCoder`, in front of `gzip` and `aead`.
 */
export function trace({ current, received }: TraceOptions): Coder {
  return {
    name: "trace",
    bit: BIT,
    agreedOnly: true,
    encode(frame): Uint8Array {
      const command = (frame[5] ?? 0) & CMD_MASK;
      if (command !== CMD_REQUEST && command !== CMD_NOTIFY) return frame;
      const parent = current?.();
      if (!parent || !TRACEPARENT.test(parent)) return frame;
      const text = encodeText(NAME + parent);
      const coded = resized(frame, frame.length + text.length + TAIL, BIT);
      coded.set(text, frame.length);
      new DataView(coded.buffer).setUint16(coded.length - TAIL, text.length + TAIL);
      return coded;
    },
    decode(frame, limit, carried): Uint8Array {
      const added = new DataView(frame.buffer, frame.byteOffset, frame.length);
      const length = frame.length < TAIL ? 0 : added.getUint16(frame.length - TAIL);
      const end = frame.length - length;
      if (length < NAME.length + TAIL || end < HEADER_LENGTH) throw new FrameError("truncated");
      const text = decodeText(frame.subarray(end, frame.length - TAIL));
      if (!text.startsWith(NAME)) throw new FrameError("truncated");
      if (end - HEADER_LENGTH > limit) throw new FrameError("body_too_long");
      const parent = text.slice(NAME.length);
      if (TRACEPARENT.test(parent)) {
        if (carried) carried.trace = parent;
        const method = HEADER_LENGTH + (frame[7] ?? 0);
        received?.(parent, decodeText(frame.subarray(HEADER_LENGTH, Math.min(method, end))));
      }
      return resized(frame.subarray(0, end), end, 0);
    },
  };
}

/** A copy of a frame with another length, whose bit is set or cleared. */
function resized(frame: Uint8Array, length: number, bit: number): Uint8Array {
  const copy = new Uint8Array(length);
  copy.set(frame);
  const header = new DataView(copy.buffer);
  header.setUint32(0, length - HEADER_LENGTH, true);
  header.setUint8(4, ((frame[4] ?? 0) & ~BIT) | bit);
  return copy;
}
