/**
 * Compression of frames with the runtime's own gzip, byte for byte as the Go package `coder/gzip`:
 * what stands behind the coders byte, from the command on, becomes one gzip member.
 *
 *     client.useCoder(gzip());
 *
 * @module
 */

import type { Coder } from "./coder.ts";
import { FrameError, HEADER_LENGTH } from "./wire.ts";

const BIT = 0x80;
/** What of a frame stays as it is: its length and its coders. */
const HEAD = 5;
/**
 * Bytes that are decompressed at a time. They become at most 1,032 times as many, of which a
 * runtime may hold all before it gives the first.
 */
const STEP = 512;

/** Settings of {@link gzip}. */
export interface GzipOptions {
  /** Fewest bytes of a frame that is compressed, header and method included. @default 1024 */
  readonly minBytes?: number;
}

/** Makes a coder that compresses frames, if they become shorter. Give it to `client.useCoder`. */
export function gzip({ minBytes = 1024 }: GzipOptions = {}): Coder {
  return {
    name: "gzip",
    bit: BIT,
    encode: (frame) => (frame.length < minBytes ? frame : compress(frame)),
    decode: decompress,
  };
}

async function compress(frame: Uint8Array): Promise<Uint8Array> {
  const member = await collect(frame.subarray(HEAD), new CompressionStream("gzip"), Infinity);
  return HEAD + member.length < frame.length ? join(frame, member, BIT) : frame;
}

async function decompress(frame: Uint8Array, limit: number): Promise<Uint8Array> {
  const member = frame.subarray(HEAD);
  const most = limit + HEADER_LENGTH - HEAD;
  const rest = await collect(member, new DecompressionStream("gzip"), most);
  // Some runtimes read on behind the end of a member. Its last bytes say how long it was.
  const end = new DataView(member.buffer, member.byteOffset + member.length - 4);
  if (rest.length + HEAD < HEADER_LENGTH || end.getUint32(0, true) !== rest.length) {
    throw new FrameError("truncated");
  }
  return join(frame, rest, 0);
}

/** A frame of the head of another, whose bit is set or cleared, and what is behind it. */
function join(frame: Uint8Array, rest: Uint8Array, bit: number): Uint8Array {
  const joined = new Uint8Array(HEAD + rest.length);
  joined.set(rest, HEAD);
  const header = new DataView(joined.buffer);
  header.setUint32(0, joined.length - HEADER_LENGTH, true);
  header.setUint8(4, ((frame[4] ?? 0) & ~BIT) | bit);
  return joined;
}

/** What bytes become, if those are not too many. @throws FrameError `body_too_long` */
async function collect(
  bytes: Uint8Array,
  through: CompressionStream | DecompressionStream,
  most: number,
): Promise<Uint8Array> {
  const reader = inSteps(bytes).pipeThrough(through).getReader();
  const chunks: Uint8Array[] = [];
  let length = 0;
  for (let each = await reader.read(); !each.done; each = await reader.read()) {
    chunks.push(each.value);
    length += each.value.length;
    if (length > most) {
      // What it failed with meanwhile makes no difference.
      await reader.cancel().catch(() => {});
      throw new FrameError("body_too_long");
    }
  }
  const all = new Uint8Array(length);
  let at = 0;
  for (const chunk of chunks) {
    all.set(chunk, at);
    at += chunk.length;
  }
  return all;
}

function inSteps(bytes: Uint8Array): ReadableStream<Uint8Array<ArrayBuffer>> {
  let at = 0;
  return new ReadableStream({
    pull(controller): void {
      // A copy: the stream of some runtimes takes the whole buffer of what it is given.
      if (at < bytes.length) controller.enqueue(bytes.slice(at, at + STEP));
      else controller.close();
      at += STEP;
    },
  });
}
