import { hueOf, initialsOf } from "../avatar.ts";
import { setText } from "./dom.ts";

/** Turns an element into the picture of a name. */
export function renderAvatar(element: HTMLElement, name: string): void {
  setText(element, initialsOf(name));
  element.style.setProperty("--hue", String(hueOf(name)));
}
