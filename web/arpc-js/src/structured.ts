import { decodeObject } from "./codec.ts";
import { ArpcError, isErrorCode } from "./errors.ts";
import {
  CMD_RESPONSE,
  decodeText,
  encodeFrame,
  encodeText,
  FLAG_ASYNC,
  FLAG_ERROR,
  FLAG_STRUCTURED,
  type Frame,
} from "./wire.ts";

/**
 * Encodes the refusal of a request: with the error's code and data where that was agreed, else
 * with its text alone.
 * @param flag more flags of the answer.
 */
export function encodeRefusal(
  request: Frame,
  error: ArpcError,
  isStructured: boolean,
  flag = 0,
): Uint8Array {
  const content = encodeError(error, isStructured);
  const flags = content.flag | flag | (request.flag & FLAG_ASYNC);
  return encodeFrame({ ...request, ...content, cmd: CMD_RESPONSE, flag: flags });
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
  const {
    code = text === "method not found" ? "not_found" : undefined,
    message = text,
    data,
  } = Object(error) as Partial<Record<string, unknown>>;
  const init = { data, sent: true, remote: true };
  return new ArpcError(isErrorCode(code) ? code : "unknown", String(message), init);
}
