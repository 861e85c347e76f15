import { decodeObject, type Members } from "./codec.ts";
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

/** What every client can do beyond the base protocol, as hello lists it. */
export const CAPABILITIES = ["batch", "cancel", "errors", "kind", "goaway"] as const;

/** One extension of the base protocol. */
export type Capability = (typeof CAPABILITIES)[number] | "credit" | "topics" | "resume";

/** What a client says in hello. The parts of a client add capabilities and members. */
export interface Hello {
  readonly caps: string[];
  [member: string]: unknown;
}

/** Whether and how a client says hello. */
export type HelloMode = "auto" | "require" | "never";

/** What both ends of a connection keep to. */
export interface Agreement {
  readonly agreedCaps: readonly string[];
  /** Most bytes of method and body that may be sent. */
  readonly maxBytes: number;
  /** Most requests of ours the server works on at once. */
  readonly maxCalls: number;
  /** The whole answer to hello, not checked; undefined if there was none. */
  readonly helloAnswer: Members | undefined;
}

/** The first frame of a connection. Its seq is 0, which no call has. JSON whatever the codec is. */
export function encodeHello(hello: Hello): Uint8Array {
  const body = encodeText(JSON.stringify({ arpc: 1, ...hello }));
  return encodeFrame({ cmd: CMD_REQUEST, flag: FLAG_OUTSIDE, method: "arpc.hello", body });
}

/**
 * Reads the answer to hello; undefined when it is not clearly ours: a base server may answer
 * anything.
 * @throws ArpcError the server's refusal.
 */
export function decodeHello(frame: Frame): Members | undefined {
  if (frame.flag & FLAG_STRUCTURED) throw remoteError(frame);
  const answer = decodeObject(frame.body);
  return frame.flag & FLAG_ERROR || answer["arpc"] !== 1 ? undefined : answer;
}

/**
 * What both ends keep to after an answer, or without one.
 * @param offered the capabilities of our hello.
 * @param maxBody the most we would send, in bytes.
 */
export function agree(
  answer: Members | undefined,
  offered: readonly string[],
  maxBody: number,
): Agreement {
  const { caps, limits } = answer ?? {};
  const { body, inflight } = Object(limits);
  return {
    helloAnswer: answer,
    agreedCaps: offered.filter((name) => Array.isArray(caps) && caps.includes(name)),
    maxBytes: positive(body, maxBody, maxBody),
    maxCalls: positive(inflight, Infinity),
  };
}

/** A number a peer sent, and `most` if it is more; `otherwise` if it is none above zero. */
export function positive(value: unknown, otherwise: number, most: number = Infinity): number {
  return typeof value === "number" && value > 0 ? Math.min(value, most) : otherwise;
}
