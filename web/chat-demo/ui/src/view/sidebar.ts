/** Who was heard in this room. */

import { currentRoom } from "../state.ts";
import { type Speaker, speakersOf } from "../timeline.ts";
import { renderAvatar } from "./avatar.ts";
import { byId, create } from "./dom.ts";
import { renderList } from "./list.ts";
import type { Render } from "./part.ts";
import { setTime } from "./time.ts";

/** The column beside the room. */
export function createSidebar(): Render {
  const hint = byId("people-empty", HTMLElement);
  const renderPeople = renderList(byId("people", HTMLElement), {
    key: ({ name, own }: Speaker) => `${own ? "own" : "other"} ${name}`,
    create: createSpeaker,
    update: updateSpeaker,
  });

  return (state) => {
    const speakers = speakersOf(currentRoom(state).messages);
    hint.hidden = speakers.length > 0;
    renderPeople(speakers);
  };
}

function createSpeaker({ name, own }: Speaker): HTMLElement {
  const row = create("li", "person");
  const avatar = create("span", "avatar");
  avatar.ariaHidden = "true";
  renderAvatar(avatar, name);
  const note = create("span", "person-note hint", own ? "you, " : "");
  note.append(create("time", ""));
  row.append(avatar, create("bdi", "person-name", name), note);
  return row;
}

function updateSpeaker(row: HTMLElement, { time }: Speaker): void {
  const last = row.querySelector("time");
  if (last !== null) {
    setTime(last, time);
  }
}
