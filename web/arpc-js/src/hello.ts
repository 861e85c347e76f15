import { decodeObject } from "./codec.ts";
import { remoteError } from "./structured.ts";
import {
  CMD_REQUEST,
  encodeFrame,
  encodeText,
  FLAG_ERROR,
  FLAG_OUTSIDE,
  FLAG_STRUCTURED,
  type Frame,
} from "./wire.ts";

/** Methods that begin so are the protocol's: no handler and no middleware sees them. */
export const PROTOCOL_PREFIX = "arpc.";
export const METHOD_TOKEN = "arpc.token";
export const METHOD_GOAWAY = "arpc.goaway";

/** How long an answer to hello, or to a token, may take, in ms. */
export const HELLO_TIMEOUT = 5000;

/** What every client can do beyond the base protocol, as hello lists it. */
export const CAPABILITIES = ["batch", "cancel", "errors", "kind", "goaway"] as const;

/** One extension of the base protocol. */
export type Capability = (typeof CAPABILITIES)[number] | "credit" | "topics";

/** What a client says in hello. What is built on the engine adds capabilities and members. */
export interface Hello {
  readonly caps: readonly string[];
  /** Credit of each stream towards us, in bytes. */
  readonly window: number;
  readonly [member: string]: unknown;
}

/** Whether and how a client says hello. */
export type HelloMode = "auto" | "require" | "never";

/** What both ends of a connection keep to. */
export interface Agreement {
  readonly caps: readonly string[];
  /** Milliseconds without sending after which the server pings; 0 if it does not. */
  readonly ping: number;
  /** Most bytes of method and body the server takes. */
  readonly body: number;
  /** Most requests of ours the server works on at once. */
  readonly inflight: number;
  /** Milliseconds until the server no longer believes the token; 0 is never. */
  readonly expires: number;
  /** The whole answer to hello, for what is built on the engine; not checked. */
  readonly answer: Partial<Record<string, unknown>>;
}

/** What holds on a connection without hello. */
export const BASE: Agreement = {
  caps: [],
  ping: 0,
  body: Infinity,
  inflight: Infinity,
  expires: 0,
  answer: {},
};

/** The first frame of a connection. Its seq is 0, which no call has. JSON whatever the codec is. */
export function encodeHello(hello: Hello): Uint8Array {
  const body = encodeText(JSON.stringify({ arpc: 1, ...hello }));
  return encodeFrame({ cmd: CMD_REQUEST, flag: FLAG_OUTSIDE, method: "arpc.hello", body });
}

/**
 * Reads the answer to hello; undefined when it is not clearly ours: a base server may answer
 * anything.
 * @param offered the capabilities of our hello.
 * @throws ArpcError the server's refusal.
 */
export function decodeHello(frame: Frame, offered: readonly string[]): Agreement | undefined {
  if (frame.flag & FLAG_STRUCTURED) throw remoteError(frame);
  const answer = decodeObject(frame.body);
  const { arpc, caps, ping, limits, expires } = answer;
  if (frame.flag & FLAG_ERROR || arpc !== 1) return undefined;
  const { body, inflight } = Object(limits);
  return {
    answer,
    caps: offered.filter((name) => Array.isArray(caps) && caps.includes(name)),
    ping: positive(ping, 25_000),
    body: positive(body, Infinity),
    inflight: positive(inflight, Infinity),
    expires: positive(expires, 0),
  };
}

/** A number a peer sent, if it is one above zero. */
export function positive(value: unknown, otherwise: number): number {
  return typeof value === "number" && value > 0 ? value : otherwise;
}
