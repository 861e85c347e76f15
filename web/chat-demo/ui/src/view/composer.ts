/** Where one writes. Enter sends, Shift+Enter begins a new line; it grows with the text. */

import { cleanText } from "../publication.ts";
import { byId } from "./dom.ts";
import type { Actions, Render } from "./part.ts";

/** The composer and the way to put the cursor into it. */
export interface Composer {
  readonly render: Render;
  focus(): void;
}

/** The form below the messages. What is half written stays with its room. */
export function createComposer(actions: Pick<Actions, "write">): Composer {
  const form = byId("composer", HTMLFormElement);
  const text = byId("text", HTMLTextAreaElement);
  const drafts = new Map<string, string>();
  let room: string | undefined;

  function resize(): void {
    text.style.height = "auto";
    const border = text.offsetHeight - text.clientHeight;
    text.style.height = `${text.scrollHeight + border}px`;
  }

  function put(value: string): void {
    text.value = value;
    resize();
  }

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const clean = cleanText(text.value);
    if (clean !== "") {
      actions.write(clean);
      put("");
    }
    text.focus();
  });
  text.addEventListener("input", resize);
  text.addEventListener("keydown", (event) => {
    // Enter that ends the composition of a word is not for us.
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
      event.preventDefault();
      form.requestSubmit();
    }
  });

  return {
    focus: () => text.focus(),
    render(state) {
      if (state.room === room) {
        return;
      }
      if (room !== undefined) {
        drafts.set(room, text.value);
        put(drafts.get(state.room) ?? "");
      }
      room = state.room;
      text.placeholder = `Message #${room}`;
    },
  };
}
