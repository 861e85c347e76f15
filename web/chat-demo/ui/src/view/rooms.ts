/** The rooms: those visited, with what is unread there, the others, and a form to open one. */

import type { Room } from "../conversation.ts";
import { hashOfRoom } from "../room.ts";
import { cleanRoom, LOBBY } from "../rules.ts";
import type { State } from "../state.ts";
import { byId, create, setText } from "./dom.ts";
import { createIcon } from "./icon.ts";
import { renderList } from "./list.ts";
import type { Actions, Render } from "./part.ts";

interface Entry {
  readonly name: string;
  readonly unread: number;
  readonly isCurrent: boolean;
  readonly isUnsent: boolean;
}

/** The list of rooms. */
export function createRooms(actions: Pick<Actions, "visit" | "forget">): Render {
  const visited = byId("rooms", HTMLElement);
  const renderVisited = renderRooms(visited, true);
  const more = byId("more-rooms", HTMLElement);
  const renderMore = renderRooms(more, false);
  const moreTitle = byId("more-title", HTMLElement);
  visited.addEventListener("click", (event) => {
    const button = event.target instanceof Element ? event.target.closest("button") : null;
    const room = button?.getAttribute("data-room");
    if (typeof room === "string") {
      actions.forget(room);
    }
  });
  wireForm(actions);

  return (state) => {
    renderVisited(sorted(state.rooms.keys()).map((name) => entryOf(name, state)));
    const others = sorted(state.listed).filter((name) => !state.rooms.has(name));
    renderMore(others.map((name) => entryOf(name, state)));
    more.hidden = others.length === 0;
    moreTitle.hidden = others.length === 0;
  };
}

function wireForm(actions: Pick<Actions, "visit">): void {
  const form = byId("new-room", HTMLFormElement);
  const name = byId("new-room-name", HTMLInputElement);
  const error = byId("new-room-error", HTMLElement);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const room = cleanRoom(name.value);
    setText(error, room === "" ? "A room is called with letters and digits." : "");
    name.setAttribute("aria-invalid", String(room === ""));
    if (room === "") {
      name.focus();
      return;
    }
    name.value = "";
    actions.visit(room);
  });
}

function renderRooms(list: HTMLElement, canLeave: boolean): (entries: readonly Entry[]) => void {
  return renderList<Entry>(list, {
    key: ({ name }) => name,
    create: ({ name }) => createEntry(name, canLeave && name !== LOBBY),
    update: updateEntry,
    isSame: (a, b) =>
      a.unread === b.unread && a.isCurrent === b.isCurrent && a.isUnsent === b.isUnsent,
  });
}

function createEntry(name: string, canLeave: boolean): HTMLElement {
  const row = create("li", "room-row");
  const link = create("a", "room-link");
  link.href = hashOfRoom(name);
  link.append(create("span", "room-name", `#${name}`), create("span", "badge"));
  row.append(link);
  if (canLeave) {
    const leave = create("button", "icon-button room-leave");
    leave.type = "button";
    leave.ariaLabel = `Leave #${name}`;
    leave.setAttribute("data-room", name);
    leave.append(createIcon("leave"));
    row.append(leave);
  }
  return row;
}

function updateEntry(row: HTMLElement, { unread, isCurrent, isUnsent }: Entry): void {
  const link = row.querySelector("a");
  link?.toggleAttribute("aria-current", false);
  if (isCurrent) {
    link?.setAttribute("aria-current", "page");
  }
  row.classList.toggle("has-unread", unread > 0);
  const badge = row.querySelector<HTMLElement>(".badge");
  if (badge !== null) {
    badge.hidden = unread === 0 && !isUnsent;
    setText(badge, unread > 0 ? countOf(unread) : "…");
    badge.ariaLabel = unread > 0 ? `${unread} unread` : "not sent yet";
    badge.role = "img";
  }
}

/** A count as a badge has room for it. */
export function countOf(unread: number): string {
  return unread > 99 ? "99+" : String(unread);
}

function entryOf(name: string, { room, rooms }: State): Entry {
  const known = rooms.get(name);
  const isUnsent = known !== undefined && name !== room && hasUnsent(known);
  return { name, unread: known?.unread ?? 0, isCurrent: name === room, isUnsent };
}

function hasUnsent({ messages }: Room): boolean {
  return messages.some(({ delivery }) => delivery !== "sent");
}

function sorted(names: Iterable<string>): string[] {
  return [...names].sort((a, b) =>
    a === LOBBY ? -1 : b === LOBBY ? 1 : a.localeCompare(b, "en", { numeric: true }),
  );
}
