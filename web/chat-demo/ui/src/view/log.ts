/** The messages of the room on screen, kept at the latest unless the reader scrolled up. */

import { currentRoom, type Message } from "../state.ts";
import { type Line, linesOf } from "../timeline.ts";
import { renderAvatar } from "./avatar.ts";
import { byId, create, setText } from "./dom.ts";
import { renderList } from "./list.ts";
import type { Actions, Render } from "./part.ts";
import { setTime } from "./time.ts";

/** Closer to the end than this, in CSS pixels, counts as reading the latest. */
const AT_END = 48;

const DELIVERIES: Record<Message["delivery"], string> = {
  waiting: "Waiting for the connection",
  sending: "Sending…",
  sent: "Sent",
  failed: "Not sent",
};

/** The list of messages. */
export function createLog(actions: Pick<Actions, "retry">): Render {
  const log = byId("log", HTMLElement);
  const list = byId("messages", HTMLElement);
  const empty = byId("empty", HTMLElement);
  const emptyRoom = byId("empty-room", HTMLElement);
  const latest = byId("latest", HTMLButtonElement);
  const renderLines = renderList(list, {
    key: ({ message }: Line) => message.id,
    create: ({ message }: Line) => createLine(message),
    update: updateLine,
  });
  let room = "";
  let shown: readonly Message[] = [];
  let following = true;

  function toEnd(): void {
    log.scrollTop = log.scrollHeight;
  }

  log.addEventListener("scroll", () => {
    following = log.scrollHeight - log.scrollTop - log.clientHeight < AT_END;
    latest.hidden = latest.hidden || following;
  });
  latest.addEventListener("click", () => {
    toEnd();
    log.focus();
  });
  list.addEventListener("click", (event) => {
    const button = event.target instanceof Element ? event.target.closest("button") : null;
    const id = button?.closest("li")?.getAttribute("data-id");
    if (typeof id === "string") {
      actions.retry(id);
    }
  });
  // The log gets lower when the composer grows or a phone's keyboard comes up.
  new ResizeObserver(() => following && toEnd()).observe(log);

  return (state) => {
    const { messages } = currentRoom(state);
    if (state.room !== room) {
      room = state.room;
      following = true;
      latest.hidden = true;
    }
    empty.hidden = messages.length > 0;
    setText(emptyRoom, `#${state.room}`);
    if (messages === shown) {
      return;
    }
    const last = messages.at(-1);
    const news = last !== undefined && last.id !== shown.at(-1)?.id;
    shown = messages;
    renderLines(linesOf(messages));
    if (following || (news && last.own)) {
      toEnd();
    } else if (news) {
      latest.hidden = false;
    }
  };
}

function createLine(message: Message): HTMLElement {
  const row = create("li", "line");
  row.setAttribute("data-id", message.id);
  const avatar = create("span", "avatar");
  avatar.ariaHidden = "true";
  renderAvatar(avatar, message.name);
  const head = create("p", "head");
  head.append(create("bdi", "name", message.own ? "You" : message.name));
  const text = create("p", "text", message.text);
  text.dir = "auto";
  row.append(avatar, head, text);
  // The time stands over what others say, and with the delivery under one's own.
  (message.own ? appendFoot(row) : head).append(create("time", "time"));
  return row;
}

function appendFoot(row: HTMLElement): HTMLElement {
  const foot = create("p", "foot");
  const retry = create("button", "retry", "Try again");
  retry.type = "button";
  foot.append(retry, create("span", "delivery"));
  row.append(foot);
  return foot;
}

function updateLine(row: HTMLElement, { message, first, last }: Line): void {
  row.classList.toggle("own", message.own);
  row.classList.toggle("first", first);
  row.classList.toggle("last", last);
  row.setAttribute("data-delivery", message.delivery);
  const time = row.querySelector("time");
  if (time !== null) {
    setTime(time, message.time);
  }
  const delivery = row.querySelector<HTMLElement>(".delivery");
  if (delivery !== null) {
    setText(delivery, deliveryOf(message));
  }
  const retry = row.querySelector("button");
  if (retry !== null) {
    retry.hidden = message.delivery !== "failed";
  }
}

function deliveryOf({ delivery, reason }: Message): string {
  const words = DELIVERIES[delivery];
  return reason === undefined ? words : `${words}: ${reason}`;
}
