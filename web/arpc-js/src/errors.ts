/**
 * Every code an {@link ArpcError} can have: the same closed set on both ends of a connection.
 */
export const errorCodes = [
  "canceled",
  "unknown",
  "invalid_argument",
  "deadline_exceeded",
  "not_found",
  "already_exists",
  "permission_denied",
  "resource_exhausted",
  "failed_precondition",
  "aborted",
  "out_of_range",
  "unimplemented",
  "internal",
  "unavailable",
  "data_loss",
  "unauthenticated",
] as const;

/** One of {@link errorCodes}. */
export type ErrorCode = (typeof errorCodes)[number];

/** What an {@link ArpcError} may carry besides its code and message. */
export interface ArpcErrorInit {
  /** What the error is about, for programs. */
  readonly data?: unknown;
  /** Whether the request may have reached the peer. @default false */
  readonly sent?: boolean;
  /** Whether the peer said so. @default false */
  readonly remote?: boolean;
  /** What led to the error. */
  readonly cause?: unknown;
}

/** The one error of this package: what promises reject with and what the `error` event tells. */
export class ArpcError extends Error {
  /** By which {@link isArpcError} knows one of another copy of this package. */
  override readonly name = "ArpcError";
  /** What went wrong, for programs; `message` is for people. */
  declare readonly code: ErrorCode;
  /** What the error is about, for programs. */
  declare readonly data: unknown;
  /** Whether the request may have reached the peer. If false, repeating it is safe. */
  declare readonly sent: boolean;
  /** Whether the peer said so; otherwise this end inferred it. */
  declare readonly remote: boolean;

  constructor(code: ErrorCode, message: string, init: ArpcErrorInit = {}) {
    super(message, init);
    const { data, sent = false, remote = false } = init;
    Object.assign(this, { code, data, sent, remote });
  }

  /**
   * Anything caught as an ArpcError: one as it is, an abort as `canceled`, a timeout as
   * `deadline_exceeded`, all else as `unknown` with the original as `cause`.
   */
  static from(reason: unknown): ArpcError {
    return isArpcError(reason) ? reason : fromForeign(reason);
  }
}

// Not in the class: a bundler would rename one that names itself.
function fromForeign(reason: unknown): ArpcError {
  const { name, message = String(reason) } = (reason ?? {}) as Partial<Error>;
  const code =
    name === "AbortError" ? "canceled" : name === "TimeoutError" ? "deadline_exceeded" : "unknown";
  return new ArpcError(code, message, { cause: reason });
}

/** Whether a value is an ArpcError, also one made by another copy of this package. */
export function isArpcError(value: unknown): value is ArpcError {
  if (value instanceof ArpcError) return true;
  const { name, code } = (value ?? {}) as Partial<ArpcError>;
  return name === "ArpcError" && isErrorCode(code);
}

/** Whether a value is one of {@link errorCodes}. */
export function isErrorCode(value: unknown): value is ErrorCode {
  return errorCodes.includes(value as ErrorCode);
}
