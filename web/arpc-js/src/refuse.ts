import type { Conn } from "./conn.ts";
import { ArpcError } from "./errors.ts";
import { MAX_OVER } from "./limits.ts";
import { encodeError } from "./structured.ts";
import { CMD_STREAM, encodeFrame, type Frame, STREAM_END, STREAM_OPENER } from "./wire.ts";

/** Remembers a stream of the peer's as over, so that a late frame does not open it again. */
export function markOver({ over }: Conn, id: bigint): void {
  over.add(id);
  // The oldest: sets keep their order.
  for (const oldest of over) {
    if (over.size <= MAX_OVER) return;
    over.delete(oldest);
  }
}

/** Answers the frame that opens a stream with its end, once. Other frames of it are late. */
export function refuseStream(
  { cmd, method, seq }: Frame,
  conn: Conn,
  error: ArpcError = new ArpcError("not_found", "method not found"),
): void {
  if (!(cmd & STREAM_OPENER) || conn.over.has(seq)) return;
  markOver(conn, seq);
  const content = conn.knows("errors") ? encodeError(error, true) : {};
  conn.transmit(encodeFrame({ cmd: CMD_STREAM | STREAM_END, method, seq, ...content }));
}
