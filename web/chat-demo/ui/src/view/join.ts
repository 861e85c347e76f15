/** The door: a name and, where the server wants one, its password. */

import { cleanName } from "../rules.ts";
import type { Access, State } from "../state.ts";
import { byId, setText } from "./dom.ts";
import type { Actions, Render } from "./part.ts";

const EXPLANATIONS: Record<Access, string> = {
  granted: "",
  locked: "This server asks for a password.",
  refused: "That password is not the one of this server.",
};

/** The form to come in by, with the name remembered from last time. */
export function createJoin(actions: Pick<Actions, "join">, remembered: string): Render {
  const form = byId("join-form", HTMLFormElement);
  const name = byId("name", HTMLInputElement);
  const password = byId("password", HTMLInputElement);
  const passwordField = byId("password-field", HTMLElement);
  const error = byId("join-error", HTMLElement);
  const ease = byId("join-ease", HTMLElement);
  const room = byId("join-room", HTMLElement);
  let access: Access = "granted";

  name.value = remembered;
  name.focus();

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const clean = cleanName(name.value);
    name.setAttribute("aria-invalid", String(clean === ""));
    if (clean === "") {
      setText(error, "Please enter a name others can read.");
      name.focus();
      return;
    }
    setText(error, "");
    actions.join(clean, password.value);
  });

  return (state: State) => {
    setText(room, `#${state.room}`);
    if (state.access === access) {
      return;
    }
    access = state.access;
    setText(error, EXPLANATIONS[access]);
    if (access !== "granted") {
      passwordField.hidden = false;
      ease.hidden = true;
      password.select();
      password.focus();
    }
  };
}
