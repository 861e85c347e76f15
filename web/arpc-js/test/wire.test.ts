import { describe, expect, it } from "vitest";
import {
  CMD_NOTIFY,
  CMD_PING,
  CMD_REQUEST,
  CMD_STREAM,
  decodeText,
  encodeFrame,
  type Frame,
  FrameError,
  type FrameReason,
  frameDecoder,
  HEADER_LENGTH,
} from "../src/wire.ts";
import { request } from "./helpers/server.ts";
import { vectors } from "./helpers/vectors.ts";

const LIMIT = 1000;

function decode(...chunks: Uint8Array[]): Frame[] {
  const decoder = frameDecoder(LIMIT);
  const frames: Frame[] = [];
  for (const chunk of chunks) {
    decoder.push(chunk);
    for (let frame = decoder.next(); frame; frame = decoder.next()) frames.push(frame);
  }
  return frames;
}

interface Fields {
  bodyLen: number;
  reserved?: number;
  cmd?: number;
  flag?: number;
  methodLen: number;
  seq?: bigint;
}

/** A header of any fields, and bytes that may stand for method and body. */
function raw(fields: Fields, rest = 0) {
  const { bodyLen, reserved = 0, cmd = CMD_REQUEST, flag = 0, methodLen, seq = 7n } = fields;
  const bytes = new Uint8Array(HEADER_LENGTH + rest).fill(0x61);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, bodyLen, true);
  bytes.set([reserved, cmd, flag, methodLen], 4);
  view.setBigUint64(8, seq, true);
  return bytes;
}

function reasonOf(bytes: Uint8Array): FrameReason | undefined {
  const decoder = frameDecoder(LIMIT);
  decoder.push(bytes);
  try {
    decoder.next();
    return undefined;
  } catch (error) {
    expect(error).toBeInstanceOf(FrameError);
    return (error as FrameError).reason;
  }
}

describe("recorded frames", () => {
  it("are there", () => {
    expect(vectors.length).toBeGreaterThan(20);
  });

  it.each(vectors)("$label ($direction) comes out as it went in", ({ bytes }) => {
    const frames = decode(bytes);
    expect(frames.length).toBeGreaterThan(0);
    expect(Buffer.concat(frames.map(encodeFrame))).toEqual(Buffer.from(bytes));
  });

  it.each(vectors)("$label ($direction) is the same in every split", ({ bytes }) => {
    const whole = decode(bytes);
    for (let at = 1; at < bytes.length; at++) {
      expect(decode(bytes.subarray(0, at), bytes.subarray(at))).toEqual(whole);
    }
    expect(decode(...Array.from(bytes, (byte) => Uint8Array.of(byte)))).toEqual(whole);
  });

  it("say what is in them", () => {
    const bytesOf = (label: string): Uint8Array =>
      vectors.find((vector) => vector.label === label && vector.direction === "s->c")!.bytes;
    const [missing] = decode(bytesOf("call /missing"));
    expect(missing).toMatchObject({ cmd: 2, flag: 1, method: "/missing", seq: 9n });
    expect(decodeText(missing!.body)).toBe("method not found");
    const [utf8] = decode(bytesOf("call /echo utf8"));
    expect(decodeText(utf8!.body)).toBe("héllo 世界 🌍");
    expect(decode(bytesOf("publish news hello")).map(({ cmd }) => cmd)).toEqual([2, 3]);
  });
});

describe("seq", () => {
  it.each([0n, 1n, 255n, 256n, 2n ** 32n, 2n ** 53n + 1n, 2n ** 64n - 1n])("%d is exact", (seq) => {
    expect(decode(encodeFrame(request("/m", seq)))[0]?.seq).toBe(seq);
  });
});

describe("method", () => {
  it("is counted in bytes", () => {
    const bytes = encodeFrame(request("/é", 1n, "x"));
    expect(bytes[7]).toBe(3);
    expect(decode(bytes)[0]).toMatchObject({ method: "/é", body: Uint8Array.of(0x78) });
  });

  it("keeps a byte order mark", () => {
    expect(decode(encodeFrame(request("\uFEFFm", 1n)))[0]?.method).toBe("\uFEFFm");
  });

  it.each([
    ["", "method_missing"],
    ["x".repeat(128), "method_too_long"],
    ["é".repeat(64), "method_too_long"],
  ])("%j is refused when encoded", (method, reason) => {
    expect(() => encodeFrame(request(method, 1n))).toThrow(reason);
  });

  it("is refused on a ping", () => {
    expect(() => encodeFrame({ ...request("x", 1n), cmd: CMD_PING })).toThrow("method_unexpected");
  });
});

describe("bounds", () => {
  const lengths = [
    0,
    1,
    LIMIT - 1,
    LIMIT,
    LIMIT + 1,
    2 ** 31 - 1,
    2 ** 31,
    2 ** 32 - 16,
    2 ** 32 - 1,
  ];
  const methods = [0, 1, 127, 128, 255];
  const cases = lengths.flatMap((bodyLen) => methods.map((methodLen) => ({ bodyLen, methodLen })));

  it.each(cases)("bodyLen $bodyLen, methodLen $methodLen", ({ bodyLen, methodLen }) => {
    const expected = (): FrameReason | undefined => {
      if (bodyLen > LIMIT) return "body_too_long";
      if (methodLen > 127) return "method_too_long";
      if (methodLen > bodyLen) return "method_overrun";
      if (methodLen === 0) return "method_missing";
      return undefined;
    };
    expect(reasonOf(raw({ bodyLen, methodLen }))).toBe(expected());
  });

  it.each([4, 5, 7, 8, 9])("command %d has no method", (cmd) => {
    expect(reasonOf(raw({ cmd, bodyLen: 1, methodLen: 1 }, 1))).toBe("method_unexpected");
    expect(reasonOf(raw({ cmd, bodyLen: 0, methodLen: 0 }))).toBeUndefined();
  });

  it.each([1, 2, 3, 6, 0x86, 0xc6])("command %d has a method", (cmd) => {
    expect(reasonOf(raw({ cmd, bodyLen: 0, methodLen: 0 }))).toBe("method_missing");
    expect(reasonOf(raw({ cmd, bodyLen: 1, methodLen: 1 }, 1))).toBeUndefined();
  });

  it.each([0, 10, 63])("command %d is not judged here", (cmd) => {
    expect(decode(raw({ cmd, bodyLen: 0, methodLen: 0 }))).toHaveLength(1);
    expect(decode(raw({ cmd, bodyLen: 1, methodLen: 1 }, 1))).toHaveLength(1);
  });

  it("a method that is not UTF-8 is refused", () => {
    const bytes = raw({ bodyLen: 2, methodLen: 2 }, 2);
    bytes.set([0xc3, 0x28], HEADER_LENGTH);
    expect(reasonOf(bytes)).toBe("method_not_utf8");
  });

  it.each([6, 0x46, 0x86, 0xc6])("command %d has a seq", (cmd) => {
    const stream = { cmd, bodyLen: 1, methodLen: 1 };
    expect(reasonOf(raw({ ...stream, seq: 0n }, 1))).toBe("stream_zero");
    expect(reasonOf(raw({ ...stream, seq: 2n ** 63n }, 1))).toBeUndefined();
  });

  it("a stream of seq 0 is judged after the method, before the flags, without its body", () => {
    const zero = { cmd: CMD_STREAM, flag: 4, seq: 0n };
    expect(reasonOf(raw({ ...zero, bodyLen: 200, methodLen: 128 }))).toBe("method_too_long");
    expect(reasonOf(raw({ ...zero, bodyLen: 0, methodLen: 1 }))).toBe("method_overrun");
    expect(reasonOf(raw({ ...zero, bodyLen: 0, methodLen: 0 }))).toBe("method_missing");
    expect(reasonOf(raw({ ...zero, bodyLen: 9, methodLen: 1 }))).toBe("stream_zero");
    expect(reasonOf(raw({ ...zero, cmd: CMD_REQUEST, bodyLen: 9, methodLen: 1 }))).toBe(
      "flags_invalid",
    );
  });

  it("a structured body that is no error is refused", () => {
    expect(reasonOf(raw({ flag: 4, bodyLen: 1, methodLen: 1 }, 1))).toBe("flags_invalid");
    expect(reasonOf(raw({ flag: 5, bodyLen: 1, methodLen: 1 }, 1))).toBeUndefined();
  });

  it("of a coded frame only the length is judged before the coder", () => {
    expect(reasonOf(raw({ reserved: 1, bodyLen: LIMIT + 1, methodLen: 255 }))).toBe(
      "body_too_long",
    );
    expect(reasonOf(raw({ reserved: 1, bodyLen: 0, methodLen: 255 }))).toBe("coder_unknown");
  });

  it("an error is final", () => {
    const decoder = frameDecoder(LIMIT);
    decoder.push(raw({ bodyLen: 2 ** 32 - 16, methodLen: 0 }));
    expect(() => decoder.next()).toThrow("body_too_long");
    decoder.push(encodeFrame(request("/m", 1n)));
    expect(() => decoder.next()).toThrow("body_too_long");
  });
});

describe("memory", () => {
  it("whole frames of a chunk are views of it", () => {
    const frames = [request("/a", 1n, "one"), { ...request("/b", 2n, "two"), cmd: CMD_NOTIFY }];
    const chunk = new Uint8Array(Buffer.concat(frames.map(encodeFrame)));
    const decoded = decode(chunk);
    expect(decoded).toEqual(frames);
    for (const { body } of decoded) expect(body.buffer).toBe(chunk.buffer);
  });

  it("a frame that was handed out is not changed by what follows", () => {
    const decoder = frameDecoder(LIMIT);
    const first = encodeFrame(request("/a", 1n, "first"));
    const second = encodeFrame({ ...request("/b", 2n, "second"), cmd: CMD_STREAM });
    const stream = new Uint8Array(Buffer.concat([first, second]));
    const kept: Frame[] = [];
    for (const byte of stream) {
      decoder.push(Uint8Array.of(byte));
      const frame = decoder.next();
      if (frame) kept.push(frame);
    }
    expect(kept.map(({ body }) => decodeText(body))).toEqual(["first", "second"]);
  });
});
