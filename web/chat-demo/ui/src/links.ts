/** Finds the addresses in a text. What may become a link is decided here and nowhere else. */

/** A piece of a text: plain, or with the address it leads to. */
export interface Piece {
  readonly text: string;
  readonly href?: string;
}

// Where an address may begin; how far it goes is up to the next blank, quote or bracket.
const CANDIDATE = /\bhttps?:\/\/[^\s<>"'`]+/giu;

// Punctuation that ends a sentence rather than an address.
const TRAILING = /[.,:;!?…]+$/;

/** The pieces of a text in order; joined they are the text again. */
export function piecesOf(text: string): Piece[] {
  const pieces: Piece[] = [];
  let end = 0;
  for (const match of text.matchAll(CANDIDATE)) {
    const shown = trimmed(match[0]);
    const href = hrefOf(shown);
    if (href !== undefined) {
      plain(text.slice(end, match.index));
      pieces.push({ text: shown, href });
      end = match.index + shown.length;
    }
  }
  plain(text.slice(end));
  return pieces;

  function plain(between: string): void {
    if (between !== "") {
      pieces.push({ text: between });
    }
  }
}

// The browser's own parser has the last word on what it would open. An address
// with a user name in front of its host is a common disguise: it stays text.
function hrefOf(shown: string): string | undefined {
  if (!URL.canParse(shown)) {
    return undefined;
  }
  const { protocol, username, password, href } = new URL(shown);
  const isWeb = protocol === "http:" || protocol === "https:";
  return isWeb && username === "" && password === "" ? href : undefined;
}

function trimmed(address: string): string {
  const rest = address.replace(TRAILING, "");
  // A closing bracket belongs to the sentence, unless the address opened it.
  if (rest.endsWith(")") && !rest.includes("(")) {
    return trimmed(rest.slice(0, -1));
  }
  return rest;
}
