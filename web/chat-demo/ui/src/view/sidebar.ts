/** The column beside the room, which is a menu where the screen is narrow; and who one is. */

import { unreadOf } from "../state.ts";
import { renderAvatar } from "./avatar.ts";
import { byId, setText } from "./dom.ts";
import type { Actions, Render } from "./part.ts";
import { createPeople } from "./people.ts";
import { countOf, createRooms } from "./rooms.ts";
import { createTheme } from "./theme.ts";

/** The column beside the room. */
export function createSidebar(actions: Actions): Render {
  const parts = [
    createRooms(actions),
    createPeople(),
    createMenu(actions),
    createOneself(actions),
    createTheme(actions),
  ];
  return (state) => {
    for (const render of parts) {
      render(state);
    }
  };
}

function createMenu(actions: Pick<Actions, "showMenu">): Render {
  const chat = byId("chat", HTMLElement);
  const sidebar = byId("sidebar", HTMLElement);
  const room = byId("room", HTMLElement);
  const open = byId("menu", HTMLButtonElement);
  const close = byId("menu-close", HTMLButtonElement);
  const label = byId("menu-label", HTMLElement);
  const badge = byId("menu-badge", HTMLElement);
  let isOpen = false;
  open.addEventListener("click", () => actions.showMenu(true));
  close.addEventListener("click", () => actions.showMenu(false));
  byId("scrim", HTMLElement).addEventListener("click", () => actions.showMenu(false));
  sidebar.addEventListener("keydown", (event) => {
    if (event.key === "Escape") {
      actions.showMenu(false);
    }
  });

  return (state) => {
    const unread = unreadOf(state);
    badge.hidden = unread === 0;
    setText(badge, countOf(unread));
    setText(label, unread === 0 ? "Rooms and people" : `Rooms and people, ${unread} unread`);
    if (state.menu === isOpen) {
      return;
    }
    isOpen = state.menu;
    chat.classList.toggle("menu-open", isOpen);
    open.ariaExpanded = String(isOpen);
    // What the menu covers is out of reach as long as it does.
    room.inert = isOpen;
    // Whoever opens the menu goes on in it, and comes back to where they were.
    (isOpen ? close : open).focus();
  };
}

function createOneself(actions: Pick<Actions, "leave">): Render {
  const avatar = byId("my-avatar", HTMLElement);
  const name = byId("my-name", HTMLElement);
  byId("leave", HTMLButtonElement).addEventListener("click", () => actions.leave());

  return (state) => {
    renderAvatar(avatar, state.name);
    setText(name, state.name);
  };
}
