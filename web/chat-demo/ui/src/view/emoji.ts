/** A small choice of emoji above the composer. Arrows move in it, Escape closes it. */

import { byId, create } from "./dom.ts";

const CHOICE = [
  ["🙂", "smile"],
  ["😄", "laugh"],
  ["😂", "tears of joy"],
  ["😉", "wink"],
  ["😍", "in love"],
  ["🤔", "thinking"],
  ["😮", "surprised"],
  ["😢", "sad"],
  ["😅", "phew"],
  ["🙈", "not looking"],
  ["👍", "thumbs up"],
  ["👎", "thumbs down"],
  ["👏", "applause"],
  ["🙏", "thank you"],
  ["💪", "strong"],
  ["👋", "wave"],
  ["❤️", "heart"],
  ["🔥", "fire"],
  ["✨", "sparkles"],
  ["🎉", "party"],
  ["🚀", "rocket"],
  ["✅", "done"],
  ["☕", "coffee"],
  ["🐛", "bug"],
] as const;

/** Wires the picker; `pick` is called with what was chosen. */
export function createEmojiPicker(pick: (emoji: string) => void): void {
  const toggle = byId("emoji-toggle", HTMLButtonElement);
  const picker = byId("emoji", HTMLElement);
  const buttons = CHOICE.map(([emoji, name]) => createChoice(emoji, name));
  picker.append(...buttons);

  function show(open: boolean): void {
    picker.hidden = !open;
    toggle.ariaExpanded = String(open);
    if (open) {
      buttons[0]?.focus();
    }
  }

  toggle.addEventListener("click", () => show(picker.hidden === true));
  picker.addEventListener("click", (event) => {
    const button = event.target instanceof Element ? event.target.closest("button") : null;
    if (button !== null) {
      show(false);
      pick(button.textContent ?? "");
    }
  });
  picker.addEventListener("keydown", (event) => {
    if (event.key === "Escape") {
      show(false);
      toggle.focus();
      return;
    }
    const at = buttons.indexOf(document.activeElement as HTMLButtonElement);
    const next = buttons[at + stepOf(event.key, columnsOf(buttons))];
    if (next !== undefined && next !== document.activeElement) {
      event.preventDefault();
      next.focus();
    }
  });
  // Whoever goes on elsewhere does not want it any more.
  picker.addEventListener("focusout", ({ relatedTarget }) => {
    if (
      !(relatedTarget instanceof Node) ||
      !(picker.contains(relatedTarget) || relatedTarget === toggle)
    ) {
      show(false);
    }
  });
}

function createChoice(emoji: string, name: string): HTMLButtonElement {
  const button = create("button", "emoji-choice", emoji);
  button.type = "button";
  button.ariaLabel = name;
  return button;
}

function stepOf(key: string, columns: number): number {
  const steps: Record<string, number> = {
    ArrowLeft: -1,
    ArrowRight: 1,
    ArrowUp: -columns,
    ArrowDown: columns,
  };
  return steps[key] ?? 0;
}

function columnsOf(buttons: readonly HTMLElement[]): number {
  const top = buttons[0]?.offsetTop;
  return buttons.filter(({ offsetTop }) => offsetTop === top).length;
}
