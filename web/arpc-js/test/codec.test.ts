import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { decodeBody, encodeBody, json } from "../src/codec.ts";
import { ArpcError } from "../src/index.ts";
import { encodeText } from "../src/wire.ts";

function there(value: unknown): { kind: number; back: unknown } {
  const { kind, bytes } = encodeBody(value, json);
  return { kind, back: decodeBody(bytes, kind, json) };
}

describe("what goes in comes out", () => {
  it.each([
    [undefined, 0],
    ["", 1],
    ["123", 1],
    ["null", 1],
    ["\uFEFFbom", 1],
    ["🌍", 1],
    [new Uint8Array(0), 2],
    [Uint8Array.of(0, 255), 2],
    [null, 3],
    [0, 3],
    [false, 3],
    [{ a: [1, "2", null] }, 3],
  ])("%j has kind %d", (value, kind) => {
    expect(there(value)).toEqual({ kind, back: value });
  });

  it("any text and any bytes", () => {
    fc.assert(
      fc.property(fc.oneof(fc.string({ unit: "grapheme" }), fc.uint8Array()), (value) => {
        expect(there(value).back).toEqual(value);
      }),
    );
  });

  it("any JSON", () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        const isText = typeof value === "string";
        const expected = isText ? value : (JSON.parse(JSON.stringify(value)) as unknown);
        expect(there(value).back).toEqual(expected);
      }),
    );
  });

  it("views and buffers are bytes", () => {
    const floats = Float32Array.of(1, 2).subarray(1);
    expect(there(floats)).toEqual({ kind: 2, back: Uint8Array.of(0, 0, 0, 64) });
    expect(there(Uint8Array.of(7).buffer)).toEqual({ kind: 2, back: Uint8Array.of(7) });
  });

  it("an error is its text, NaN is null", () => {
    expect(there(new Error("odd"))).toEqual({ kind: 0, back: "odd" });
    expect(there(Number.NaN)).toEqual({ kind: 3, back: null });
  });

  it("__proto__ is a key like any other", () => {
    const back = there(JSON.parse('{"__proto__":{"isAdmin":true}}')).back as { isAdmin?: boolean };
    expect(back.isAdmin).toBeUndefined();
    expect(({} as { isAdmin?: boolean }).isAdmin).toBeUndefined();
  });
});

describe("bytes that came in", () => {
  it("are the receiver's own", () => {
    const frame = Uint8Array.of(1, 2, 3, 4);
    const body = decodeBody(frame.subarray(1, 3), 2, json) as Uint8Array;
    frame.fill(9);
    expect(body).toEqual(Uint8Array.of(2, 3));
    expect(body.buffer.byteLength).toBe(2);
  });
});

describe("a body of unknown kind", () => {
  const read = (text: string, as?: "text" | "bytes" | "json"): unknown =>
    decodeBody(encodeText(text), 0, json, as);

  it("is JSON if it is JSON, else text", () => {
    expect(read("")).toBeUndefined();
    expect(read("123")).toBe(123);
    expect(read("hello")).toBe("hello");
  });

  it("is what the receiver says", () => {
    expect(read("123", "text")).toBe("123");
    expect(read("", "text")).toBe("");
    expect(read("12", "bytes")).toEqual(Uint8Array.of(0x31, 0x32));
    expect(read("12", "json")).toBe(12);
    expect(read("", "json")).toBeUndefined();
    expect(() => read("x", "json")).toThrow(ArpcError);
  });

  it("does not override a kind that was said", () => {
    expect(decodeBody(encodeText("1"), 1, json, "json")).toBe("1");
    expect(decodeBody(encodeText("1"), 3, json, "text")).toBe(1);
  });
});

describe("what cannot be encoded or decoded", () => {
  const cyclic: { self?: unknown } = {};
  cyclic.self = cyclic;

  it.each([[1n], [Symbol("x")], [() => {}], [cyclic]])("%s is an invalid argument", (value) => {
    expect(() => encodeBody(value, json)).toThrow(
      expect.objectContaining({ code: "invalid_argument" }) as Error,
    );
  });

  it("a value that is not of the codec is lost", () => {
    expect(() => decodeBody(encodeText("{"), 3, json)).toThrow(
      expect.objectContaining({ code: "invalid_argument" }) as Error,
    );
  });
});
