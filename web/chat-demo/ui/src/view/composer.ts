/** Where one writes. Enter sends, Shift+Enter begins a new line; it grows with the text. */

import { activityOf } from "../notice.ts";
import { cleanText, MAX_TEXT } from "../rules.ts";
import { currentRoom, type State } from "../state.ts";
import { byId, setText } from "./dom.ts";
import { createEmojiPicker } from "./emoji.ts";
import type { Actions, Render } from "./part.ts";

/** From so many characters before the end on, the composer counts down. */
const COUNT_FROM = 200;

/** The composer. */
export interface Composer {
  readonly render: Render;
  /** To be called when it has come into view: puts the cursor into it. */
  enter(): void;
}

/** The form below the messages. What is half written stays with its room. */
export function createComposer(actions: Pick<Actions, "write" | "draft">): Composer {
  const form = byId("composer", HTMLFormElement);
  const text = byId("text", HTMLTextAreaElement);
  const left = byId("room-left", HTMLElement);
  const activity = byId("activity", HTMLElement);
  let room: string | undefined;

  function resize(): void {
    text.style.height = "auto";
    const border = text.offsetHeight - text.clientHeight;
    text.style.height = `${text.scrollHeight + border}px`;
    countDown();
  }

  function countDown(): void {
    const rest = MAX_TEXT - Array.from(text.value).length;
    setText(left, rest > COUNT_FROM ? "" : rest >= 0 ? `${rest} left` : `${-rest} too many`);
    left.classList.toggle("too-many", rest < 0);
  }

  function put(value: string): void {
    text.value = value;
    resize();
  }

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const clean = cleanText(text.value);
    // What is too long is the writer's to shorten; nothing is cut off behind their back.
    if (clean !== "" && Array.from(text.value.trim()).length <= MAX_TEXT) {
      actions.write(clean);
      put("");
    }
    text.focus();
  });
  text.addEventListener("input", () => {
    resize();
    actions.draft(text.value);
  });
  text.addEventListener("keydown", (event) => {
    // Enter that ends the composition of a word is not for us.
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
      event.preventDefault();
      form.requestSubmit();
    }
  });
  createEmojiPicker((emoji) => {
    text.setRangeText(emoji, text.selectionStart, text.selectionEnd, "end");
    text.dispatchEvent(new Event("input"));
    text.focus();
  });

  return {
    enter() {
      // What is hidden has no height to fit.
      resize();
      text.focus();
    },
    render(state) {
      setText(activity, tellingOf(state));
      if (state.room !== room) {
        // Whoever goes to a room wants to write there; a phone's keyboard comes when asked for.
        if (room !== undefined && matchMedia("(hover: hover)").matches) {
          text.focus();
        }
        room = state.room;
        put(currentRoom(state).draft);
        text.placeholder = `Message #${room}`;
      }
    },
  };
}

function tellingOf(state: State): string {
  const { slowUntil, now } = state;
  if (slowUntil > now) {
    return "You write faster than this server takes. The rest follows shortly.";
  }
  return activityOf(currentRoom(state)) ?? "";
}
