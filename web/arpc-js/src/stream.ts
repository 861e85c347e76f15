import type { Conn } from "./conn.ts";
import { ArpcError } from "./errors.ts";
import { CLOSE_OVERRUN } from "./socket.ts";
import { CMD_STREAM, encodeFrame, type Frame, STREAM_END, STREAM_OPENER } from "./wire.ts";

/** Most streams of one peer that are remembered as refused. */
const MAX_REFUSED = 256;

/**
 * Refuses the streams a peer opens on one connection, each once: an end after the end would open a
 * new one at the peer.
 */
export class StreamRefuser {
  readonly #refused = new Set<bigint>();

  /** Answers the first frame of a stream with its end. Too many open ones end the connection. */
  refuse({ cmd, method, seq }: Frame, conn: Conn): void {
    // Without the bit it belongs to a stream of ours, of which there is none.
    if (!(cmd & STREAM_OPENER)) return;
    const isKnown = this.#refused.has(seq);
    if (cmd & STREAM_END) this.#refused.delete(seq);
    else this.#refused.add(seq);
    if (this.#refused.size > MAX_REFUSED) {
      conn.fail(CLOSE_OVERRUN, new ArpcError("resource_exhausted", "overrun by streams"));
      return;
    }
    if (isKnown) return;
    conn.send(encodeFrame({ cmd: CMD_STREAM | STREAM_END, method, seq }));
  }
}
