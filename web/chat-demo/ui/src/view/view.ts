/** The whole page: asks each part to show its share of the state. */

import type { State } from "../state.ts";
import { createBanner } from "./banner.ts";
import { createComposer } from "./composer.ts";
import { byId } from "./dom.ts";
import { createHeader } from "./header.ts";
import { createJoin } from "./join.ts";
import { createLog } from "./log.ts";
import type { Actions, Render } from "./part.ts";
import { createSidebar } from "./sidebar.ts";

/** The page's views, ready to show a state. */
export function createView(actions: Actions, remembered: { name: string }): Render {
  const join = byId("join", HTMLElement);
  const chat = byId("chat", HTMLElement);
  const composer = createComposer(actions);
  const parts: Render[] = [
    createJoin(actions, remembered),
    createSidebar(),
    createHeader(actions),
    createBanner(),
    createLog(actions),
    composer.render,
  ];

  return (state) => {
    const inside = state.name !== "" && state.access === "granted";
    const entering = inside && chat.hidden;
    join.hidden = inside;
    chat.hidden = !inside;
    setTitle(state, inside);
    for (const render of parts) {
      render(state);
    }
    if (entering) {
      composer.focus();
    }
  };
}

function setTitle(state: State, inside: boolean): void {
  const title = inside ? `#${state.room} · arpc chat` : "arpc chat";
  document.title = title;
}
