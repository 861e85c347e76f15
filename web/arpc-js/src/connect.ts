import type { ApiShape } from "./api.ts";
import { ArpcError } from "./errors.ts";
import { type ConnectOptions, PubSubClient } from "./pubsub.ts";
import type { SocketConstructor } from "./socket.ts";

/**
 * Makes a client and lets it dial. It returns at once: what is called before the connection is
 * open waits for it.
 *
 *     const client = connect<Api>("wss://example.org/ws");
 *     const reply = await client.call("/echo", "hi");
 *
 * @param url `ws:`, `wss:`, or `http:` and `https:` for the same; in a page it may be relative.
 * @throws ArpcError `invalid_argument` when the URL is none, `failed_precondition` when the runtime
 * has no WebSocket and the options neither.
 */
export function connect<A extends ApiShape = ApiShape>(
  url: string | URL,
  options: ConnectOptions = {},
): PubSubClient<A> {
  const Socket = options.WebSocket ?? (globalThis.WebSocket as SocketConstructor | undefined);
  if (!Socket) {
    throw new ArpcError(
      "failed_precondition",
      "no WebSocket in this runtime: npm install ws, connect(url, { WebSocket })",
    );
  }
  return new PubSubClient<A>(resolve(url), Socket, options);
}

function resolve(url: string | URL): string {
  try {
    const base = (globalThis as { location?: Location }).location?.href;
    const absolute = new URL(url, base);
    absolute.protocol = absolute.protocol.replace(/^http/, "ws");
    if (/^wss?:$/.test(absolute.protocol)) return absolute.href;
  } catch {
    // Told below.
  }
  throw new ArpcError(
    "invalid_argument",
    `cannot dial ${url}: not a ws:, wss:, http: or https: URL`,
  );
}
