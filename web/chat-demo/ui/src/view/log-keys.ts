/** The messages by keyboard: arrows go from one to the next, C copies the one one is at. */

import { byId } from "./dom.ts";

/** Moves among the messages of `list`, or copies one, if the key asks for it. */
export function walk(event: KeyboardEvent, list: HTMLElement): void {
  const line = event.target instanceof Element ? event.target.closest<HTMLElement>(".line") : null;
  if (event.ctrlKey || event.metaKey || event.altKey) {
    return;
  }
  if (event.key.toLowerCase() === "c" && line !== null) {
    event.preventDefault();
    copyOf(line);
    return;
  }
  const next = target(event.key, line, [...list.querySelectorAll<HTMLElement>(".line")]);
  if (next !== undefined) {
    event.preventDefault();
    next.focus();
  }
}

/** Copies the text of a message, and says so. */
export function copyOf(line: HTMLElement | null): void {
  const text = line?.querySelector(".text")?.textContent;
  if (typeof text !== "string") {
    return;
  }
  const said = byId("copied", HTMLElement);
  said.textContent = "";
  // Browsers give the clipboard to secure origins only.
  const copied = navigator.clipboard?.writeText(text) ?? Promise.reject(new Error("no clipboard"));
  copied.then(
    () => {
      said.textContent = "Copied";
      line?.classList.add("copied");
      setTimeout(() => line?.classList.remove("copied"), 1200);
    },
    () => {
      said.textContent = "This browser does not let the page copy.";
    },
  );
}

function target(
  key: string,
  line: HTMLElement | null,
  lines: readonly HTMLElement[],
): HTMLElement | undefined {
  const at = line === null ? lines.length : lines.indexOf(line);
  switch (key) {
    case "ArrowUp":
      return lines[Math.max(at - 1, 0)];
    case "ArrowDown":
      return lines[Math.min(at + 1, lines.length - 1)];
    case "Home":
      return lines[0];
    case "End":
      return lines.at(-1);
    default:
      return undefined;
  }
}
