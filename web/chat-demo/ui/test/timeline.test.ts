import { describe, expect, test } from "vitest";
import { emptyRoom, type Message, type Room } from "../src/conversation.ts";
import { activityOf, gapText, noticeOf } from "../src/notice.ts";
import { initialState } from "../src/state.ts";
import { isSameLine, type Line, linesOf } from "../src/timeline.ts";

const NOON = new Date(2026, 4, 17, 12).getTime();
const MINUTE = 60_000;

function message(id: string, minutes: number, author = "ada"): Message {
  const time = NOON + minutes * MINUTE;
  return { id, author, name: author, text: id, time, own: author === "me", delivery: "sent" };
}

function linesIn(messages: readonly Message[], more: Partial<Room> = {}): string[] {
  return linesOf({ ...emptyRoom, ...more, messages }).map(wordsOf);
}

function wordsOf(line: Line): string {
  if (line.kind !== "message") {
    return line.kind;
  }
  return `${line.message.id}${line.first ? " first" : ""}${line.last ? " last" : ""}`;
}

describe("the lines of a room", () => {
  test("begin with the day, and group what one says in a row", () => {
    const messages = [message("a", 0), message("b", 1), message("c", 2, "grace"), message("d", 9)];
    expect(linesIn(messages)).toEqual(["day", "a first", "b last", "c first last", "d first last"]);
  });

  test("part what lies far apart", () => {
    expect(linesIn([message("a", 0), message("b", 6)])).toEqual([
      "day",
      "a first last",
      "b first last",
    ]);
  });

  test("tell where a day begins", () => {
    const late = { ...message("a", 0), time: new Date(2026, 4, 17, 23, 59).getTime() };
    const early = { ...message("b", 0), time: new Date(2026, 4, 18, 0, 1).getTime() };
    expect(linesIn([late, early])).toEqual(["day", "a first last", "day", "b first last"]);
  });

  test("tell what is new, and what is gone", () => {
    const messages = [message("a", 0), message("b", 1), message("c", 1)];
    const gaps = [{ after: "b", missed: 2 }];
    expect(linesIn(messages, { gaps, firstUnread: "b" })).toEqual([
      "day",
      "a first last",
      "unread",
      "b first last",
      "gap",
      "c first last",
    ]);
  });

  test("are the same as long as nothing of them changed", () => {
    const messages = [message("a", 0), message("b", 1)];
    const [, a, b] = linesOf({ ...emptyRoom, messages });
    const [, again, alone] = linesOf({ ...emptyRoom, messages: messages.slice(0, 1) });
    expect(a && again && isSameLine(a, linesOf({ ...emptyRoom, messages })[1] as Line)).toBe(true);
    expect(a && again && isSameLine(a, again)).toBe(false);
    expect(b).toBeDefined();
    expect(alone).toBeUndefined();
  });
});

describe("the banner", () => {
  const lost = {
    ...initialState,
    now: 10_000,
    link: { status: "waiting", retryAt: 13_100, lost: true },
  } as const;

  test("says nothing as long as all is well", () => {
    expect(noticeOf(initialState)).toBeUndefined();
  });

  test("counts down", () => {
    expect(noticeOf(lost)).toMatchObject({ tone: "lost", countdown: "Next attempt in 4 s" });
    expect(noticeOf({ ...lost, now: 13_100 })?.countdown).toBe("Trying again…");
  });

  test("says so when it is back, and when there is no way back", () => {
    expect(noticeOf({ ...lost, link: { ...lost.link, status: "open" } })?.tone).toBe("back");
    expect(noticeOf({ ...lost, link: { ...lost.link, status: "closed" } })?.text).toMatch(/Reload/);
  });

  test("knows who broke it", () => {
    expect(noticeOf({ ...lost, cut: true })?.text).toMatch(/^You broke/);
  });
});

describe("the others", () => {
  const typist = (name: string) => ({ author: name, name, until: 1 });

  test.each([
    [[], undefined],
    [["Grace"], "\u2068Grace\u2069 is typing…"],
    [["Grace", "Ada"], "\u2068Grace\u2069 and \u2068Ada\u2069 are typing…"],
    [["Grace", "Ada", "Bob"], "Several people are typing…"],
  ])("%j", (names, text) => {
    expect(activityOf({ ...emptyRoom, typing: names.map(typist) })).toBe(text);
  });

  test("come and go", () => {
    const change = { author: "g", name: "Grace", came: true, until: 1 };
    expect(activityOf({ ...emptyRoom, change })).toBe("\u2068Grace\u2069 came in");
    expect(activityOf({ ...emptyRoom, change: { ...change, came: false } })).toMatch(/left$/);
  });
});

test.each([
  [0, /may be missing/],
  [1, /^1 message came/],
  [12, /^12 messages came/],
])("a gap of %i", (missed, text) => {
  expect(gapText({ missed })).toMatch(text);
});
