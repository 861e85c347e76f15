import { describe, expect, test } from "vitest";
import { hueOf, initialsOf } from "../src/avatar.ts";
import { noticeOf } from "../src/notice.ts";
import { roomOfHash, topicOf } from "../src/room.ts";
import type { Message } from "../src/state.ts";
import { linesOf, speakersOf } from "../src/timeline.ts";

const minute = 60_000;

function message(name: string, time: number, own = false): Message {
  return { id: `${name}${time}`, name, text: "hello", time, own, delivery: "sent" };
}

describe("lines", () => {
  test("of one person in a row are a group", () => {
    const lines = linesOf([message("Ada", 0), message("Ada", minute), message("Grace", minute)]);

    expect(lines.map(({ first, last }) => [first, last])).toEqual([
      [true, false],
      [false, true],
      [true, true],
    ]);
  });

  test("far apart, or of a namesake, are not", () => {
    const lines = linesOf([
      message("Ada", 0),
      message("Ada", 6 * minute),
      message("Ada", 6 * minute, true),
    ]);

    expect(lines.every(({ first, last }) => first && last)).toBe(true);
  });
});

test("speakers come once each, whoever spoke last first", () => {
  const speakers = speakersOf([
    message("Ada", 1),
    message("Grace", 2),
    message("Ada", 3),
    message("Ada", 4, true),
  ]);

  expect(speakers).toEqual([
    { name: "Ada", time: 4, own: true },
    { name: "Ada", time: 3, own: false },
    { name: "Grace", time: 2, own: false },
  ]);
});

describe("a picture", () => {
  test.each([
    ["Ada", "A"],
    ["ada lovelace", "AL"],
    ["Augusta Ada King", "AK"],
    ["grace.hopper", "GH"],
    ["👩‍🚀 Mae", "👩‍🚀M"],
    ["---", "?"],
  ])("of %j has the initials %j", (name, initials) => {
    expect(initialsOf(name)).toBe(initials);
  });

  test("has one colour for a name however it is written, and many for many", () => {
    const names = Array.from({ length: 100 }, (_, i) => `person ${i}`);

    expect(hueOf("Ada")).toBe(hueOf("ADA"));
    expect(new Set(names.map(hueOf)).size).toBeGreaterThan(8);
  });
});

describe("a room's address", () => {
  test.each([
    ["", "lobby"],
    ["#", "lobby"],
    ["#kitchen", "kitchen"],
    ["#Go-1", "go-1"],
    ["#-x", "lobby"],
    ["#a/b", "lobby"],
    ["#%E0%A4", "lobby"],
    [`#${"x".repeat(33)}`, "lobby"],
  ])("%j names %j", (hash, room) => {
    expect(roomOfHash(hash)).toBe(room);
  });

  test("leads to a topic of its own", () => {
    expect(topicOf("kitchen")).toBe("chat/kitchen");
  });
});

describe("the notice", () => {
  test("is silent while nothing was lost", () => {
    expect(noticeOf({ status: "connecting", retryAt: 0, lost: false }, 0)).toBeUndefined();
  });

  test("counts whole seconds down to the next attempt", () => {
    const link = { status: "waiting", retryAt: 10_000, lost: true } as const;

    expect(noticeOf(link, 7_001)?.countdown).toBe("Next attempt in 3 s");
    expect(noticeOf(link, 9_999)?.countdown).toBe("Next attempt in 1 s");
    expect(noticeOf(link, 10_000)?.countdown).toBe("Trying again…");
  });

  test("brings the good news, and says when there will be none", () => {
    expect(noticeOf({ status: "open", retryAt: 0, lost: true }, 0)?.tone).toBe("back");
    expect(noticeOf({ status: "closed", retryAt: 0, lost: true }, 0)?.text).toContain("Reload");
  });
});
