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

/** What this end can do beyond the base protocol, as hello lists it. */
const capabilities = ["batch", "cancel", "errors", "kind", "goaway"] as const;

/** One extension of the base protocol. */
export type Capability = (typeof capabilities)[number];

/** Whether and how a client says hello. */
export type HelloMode = "auto" | "require" | "never";

/** What both ends of a connection keep to. */
export interface Agreement {
  readonly caps: readonly Capability[];
  /** Milliseconds without sending after which the server pings; 0 if it does not. */
  readonly ping: number;
  /** Most bytes of method and body the server takes. */
  readonly body: number;
  /** Most requests of ours the server works on at once. */
  readonly inflight: number;
  /** Milliseconds until the server no longer believes the token; 0 is never. */
  readonly expires: number;
}

/** What holds on a connection without hello. */
export const BASE: Agreement = {
  caps: [],
  ping: 0,
  body: Infinity,
  inflight: Infinity,
  expires: 0,
};

/** The first frame of a connection. Its seq is 0, which no call has. JSON whatever the codec is. */
export function encodeHello(codec: string, token: string | undefined): Uint8Array {
  // No window: there are no streams here that could be filled.
  const hello = { arpc: 1, caps: capabilities, coders: [], codec, token, window: 0 };
  const body = encodeText(JSON.stringify(hello));
  return encodeFrame({ cmd: CMD_REQUEST, flag: FLAG_OUTSIDE, method: "arpc.hello", body });
}

/**
 * Reads the answer to hello; undefined when it is not clearly ours: a base server may answer
 * anything.
 * @throws ArpcError the server's refusal.
 */
export function decodeHello(answer: Frame): Agreement | undefined {
  if (answer.flag & FLAG_STRUCTURED) throw remoteError(answer);
  const { arpc, caps, ping, limits, expires } = decodeObject(answer.body);
  if (answer.flag & FLAG_ERROR || arpc !== 1) return undefined;
  const { body, inflight } = Object(limits);
  return {
    caps: capabilities.filter((name) => Array.isArray(caps) && caps.includes(name)),
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
