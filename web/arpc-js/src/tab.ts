import type { Engine } from "./engine.ts";
import { ArpcError } from "./errors.ts";
import { MAX_STORED } from "./limits.ts";
import type { Orphan } from "./options.ts";
import type { Held } from "./session.ts";
import { checked } from "./structured.ts";
import type { Frame } from "./wire.ts";

// A session goes from a page to the next one in its tab, when that is reloaded. It is in storage
// only from the end of the one until the start of the other: a tab that is duplicated copies what
// is there, and two pages must not share a session.

/** Leaves a session to the next page; false if there is too much of it, or nowhere to put it. */
export function leaveInTab({ url, lastSeq }: Engine, held: Held): boolean {
  const { frames, over, bytes, ...rest } = held;
  if (bytes > MAX_STORED) return false;
  try {
    const kept = {
      ...rest,
      size: bytes,
      // Not all bytes as arguments: runtimes take 65,536.
      sent: frames.map((frame) => Array.from(frame, (byte) => String.fromCharCode(byte)).join("")),
      streams: [...over].map(String),
      seq: String(lastSeq),
    };
    sessionStorage.setItem(keyOf(url), JSON.stringify(kept));
    return true;
  } catch {
    return false;
  }
}

/** Takes the session that the page before left, if it did. */
export function takeFromTab(engine: Engine): Held | undefined {
  try {
    const key = keyOf(engine.url);
    const { size, sent, streams, seq, ...rest } = JSON.parse(sessionStorage.getItem(key) ?? "");
    sessionStorage.removeItem(key);
    const held = {
      ...rest,
      bytes: size,
      frames: sent.map((text: string) => Uint8Array.from(text, (char) => char.charCodeAt(0))),
      over: new Set(streams.map(BigInt)),
    };
    engine.lastSeq = BigInt(seq);
    return held;
  } catch {
    // There is none, or it is another version's.
    return undefined;
  }
}

function keyOf(url: string): string {
  return `arpc:${url}`;
}

/** The answer to a call of the page before. */
export function toOrphan({ fromBody }: Engine, frame: Frame): Orphan {
  const { method, seq } = frame;
  try {
    const { body, flag } = checked(frame);
    return { method, seq, body: fromBody(body, flag) };
  } catch (error) {
    return { method, seq, body: undefined, error: ArpcError.from(error) };
  }
}
