import { describe, expect, test } from "vitest";
import { piecesOf } from "../src/links.ts";

function hrefs(text: string): (string | undefined)[] {
  return piecesOf(text).flatMap(({ href }) => (href === undefined ? [] : [href]));
}

describe("an address becomes a link", () => {
  test.each([
    ["see https://example.org/a?b=c#d for more", "https://example.org/a?b=c#d"],
    ["HTTP://EXAMPLE.ORG", "http://example.org/"],
    ["(https://example.org/)", "https://example.org/"],
    ["https://example.org/a_(b)", "https://example.org/a_(b)"],
    ["https://example.org.", "https://example.org/"],
    ['"https://example.org"', "https://example.org/"],
    ["http://localhost:8080/#/lobby", "http://localhost:8080/#/lobby"],
  ])("%s", (text, href) => {
    expect(hrefs(text)).toEqual([href]);
  });

  test("and several become several, in their places", () => {
    expect(piecesOf("a https://b.example c https://d.example/")).toEqual([
      { text: "a " },
      { text: "https://b.example", href: "https://b.example/" },
      { text: " c " },
      { text: "https://d.example/", href: "https://d.example/" },
    ]);
  });
});

describe("all else stays text", () => {
  test.each([
    "javascript:alert(1)",
    "JaVaScRiPt:alert(1)//https",
    "data:text/html,<script>alert(1)</script>",
    "ftp://example.org",
    "http://",
    "https://[",
    "https://user:password@example.org/",
    "https://example.org@evil.example/",
    "www.example.org",
    "xhttps://example.org",
  ])("%s", (text) => {
    expect(hrefs(text)).toEqual([]);
  });
});

test("the pieces are the text", () => {
  for (const text of [
    "",
    "a",
    "https://a.b",
    " https://a.b, https://c.d)!",
    "https://",
    "x\nhttp://y\n",
  ]) {
    expect(
      piecesOf(text)
        .map((piece) => piece.text)
        .join(""),
    ).toBe(text);
  }
});
