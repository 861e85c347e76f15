import { describe, expect, test } from "vitest";
import {
  cleanName,
  cleanText,
  createId,
  MAX_NAME,
  MAX_TEXT,
  parsePublication,
} from "../src/publication.ts";

const fine = { id: "1f", name: "Ada", text: "hello" };

describe("what arrives from a topic", () => {
  test("a publication is taken as it is", () => {
    expect(parsePublication(fine)).toEqual(fine);
  });

  test("what else it carries is left out", () => {
    const more: unknown = JSON.parse(
      '{"id": "1f", "name": "Ada", "text": "hello", "own": true, "__proto__": {"admin": true}}',
    );

    expect(parsePublication(more)).toEqual(fine);
  });

  test.each([
    ["nothing", undefined],
    ["null", null],
    ["a text", "hello"],
    ["bytes", new Uint8Array([1, 2, 3])],
    ["a list", [fine]],
    ["no id", { name: "Ada", text: "hello" }],
    ["an empty id", { ...fine, id: "" }],
    ["an id that is a number", { ...fine, id: 7 }],
    ["an id without end", { ...fine, id: "x".repeat(65) }],
    ["a name that is a list", { ...fine, name: ["Ada"] }],
    ["a name of nothing visible", { ...fine, name: " \u200b\u202e\u200d " }],
    ["a text that is an object", { ...fine, text: { length: 5 } }],
    ["a text of nothing visible", { ...fine, text: " \n\u0000\u200b " }],
  ])("%s is ignored", (_, data) => {
    expect(parsePublication(data)).toBeUndefined();
  });

  test("what is too long is cut, and says so", () => {
    const long = parsePublication({ ...fine, name: "n".repeat(1e6), text: "t".repeat(1e6) });

    expect(long?.name).toBe(`${"n".repeat(MAX_NAME - 1)}…`);
    expect(long?.text).toBe(`${"t".repeat(MAX_TEXT - 1)}…`);
  });

  test("markup is text like any other", () => {
    const markup = "<img src=x onerror=alert(1)>";

    expect(parsePublication({ ...fine, name: markup, text: markup })).toEqual({
      ...fine,
      name: markup,
      text: markup,
    });
  });
});

describe("a name", () => {
  test.each([
    ["  Ada \n\t Lovelace ", "Ada Lovelace"],
    ["evil\u202etxt.exe", "eviltxt.exe"],
    ["👩‍🚀 Mae", "👩‍🚀 Mae"],
    ["می‌خواهم", "می‌خواهم"],
  ])("%j is shown as %j", (name, shown) => {
    expect(cleanName(name)).toBe(shown);
  });

  test("is cut between signs of two units, not within", () => {
    expect(cleanName("😀".repeat(MAX_NAME + 1))).toBe(`${"😀".repeat(MAX_NAME - 1)}…`);
  });
});

test("a text keeps its lines and loses the space around them", () => {
  expect(cleanText("\n  one\n\n\ttwo \u0007 \n")).toBe("one\n\n\ttwo");
});

test("ids are different", () => {
  const ids = new Set(Array.from({ length: 1000 }, createId));

  expect(ids.size).toBe(1000);
});
