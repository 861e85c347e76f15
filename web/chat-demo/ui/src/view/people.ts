/** Who is in the room on screen. */

import type { Person } from "../publication.ts";
import { currentRoom } from "../state.ts";
import { renderAvatar } from "./avatar.ts";
import { byId, create, setText } from "./dom.ts";
import { renderList } from "./list.ts";
import type { Render } from "./part.ts";

interface Entry extends Person {
  readonly own: boolean;
}

/** The list of people. */
export function createPeople(): Render {
  const title = byId("people-title", HTMLElement);
  const list = byId("people", HTMLElement);
  const hint = byId("people-empty", HTMLElement);
  const renderPeople = renderList<Entry>(list, {
    key: ({ author, name }) => `${author} ${name}`,
    create: createPerson,
    update: () => {},
    isSame: (a, b) => a.own === b.own,
  });

  return (state) => {
    const people = currentRoom(state).people.map((person) => ({
      ...person,
      own: person.author === state.author,
    }));
    people.sort((a, b) => Number(b.own) - Number(a.own) || a.name.localeCompare(b.name));
    renderPeople(people);
    // Offline nobody tells us who comes and goes.
    list.classList.toggle("stale", state.link.status !== "open");
    setText(title, people.length > 1 ? `In this room: ${people.length}` : "In this room");
    hint.hidden = people.length > 1;
  };
}

function createPerson({ name, own }: Entry): HTMLElement {
  const row = create("li", "person");
  const avatar = create("span", "avatar");
  avatar.ariaHidden = "true";
  renderAvatar(avatar, name);
  row.append(avatar, create("bdi", "person-name", name));
  if (own) {
    row.append(create("span", "person-note", "you"));
  }
  return row;
}
