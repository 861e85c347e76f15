/** One message: who, what, when, and for one's own what became of it. */

import type { Message } from "../conversation.ts";
import { piecesOf } from "../links.ts";
import type { MessageLine } from "../timeline.ts";
import { renderAvatar } from "./avatar.ts";
import { create, setText } from "./dom.ts";
import { createIcon } from "./icon.ts";
import { setTime } from "./time.ts";

const DELIVERIES: Record<Message["delivery"], string> = {
  waiting: "Waiting to be sent",
  sending: "Sending…",
  sent: "Sent",
  failed: "Not sent",
};

// Up to three signs, and nothing but signs.
const JUMBO = /^(?:\p{RGI_Emoji}\s*){1,3}$/v;

/** A row for a message; what may change is left to `updateMessage`. */
export function createMessage({ message }: MessageLine): HTMLElement {
  const row = create("li", "line");
  row.tabIndex = -1;
  row.setAttribute("data-id", message.id);
  const avatar = create("span", "avatar");
  avatar.ariaHidden = "true";
  renderAvatar(avatar, message.name);
  const head = create("p", "head");
  head.append(create("bdi", "name", message.own ? "You" : message.name));
  row.append(avatar, head, createBubble(message.text));
  // The time stands over what others say, and with the delivery under one's own.
  (message.own ? appendFoot(row) : head).append(create("time", "time"));
  return row;
}

/** Shows what may change of a message: its place among the others, its time, its delivery. */
export function updateMessage(row: HTMLElement, { message, first, last }: MessageLine): void {
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
  for (const button of row.querySelectorAll<HTMLButtonElement>(".retry")) {
    button.hidden = message.delivery !== "failed";
  }
}

function createBubble(message: string): HTMLElement {
  const bubble = create("div", "bubble");
  const text = create("p", "text");
  text.dir = "auto";
  text.classList.toggle("jumbo", JUMBO.test(message));
  for (const piece of piecesOf(message)) {
    text.append(piece.href === undefined ? piece.text : createLink(piece.text, piece.href));
  }
  const copy = create("button", "copy");
  copy.type = "button";
  copy.tabIndex = -1;
  copy.ariaLabel = "Copy the message";
  copy.append(createIcon("copy"));
  bubble.append(text, copy);
  return bubble;
}

function createLink(text: string, href: string): HTMLElement {
  const link = create("a", "", text);
  link.href = href;
  link.target = "_blank";
  link.rel = "noopener noreferrer nofollow ugc";
  return link;
}

function appendFoot(row: HTMLElement): HTMLElement {
  const foot = create("p", "foot");
  for (const [name, words] of [
    ["retry", "Try again"],
    ["discard", "Remove"],
  ] as const) {
    const button = create("button", `retry ${name}`, words);
    button.type = "button";
    foot.append(button);
  }
  foot.append(create("span", "delivery"));
  row.append(foot);
  return foot;
}

function deliveryOf({ delivery, reason }: Message): string {
  const words = DELIVERIES[delivery];
  return reason === undefined ? words : `${words}: ${reason}`;
}
