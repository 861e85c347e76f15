/** The whole page: asks each part to show its share of the state. */

import type { Meter } from "../meter.ts";
import { type State, unreadOf } from "../state.ts";
import { createBanner } from "./banner.ts";
import { createComposer } from "./composer.ts";
import { byId } from "./dom.ts";
import { createHeader } from "./header.ts";
import { createJoin } from "./join.ts";
import { createLog } from "./log.ts";
import { createPanel } from "./panel.ts";
import type { Actions, Render } from "./part.ts";
import { createPast } from "./past.ts";
import { countOf } from "./rooms.ts";
import { createSidebar } from "./sidebar.ts";

/** What the page shows besides the state. */
export interface Given {
  /** The name used last, for the door. */
  readonly name: string;
  readonly meter: Meter;
}

/** The page's views, ready to show a state. */
export function createView(actions: Actions, { name, meter }: Given): Render {
  const join = byId("join", HTMLElement);
  const chat = byId("chat", HTMLElement);
  const composer = createComposer(actions);
  const parts: Render[] = [
    createJoin(actions, name),
    createSidebar(actions),
    createHeader(actions),
    createBanner(actions),
    createPast(actions),
    createLog(actions),
    composer.render,
    createPanel(actions, meter),
  ];

  return (state) => {
    const isInside = state.name !== "" && state.access === "granted";
    const isEntering = isInside && chat.hidden;
    document.documentElement.removeAttribute("data-inside");
    join.hidden = isInside;
    chat.hidden = !isInside;
    document.title = titleOf(state, isInside);
    for (const render of parts) {
      render(state);
    }
    if (isEntering) {
      composer.enter();
    }
  };
}

/** Calls `render` with the latest state once for many changes: with the next frame, or soon if the page is hidden. */
export function inFrames(render: Render): Render {
  let latest: State | undefined;
  function paint(): void {
    const state = latest;
    latest = undefined;
    if (state !== undefined) {
      render(state);
    }
  }
  return (state) => {
    if (latest === undefined) {
      if (document.hidden) {
        setTimeout(paint, 100);
      } else {
        requestAnimationFrame(paint);
      }
    }
    latest = state;
  };
}

function titleOf(state: State, isInside: boolean): string {
  const unread = isInside ? unreadOf(state) : 0;
  const count = unread > 0 ? `(${countOf(unread)}) ` : "";
  return isInside ? `${count}#${state.room} · arpc chat` : "arpc chat";
}
