/** The head of the room: its name, its connection, its address to pass on. */

import type { Link } from "../state.ts";
import { byId, setText } from "./dom.ts";
import type { Actions, Render } from "./part.ts";

const WORDS: Record<Link["status"], string> = {
  connecting: "Connecting…",
  open: "Live",
  waiting: "Offline",
  closed: "Closed",
};

/** How long the invitation says that it copied the address, in milliseconds. */
const COPIED_FOR = 2000;

/** The head of the room. */
export function createHeader(actions: Pick<Actions, "showPanel">): Render {
  const title = byId("room-title", HTMLElement);
  const status = byId("status", HTMLElement);
  const statusText = byId("status-text", HTMLElement);
  const panel = byId("panel-toggle", HTMLButtonElement);
  panel.addEventListener("click", () => actions.showPanel(panel.ariaExpanded !== "true"));
  wireInvite();

  return (state) => {
    setText(title, `#${state.room}`);
    status.setAttribute("data-status", state.link.status);
    setText(statusText, WORDS[state.link.status]);
    panel.ariaExpanded = String(state.panel);
  };
}

function wireInvite(): void {
  const button = byId("invite", HTMLButtonElement);
  const text = byId("invite-text", HTMLElement);
  // Browsers give the clipboard to secure origins only; elsewhere the address bar has to do.
  if (navigator.clipboard === undefined) {
    button.hidden = true;
    return;
  }
  const initial = text.textContent ?? "";
  let timer = 0;
  button.addEventListener("click", () => {
    navigator.clipboard.writeText(location.href).then(
      () => setText(text, "Copied"),
      () => setText(text, "Not allowed"),
    );
    clearTimeout(timer);
    timer = window.setTimeout(() => setText(text, initial), COPIED_FOR);
  });
}
