import { decodeObject } from "./codec.ts";
import type { Conn } from "./conn.ts";
import { ArpcError, isErrorCode } from "./errors.ts";
import {
  CMD_RESPONSE,
  decodeText,
  encodeFrame,
  encodeText,
  FLAG_ASYNC,
  FLAG_ERROR,
  FLAG_OUTSIDE,
  FLAG_STRUCTURED,
  type Frame,
  HEADER_LENGTH,
} from "./wire.ts";

/**
 * Encodes the refusal of a request: with the error's code and data where that was agreed, else
 * with its text alone.
 * @param isOutside whether the request was one of the protocol itself: who knows those knows codes.
 */
export function encodeRefusal(
  conn: Conn,
  request: Frame,
  error: ArpcError,
  isOutside = false,
): Uint8Array {
  const { flag, body } = encodeError(error, isOutside || conn.knows("errors"));
  const outside = isOutside ? FLAG_OUTSIDE : 0;
  const flags = flag | outside | (request.flag & FLAG_ASYNC);
  return encodeFrame({ ...request, body, cmd: CMD_RESPONSE, flag: flags });
}

/** The flags and the body of an error. */
export function encodeError(error: ArpcError, isStructured: boolean): Pick<Frame, "flag" | "body"> {
  return {
    flag: FLAG_ERROR | (isStructured ? FLAG_STRUCTURED : 0),
    body: encodeText(isStructured ? toJSON(error) : error.message),
  };
}

function toJSON({ code, message, data }: ArpcError): string {
  try {
    return JSON.stringify({ code, message, data });
  } catch {
    // Data that has no JSON is left out: the peer needs the rest all the same.
    return JSON.stringify({ code, message });
  }
}

/** Why a frame cannot be sent to a peer that takes so many bytes of method and body. */
export function tooBig(
  frame: Uint8Array,
  limit: number,
  what: "body" | "answer" = "body",
): ArpcError | undefined {
  const length = frame.length - HEADER_LENGTH;
  if (length <= limit) return undefined;
  const bytes = length - (frame[7] ?? 0);
  return new ArpcError("resource_exhausted", `${what} of ${bytes} bytes, limit ${limit}`);
}

/** An answer that is none of an error's. @throws ArpcError the one it is. */
export function checked(answer: Frame): Frame {
  if (answer.flag & FLAG_ERROR) throw remoteError(answer);
  return answer;
}

/** The error in an answer. That of a base peer, or one that cannot be read, is a text and no more. */
export function remoteError({ flag, body }: Frame): ArpcError {
  return toError(flag & FLAG_STRUCTURED ? decodeObject(body) : {}, decodeText(body));
}

/** The error that an object of the peer's tells. @param text the message, if it has none. */
export function toError(error: unknown, text: string): ArpcError {
  const { code, message = text, data } = Object(error) as Partial<Record<string, unknown>>;
  const otherwise = text === "method not found" && code === undefined ? "not_found" : "unknown";
  return new ArpcError(
    isErrorCode(code) ? code : otherwise,
    // An object may have a toString of the peer's.
    typeof message === "object" ? text : String(message),
    { data, sent: true, remote: true },
  );
}
