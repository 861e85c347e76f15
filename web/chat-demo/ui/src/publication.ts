/**
 * What the pages of a room send each other: a small JSON value, published to
 * the room's topic. Topics are open to every peer, so what arrives is read as
 * hostile: anything of the wrong shape is ignored, anything too long is cut.
 */

/** The longest name shown, in Unicode code points. */
export const MAX_NAME = 40;

/** The longest text of one message, in Unicode code points. */
export const MAX_TEXT = 2000;

const MAX_ID = 64;

/** One message of a room as it travels. */
export interface Publication {
  /** Chosen by the sender and unique; a message that arrives twice is shown once. */
  readonly id: string;
  readonly name: string;
  readonly text: string;
}

/** Returns the publication in `data`, or undefined if it is not one. */
export function parsePublication(data: unknown): Publication | undefined {
  if (typeof data !== "object" || data === null) {
    return undefined;
  }
  const { id, name, text } = data as Record<"id" | "name" | "text", unknown>;
  if (typeof id !== "string" || id === "" || id.length > MAX_ID) {
    return undefined;
  }
  if (typeof name !== "string" || typeof text !== "string") {
    return undefined;
  }
  const clean = { id, name: cleanName(name), text: cleanText(text) };
  return clean.name === "" || clean.text === "" ? undefined : clean;
}

/**
 * A name on one line, at most MAX_NAME long, without characters that write
 * over their surroundings; empty if nothing of it would be seen.
 */
export function cleanName(name: string): string {
  const line = bound(name, MAX_NAME).replace(INVISIBLE, "").replace(/\s+/g, " ").trim();
  return VISIBLE.test(line) ? cut(line, MAX_NAME) : "";
}

/**
 * A text without surrounding blank space, at most MAX_TEXT long; empty if
 * nothing of it would be seen. Line breaks stay.
 */
export function cleanText(text: string): string {
  const clean = bound(text, MAX_TEXT).replace(CONTROL, "").trim();
  return VISIBLE.test(clean) ? cut(clean, MAX_TEXT) : "";
}

/** A fresh id: 96 random bits. Works where crypto.randomUUID does not, on plain http. */
export function createId(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(12));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

// Control characters but tab and line feed.
const CONTROL = /(?![\t\n])\p{Cc}/gu;

// Control and format characters: direction overrides, tags, zero-width space.
// The joiners stay: they hold emoji together and Persian and Indic words apart.
const INVISIBLE = /(?![\t\n\u200c\u200d])[\p{Cc}\p{Cf}]/gu;

const VISIBLE = /[\p{L}\p{N}\p{P}\p{S}]/u;

// Cleaning takes time in proportion to the length, and a peer decides the
// length: a generous slice comes first. A code point is at most two units.
function bound(value: string, limit: number): string {
  return value.slice(0, 4 * limit);
}

function cut(value: string, limit: number): string {
  const points = Array.from(value);
  return points.length <= limit ? value : `${points.slice(0, limit - 1).join("")}…`;
}
