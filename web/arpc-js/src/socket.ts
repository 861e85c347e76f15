/**
 * The part of a WebSocket this package uses: a browser's, a worker's, Node's own or that of the
 * `ws` package.
 */
export interface Socket {
  /** 1 when it takes data. */
  readonly readyState: number;
  /** Bytes that were sent and have not left. */
  readonly bufferedAmount: number;
  /** Set to `arraybuffer`. */
  binaryType: string;
  // Unknown, because each runtime has event types of its own.
  /** Called when it takes data. */
  onopen: unknown;
  /** Called with each message, in `data`. */
  onmessage: unknown;
  /** Called when it fails, before `onclose`. */
  onerror: unknown;
  /** Called when it is closed, with a `code` and a `reason`. */
  onclose: unknown;
  /** Sends one binary message. */
  send(data: ArrayBuffer): void;
  /** Closes it; `onclose` tells when it is. */
  close(code?: number, reason?: string): void;
}

/** Makes a {@link Socket} that dials `url`. */
export type SocketConstructor = new (url: string) => Socket;

/** `readyState` of a socket that takes data. */
export const SOCKET_OPEN = 1;

/**
 * Why this end closes a connection. Browsers allow 1000 and 3000-4999 only, so each is the code
 * RFC 6455 has for it plus 3000.
 */
export const CLOSE_NORMAL = 1000;
export const CLOSE_BAD_FRAME = 4002;
export const CLOSE_TEXT = 4003;
export const CLOSE_OVERRUN = 4008;
export const CLOSE_TOO_BIG = 4009;
export const CLOSE_SILENT = 4011;
