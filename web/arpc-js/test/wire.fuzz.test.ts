import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { encodeFrame, type Frame, FrameError, frameDecoder, HEADER_LENGTH } from "../src/wire.ts";
import { vectors } from "./helpers/vectors.ts";

const LIMIT = 4096;
const { ARPC_FUZZ_RUNS = "20000" } = process.env;
const RUNS = Number(ARPC_FUZZ_RUNS);

/** What a decoder made of a stream: its frames, and how it ended. */
interface Verdict {
  frames: Frame[];
  reason: string | undefined;
}

/** Decodes a stream in pieces, and asserts what must hold at every step. */
function decode(stream: Uint8Array, cuts: readonly number[]): Verdict {
  const decoder = frameDecoder(LIMIT);
  const frames: Frame[] = [];
  let consumed = 0;
  let start = 0;
  for (const end of [...cuts, stream.length]) {
    decoder.push(stream.subarray(start, end));
    start = end;
    try {
      for (let frame = decoder.next(); frame; frame = decoder.next()) {
        const size = encodeFrame(frame).length;
        expect(size).toBeGreaterThanOrEqual(HEADER_LENGTH);
        consumed += size;
        expect(consumed).toBeLessThanOrEqual(end);
        frames.push({ ...frame, body: frame.body.slice() });
      }
    } catch (error) {
      expect(error).toBeInstanceOf(FrameError);
      return { frames, reason: (error as FrameError).reason };
    }
  }
  expect(Buffer.concat(frames.map(encodeFrame))).toEqual(Buffer.from(stream.subarray(0, consumed)));
  return { frames, reason: undefined };
}

/** Cut positions in a stream of a length. */
function cuts(length: number, seeds: readonly number[]): number[] {
  return seeds.map((seed) => seed % (length + 1)).sort((a, b) => a - b);
}

const recorded = vectors.map(({ bytes }) => bytes);
const anyBytes = fc.uint8Array({ maxLength: 200 });
/** Recorded frames in a row, with some bytes changed: close enough to frames to get far. */
const mutated = fc
  .tuple(
    fc.array(fc.constantFrom(...recorded), { minLength: 1, maxLength: 6 }),
    fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 4 }),
    fc.nat(),
  )
  .map(([parts, changes, cut]) => {
    const stream = new Uint8Array(Buffer.concat(parts));
    for (const [at, value] of changes) stream[at % stream.length] = value;
    return stream.subarray(0, stream.length - (cut % 20));
  });
const splits = fc.array(fc.nat(), { maxLength: 12 });

describe("any bytes, in any split", () => {
  it.each([
    ["random", anyBytes],
    ["mutated recordings", mutated],
  ])("%s: the same frames or a typed error", (_, streams) => {
    fc.assert(
      fc.property(streams, splits, (stream, seeds) => {
        const whole = decode(stream, []);
        expect(decode(stream, cuts(stream.length, seeds))).toEqual(whole);
      }),
      { numRuns: RUNS / 2 },
    );
  });

  it("byte by byte", () => {
    fc.assert(
      fc.property(mutated, (stream) => {
        const everywhere = Array.from(stream, (_, at) => at);
        expect(decode(stream, everywhere)).toEqual(decode(stream, []));
      }),
      { numRuns: RUNS / 40 },
    );
  });
});

describe("any frame", () => {
  const text = fc.string({ unit: "grapheme", minLength: 1, maxLength: 20 });
  const method = text.filter((name) => new TextEncoder().encode(name).length <= 127);
  const frames = fc.array(
    fc.record({
      cmd: fc.constantFrom(1, 2, 3, 6, 0x86, 0xc6),
      flag: fc.nat(255).filter((flag) => (flag & 5) !== 4),
      method,
      seq: fc.bigInt({ min: 1n, max: 2n ** 64n - 1n }),
      body: fc.uint8Array({ maxLength: 300 }),
    }),
    { maxLength: 8 },
  );

  it("comes out as it went in", () => {
    fc.assert(
      fc.property(frames, splits, (sent, seeds) => {
        const stream = new Uint8Array(Buffer.concat(sent.map(encodeFrame)));
        const { frames: got, reason } = decode(stream, cuts(stream.length, seeds));
        expect(reason).toBeUndefined();
        expect(got).toEqual(sent.map((frame) => ({ ...frame, body: Uint8Array.from(frame.body) })));
      }),
      { numRuns: RUNS / 10 },
    );
  });
});

describe("memory", () => {
  it("grows with what arrived, whatever the headers claim", () => {
    const claim = new Uint8Array(HEADER_LENGTH);
    new DataView(claim.buffer).setUint32(0, 256 << 20, true);
    claim[5] = 1;
    claim[7] = 1;
    const body = new Uint8Array(1000).fill(0x61);
    const decoders = Array.from({ length: 200 }, () => frameDecoder(256 << 20));
    const before = process.memoryUsage().arrayBuffers;
    for (const decoder of decoders) {
      decoder.push(claim);
      expect(decoder.next()).toBeUndefined();
      decoder.push(body);
      expect(decoder.next()).toBeUndefined();
    }
    const grown = process.memoryUsage().arrayBuffers - before;
    expect(grown).toBeLessThanOrEqual(200 * (2 * (claim.length + body.length) + 4096));
  });

  it("a frame in many pieces is not copied for each of them", () => {
    const frame = encodeFrame({
      cmd: 1,
      flag: 0,
      method: "/m",
      seq: 1n,
      body: new Uint8Array(1 << 20),
    });
    const set = Uint8Array.prototype.set;
    let copied = 0;
    Uint8Array.prototype.set = function (source: ArrayLike<number>, offset?: number) {
      copied += source.length;
      set.call(this, source, offset);
    };
    try {
      const decoder = frameDecoder(2 << 20);
      let got: Frame | undefined;
      for (let at = 0; at < frame.length; at += 100) {
        decoder.push(frame.subarray(at, at + 100));
        got = decoder.next();
      }
      expect(got?.body.length).toBe(1 << 20);
    } finally {
      Uint8Array.prototype.set = set;
    }
    expect(copied).toBeLessThanOrEqual(4 * frame.length);
  });
});
