import type { Client } from "./client.ts";
import { ArpcError } from "./errors.ts";
import type { SocketConstructor } from "./socket.ts";

/** Makes a client of a kind and lets it dial. @throws ArpcError as `connect` tells. */
export function launch<C extends Client, O extends { WebSocket?: SocketConstructor }>(
  Kind: new (url: string, Socket: SocketConstructor, options: O) => C,
  url: string | URL,
  options: O,
): C {
  const Socket = options.WebSocket ?? (globalThis.WebSocket as SocketConstructor | undefined);
  if (!Socket) {
    throw new ArpcError(
      "failed_precondition",
      "no WebSocket in this runtime: npm install ws, connect(url, { WebSocket })",
    );
  }
  const client = new Kind(resolve(url), Socket, options);
  client.start();
  return client;
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
