/** What stands where a room has no messages: above the first one, or instead of any. */

import type { Past } from "../conversation.ts";
import { currentRoom } from "../state.ts";
import { byId, setText } from "./dom.ts";
import type { Actions, Render } from "./part.ts";

/** The head of the log, the empty room, and the room that did not open. */
export function createPast(actions: Pick<Actions, "readBack" | "reenter">): Render {
  const past = byId("past", HTMLElement);
  const pastText = byId("past-text", HTMLElement);
  const pastRetry = byId("past-retry", HTMLButtonElement);
  const loading = byId("loading", HTMLElement);
  const empty = byId("empty", HTMLElement);
  const emptyRoom = byId("empty-room", HTMLElement);
  const refusal = byId("refusal", HTMLElement);
  const refusalText = byId("refusal-text", HTMLElement);
  const log = byId("log", HTMLElement);
  pastRetry.addEventListener("click", () => actions.readBack());
  byId("refusal-retry", HTMLButtonElement).addEventListener("click", () => actions.reenter());

  return (state) => {
    const room = currentRoom(state);
    const isEmpty = room.messages.length === 0;
    const isRefused = room.refusal !== undefined;
    const text = textOf(room.past, state.room);
    refusal.hidden = !isRefused;
    setText(refusalText, room.refusal ?? "");
    // A line of its own: what is there twice, in another place, jumps.
    loading.hidden = isRefused || !isEmpty || !isOnItsWay(room.past);
    empty.hidden = isRefused || !isEmpty || !isKnown(room.past);
    setText(emptyRoom, `#${state.room}`);
    past.hidden = isRefused || text === "" || (isEmpty && room.past !== "failed");
    past.setAttribute("data-past", room.past);
    setText(pastText, text);
    pastRetry.hidden = room.past !== "failed";
    // Who listens is spared the old messages while they pour in.
    log.ariaBusy = String(room.past === "loading");
  };
}

function isOnItsWay(past: Past): boolean {
  return past === "wanted" || past === "loading";
}

function isKnown(past: Past): boolean {
  return past === "start" || past === "cut";
}

function textOf(past: Past, room: string): string {
  switch (past) {
    case "wanted":
    case "loading":
      return "Fetching what was said before…";
    case "failed":
      return "What was said before could not be fetched.";
    case "start":
      return `This is where #${room} begins.`;
    case "cut":
      return "What was said before is no longer kept by the server.";
    case "more":
      return "";
  }
}
