/** The picture of someone who has none: initials on a colour that follows from the name. */

/** Hues, in degrees, that differ at one lightness; the yellows, which turn to mud, are left out. */
const HUES = [12, 30, 48, 140, 160, 182, 208, 232, 256, 282, 308, 336] as const;

/** The colour of a name, as a hue in degrees; the same on every page. */
export function hueOf(name: string): number {
  // FNV-1a: short names that differ in one letter land far apart.
  let hash = 0x811c9dc5;
  for (const byte of new TextEncoder().encode(name.toLowerCase())) {
    hash = Math.imul(hash ^ byte, 0x01000193);
  }
  return HUES[(hash >>> 0) % HUES.length] ?? HUES[0];
}

/** One or two letters for a name: of its first and its last word. */
export function initialsOf(name: string): string {
  const words = name.split(/[\s._-]+/).filter((word) => word !== "");
  const letters = words.map(firstGrapheme);
  const [first = "?"] = letters;
  const last = letters.length > 1 ? (letters.at(-1) ?? "") : "";
  return (first + last).toLocaleUpperCase();
}

// What a reader takes for one sign may be many code points: a flag, a family.
function firstGrapheme(word: string): string {
  const [grapheme] = new Intl.Segmenter().segment(word);
  return grapheme?.segment ?? "";
}
