import { ArpcError } from "./errors.ts";
import { isOffset, toPosition } from "./position.ts";
import { decodeWithOptions } from "./publication.ts";
import type { Message } from "./subscription.ts";
import { type Frame, frameDecoder } from "./wire.ts";

/** A part of what a topic's log holds. */
export interface History<T = unknown> {
  /** The life of the topic whose offsets these are. */
  readonly epoch: string;
  /** The offset of the oldest publication the log holds; 0 if it holds none. */
  readonly from: number;
  /** The offset of the newest publication of the epoch. */
  readonly last: number;
  /** Whether the log holds more in the direction that was asked for. */
  readonly more: boolean;
  /** Oldest first. */
  readonly messages: ReadonlyArray<Message<T>>;
}

/** Which part of the log; without `after` and `before` the newest. */
export interface HistoryOptions {
  /** The oldest publications above this offset. */
  readonly after?: number | undefined;
  /** The newest publications below this offset. */
  readonly before?: number | undefined;
  /** Most publications, up to 300; the server may send fewer. @default 100 */
  readonly limit?: number | undefined;
}

/**
 * Decodes the answer of `arpc.history`.
 * @param read makes the message of a frame; undefined leaves it out.
 * @throws ArpcError `data_loss` when the answer cannot be read.
 */
export function decodeHistory(
  body: Uint8Array,
  read: (frame: Frame, epoch: string) => Message | undefined,
): History {
  try {
    const [frames, { epoch: life, from, last, more }] = decodeWithOptions(body);
    const { epoch, offset } = toPosition({ epoch: life, offset: last }, true);
    const messages: Message[] = [];
    const decoder = frameDecoder(frames.length);
    decoder.push(frames);
    for (let frame = decoder.next(); frame; frame = decoder.next()) {
      const message = read(frame, epoch);
      if (message) messages.push(message);
    }
    if (decoder.unread()) throw new RangeError("too short");
    return { epoch, from: isOffset(from) ? from : 0, last: offset, more: more === true, messages };
  } catch (cause) {
    throw new ArpcError("data_loss", "bad history", { cause });
  }
}
