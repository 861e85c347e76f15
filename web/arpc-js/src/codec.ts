import { ArpcError } from "./errors.ts";
import {
  decodeText,
  EMPTY,
  encodeText,
  KIND_BYTES,
  KIND_TEXT,
  KIND_UNKNOWN,
  KIND_VALUE,
  type Kind,
} from "./wire.ts";

/** Turns values other than text and bytes into a body and back. */
export interface Codec {
  /** The codec's name, the same on both ends. */
  readonly name: string;
  /** Encodes a value; throws if it has no encoding. */
  encode(value: unknown): Uint8Array;
  /** Decodes a body; throws if it is not one of this codec. Must not retain `bytes`. */
  decode(bytes: Uint8Array): unknown;
}

/** How to read a body whose sender did not say what it is. */
export type BodyKind = "text" | "bytes" | "json";

/** A body ready to be sent, with its kind. */
export interface Payload {
  readonly kind: Kind;
  readonly bytes: Uint8Array;
}

/** An empty body of no kind: what `undefined` is. */
export const emptyPayload: Payload = { kind: KIND_UNKNOWN, bytes: EMPTY };

/** The default codec. NaN and the infinities become null, as JSON has it. */
export const json: Codec = {
  name: "json",
  encode(value) {
    const text = JSON.stringify(value) as string | undefined;
    if (text === undefined) throw new TypeError(`${typeof value} has no json`);
    return encodeText(text);
  },
  decode: (bytes) => JSON.parse(decodeText(bytes)) as unknown,
};

/** The members of a JSON object of the protocol; what they are is not known. */
export type Members = Partial<Record<string, unknown>>;

/** The members of the JSON object in a body of the protocol; none if it is anything else. */
export function decodeObject(bytes: Uint8Array): Members {
  try {
    return Object(json.decode(bytes));
  } catch {
    return {};
  }
}

/**
 * Encodes a value: undefined as nothing, a string as text, an ArrayBuffer or a view of one as
 * bytes, an Error as its text (of unknown kind), all else by the codec. The payload may share the value's memory.
 * @throws ArpcError `invalid_argument` when the codec refuses the value.
 */
export function encodeBody(value: unknown, codec: Codec): Payload {
  if (value === undefined) return emptyPayload;
  if (typeof value === "string") return { kind: KIND_TEXT, bytes: encodeText(value) };
  if (value instanceof ArrayBuffer || ArrayBuffer.isView(value)) {
    const { buffer = value, byteOffset, byteLength } = value as Partial<ArrayBufferView>;
    return {
      kind: KIND_BYTES,
      bytes: new Uint8Array(buffer as ArrayBuffer, byteOffset, byteLength),
    };
  }
  if (value instanceof Error) return { kind: KIND_UNKNOWN, bytes: encodeText(value.message) };
  try {
    return { kind: KIND_VALUE, bytes: codec.encode(value) };
  } catch (cause) {
    throw new ArpcError("invalid_argument", `body has no ${codec.name}`, { cause });
  }
}

/**
 * Decodes a body; bytes come out as a copy of their own. A body of unknown kind is read as `as`
 * says; without it, empty is undefined, else JSON if it is JSON, else text.
 * @throws ArpcError `invalid_argument` when the body is not what its kind says.
 */
export function decodeBody(bytes: Uint8Array, kind: Kind, codec: Codec, as?: BodyKind): unknown {
  const form = ([as, "text", "bytes", "json"] as const)[kind];
  if (form === "text") return decodeText(bytes);
  if (form === "bytes") return bytes.slice();
  if (kind === KIND_UNKNOWN && bytes.length === 0) return undefined;
  try {
    return codec.decode(bytes);
  } catch (cause) {
    if (!form) return decodeText(bytes);
    throw new ArpcError("invalid_argument", `body is not ${codec.name}`, { cause });
  }
}
