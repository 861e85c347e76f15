import { expect, test } from "vitest";
import { createId, parsePerson, parsePublication, parseRoom } from "../src/publication.ts";

const good = { id: "1", author: "a", name: "Ada", text: "hello" };

test("a message is taken as it is", () => {
  expect(parsePublication({ ...good, more: "of a later version" })).toEqual(good);
});

test.each([
  null,
  undefined,
  7,
  "text",
  [],
  new Uint8Array([1, 2]),
  { ...good, id: 1 },
  { ...good, id: "" },
  { ...good, id: "x".repeat(65) },
  { ...good, author: undefined },
  { ...good, author: {} },
  { ...good, name: { toString: "Ada" } },
  { ...good, name: " " },
  { ...good, text: ["a"] },
  { ...good, text: "\u200b" },
])("%j is none", (data) => {
  expect(parsePublication(data)).toBeUndefined();
});

test("what is too long or writes over its surroundings is mended", () => {
  const data = { ...good, name: `A\u202ed\na${"a".repeat(1e6)}`, text: ` ${"b".repeat(1e6)}` };
  const { name = "", text = "" } = parsePublication(data) ?? {};
  expect(name.startsWith("Ad a")).toBe(true);
  expect(Array.from(name)).toHaveLength(40);
  expect(Array.from(text)).toHaveLength(2000);
});

test("a person is a name and who it is", () => {
  expect(parsePerson({ author: "a", name: " Ada " })).toEqual({ author: "a", name: "Ada" });
  expect(parsePerson({ name: "Ada" })).toBeUndefined();
  expect(parsePerson(undefined)).toBeUndefined();
});

test("a room is a name of one", () => {
  expect(parseRoom({ room: "kitchen" })).toBe("kitchen");
  expect(parseRoom({ room: "<b>" })).toBeUndefined();
  expect(parseRoom("kitchen")).toBeUndefined();
});

test("ids differ", () => {
  const ids = new Set(Array.from({ length: 100 }, createId));
  expect(ids.size).toBe(100);
  expect([...ids][0]).toMatch(/^[0-9a-f]{24}$/);
});
