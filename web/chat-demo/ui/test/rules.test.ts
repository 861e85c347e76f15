// The cases the server reads too: what the page hands over, the server takes.
import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { cleanName, cleanRoom, cleanText, isRoom, MAX_NAME, MAX_TEXT } from "../src/rules.ts";

type Cases = Record<"valid" | "invalid", readonly string[]>;
const file = new URL("../../testdata/rules.json", import.meta.url);
const cases: Record<"names" | "texts" | "rooms", Cases> = JSON.parse(readFileSync(file, "utf8"));

describe("the cases of both languages", () => {
  test.each(cases.names.valid)("name %j stays as it is", (name) => {
    expect(cleanName(name)).toBe(name);
  });
  test.each(cases.names.invalid)("name %j does not", (name) => {
    expect(cleanName(name)).not.toBe(name || "anything");
  });
  test.each(cases.texts.valid)("text %j stays as it is", (text) => {
    expect(cleanText(text)).toBe(text);
  });
  test.each(cases.texts.invalid)("text %j does not", (text) => {
    expect(cleanText(text)).not.toBe(text || "anything");
  });
  test.each(cases.rooms.valid)("room %j", (room) => {
    expect(isRoom(room)).toBe(true);
  });
  test.each(cases.rooms.invalid)("no room %j", (room) => {
    expect(isRoom(room)).toBe(false);
  });
});

test("cleaning once is enough", () => {
  const strings = Object.values(cases).flatMap(({ valid, invalid }) => [...valid, ...invalid]);
  for (const value of [...strings, `${"a ".repeat(30)}b`, "😀".repeat(60), "x".repeat(5000)]) {
    expect(cleanName(cleanName(value))).toBe(cleanName(value));
    expect(cleanText(cleanText(value))).toBe(cleanText(value));
  }
});

test("what is too long is cut by code points, and says so", () => {
  expect(cleanName("😀".repeat(60))).toBe(`${"😀".repeat(MAX_NAME - 1)}…`);
  expect(Array.from(cleanText("ä".repeat(5000)))).toHaveLength(MAX_TEXT);
  // The slice may fall into the middle of a sign.
  expect(cleanText(`a${"😀".repeat(10_000)}`).isWellFormed()).toBe(true);
});

test("a room is called what its founder meant", () => {
  expect(cleanRoom("  Café Crème! ")).toBe("cafe-creme");
  expect(cleanRoom("#Release 2.0")).toBe("release-2-0");
  expect(cleanRoom("日本")).toBe("");
  expect(cleanRoom("--")).toBe("");
  expect(cleanRoom("x".repeat(80))).toBe("x".repeat(32));
});
