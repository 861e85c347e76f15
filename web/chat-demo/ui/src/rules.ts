/**
 * What a name, a text and a room may be. The server refuses what breaks these
 * rules; the page mends what a person typed before it sends it, and what others
 * sent before it shows it. `rules.go` has the same rules, and both read
 * `testdata/rules.json` in their tests.
 */

/** The longest name, in Unicode code points. */
export const MAX_NAME = 40;

/** The longest text of one message, in Unicode code points. */
export const MAX_TEXT = 2000;

/** The room everybody finds. */
export const LOBBY = "lobby";

const ROOM = /^[a-z0-9][a-z0-9-]{0,31}$/;

/** Whether a room may be called so: 1 to 32 of a-z, 0-9 and, not first, hyphens. */
export function isRoom(name: string): boolean {
  return ROOM.test(name);
}

/** The room someone means who typed this, or an empty string if it can be none. */
export function cleanRoom(typed: string): string {
  const name = bound(typed, 32)
    .normalize("NFKD")
    .toLowerCase()
    .replace(/\p{M}/gu, "")
    .replace(/[^a-z0-9]+/g, "-")
    .replace(/^-/, "")
    .slice(0, 32)
    .replace(/-$/, "");
  return isRoom(name) ? name : "";
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

// Control characters but tab and line feed.
const CONTROL = /(?![\t\n])\p{Cc}/gu;

// Control and format characters: direction overrides, tags, zero-width space.
// The joiners stay: they hold emoji together and Persian and Indic words apart.
const INVISIBLE = /(?![\t\n\u200c\u200d])[\p{Cc}\p{Cf}]/gu;

const VISIBLE = /[\p{L}\p{N}\p{P}\p{S}]/u;

// Cleaning takes time in proportion to the length, and a peer decides the
// length: a generous slice comes first. A code point is at most two units, and
// half of one is not text.
function bound(value: string, limit: number): string {
  return value.slice(0, 4 * limit).toWellFormed();
}

function cut(value: string, limit: number): string {
  const points = Array.from(value);
  return points.length <= limit
    ? value
    : `${points
        .slice(0, limit - 1)
        .join("")
        .trimEnd()}…`;
}
