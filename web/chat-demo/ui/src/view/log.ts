/** The room on screen, line by line, kept at the latest unless the reader scrolled up. */

import type { Room } from "../conversation.ts";
import { gapText } from "../notice.ts";
import { currentRoom, type State } from "../state.ts";
import { isSameLine, type Line, linesOf } from "../timeline.ts";
import { byId, create, setText } from "./dom.ts";
import { renderList } from "./list.ts";
import { copyOf, walk } from "./log-keys.ts";
import { createMessage, updateMessage } from "./message.ts";
import type { Actions, Render } from "./part.ts";
import { dayOf } from "./time.ts";

/** Closer to an end than this, in CSS pixels, counts as being there. */
const AT_END = 48;

/** Closer to the top than this, in CSS pixels, asks for what was said before. */
const NEAR_TOP = 400;

/** The list of messages. */
export function createLog(actions: Pick<Actions, "retry" | "discard" | "readBack">): Render {
  const log = byId("log", HTMLElement);
  const list = byId("messages", HTMLElement);
  const latest = byId("latest", HTMLButtonElement);
  const latestText = byId("latest-text", HTMLElement);
  const renderLines = renderList<Line>(list, {
    key: ({ key }) => key,
    create: createLine,
    update: (row, line) => line.kind === "message" && updateMessage(row, line),
    isSame: isSameLine,
  });
  let room = "";
  let shown: Room | undefined;
  let isFollowing = true;
  let news = 0;

  function toEnd(): void {
    log.scrollTop = log.scrollHeight;
  }

  function showLatest(): void {
    latest.hidden = isFollowing;
    setText(latestText, news === 0 ? "Jump to the latest" : newsText(news));
  }

  log.addEventListener("scroll", () => {
    isFollowing = log.scrollHeight - log.scrollTop - log.clientHeight < AT_END;
    news = isFollowing ? 0 : news;
    showLatest();
    if (log.scrollTop < NEAR_TOP && shown?.past === "more") {
      actions.readBack();
    }
  });
  latest.addEventListener("click", () => {
    toEnd();
    log.focus();
  });
  list.addEventListener("click", (event) => {
    const button = event.target instanceof Element ? event.target.closest("button") : null;
    const id = button?.closest("li")?.getAttribute("data-id");
    if (typeof id !== "string" || button === null) {
      return;
    }
    if (button.classList.contains("copy")) {
      copyOf(button.closest("li"));
    } else if (button.classList.contains("discard")) {
      actions.discard(id);
    } else {
      actions.retry(id);
    }
  });
  log.addEventListener("keydown", (event) => walk(event, list));
  // The log gets lower when the composer grows or a phone's keyboard comes up.
  new ResizeObserver(() => isFollowing && toEnd()).observe(log);

  return (state) => {
    const now = currentRoom(state);
    if (state.room !== room) {
      room = state.room;
      isFollowing = true;
      news = 0;
    }
    if (now === shown) {
      return;
    }
    const before = shown;
    shown = now;
    const fromEnd = log.scrollHeight - log.scrollTop;
    const added = newsSince(before, now);
    renderLines(linesOf(now));
    if (isFollowing || (added > 0 && now.messages.at(-1)?.own)) {
      toEnd();
      isFollowing = true;
    } else {
      news += added;
      keepPlace(log, fromEnd, before, now);
    }
    showLatest();
    fillScreen(state, now);
  };

  // A page of history that does not fill the screen leaves nothing to scroll.
  function fillScreen(state: State, { past }: Room): void {
    if (past === "more" && state.name !== "" && log.scrollHeight <= log.clientHeight) {
      actions.readBack();
    }
  }
}

// What is put in above must not move what is being read.
function keepPlace(log: HTMLElement, fromEnd: number, before: Room | undefined, now: Room): void {
  const hasOlder = before?.messages[0]?.id !== now.messages[0]?.id;
  if (hasOlder && before?.messages.at(-1) === now.messages.at(-1)) {
    log.scrollTop = log.scrollHeight - fromEnd;
  }
}

function newsSince(before: Room | undefined, { messages }: Room): number {
  const last = before?.messages.at(-1)?.id;
  if (last === undefined) {
    return 0;
  }
  const at = messages.findLastIndex(({ id }) => id === last);
  return at === -1 ? 0 : messages.length - 1 - at;
}

function newsText(news: number): string {
  return news === 1 ? "1 new message" : `${news} new messages`;
}

function createLine(line: Line): HTMLElement {
  switch (line.kind) {
    case "message":
      return createMessage(line);
    case "day":
      return createMark("day", dayOf(line.time, Date.now()));
    case "unread":
      return createMark("day unread", "New");
    case "gap":
      return createMark("gap", gapText(line));
  }
}

function createMark(className: string, text: string): HTMLElement {
  const mark = create("li", className);
  mark.append(create("span", "", text));
  return mark;
}
