/** The button that chooses between the system's colours, light and dark. */

import type { Theme } from "../state.ts";
import { byId } from "./dom.ts";
import type { Actions, Render } from "./part.ts";

const LABELS: Record<Theme, string> = {
  system: "Colours: as the system has them",
  light: "Colours: light",
  dark: "Colours: dark",
};

/** The button; it also tells the style sheet and the browser what was chosen. */
export function createTheme(actions: Pick<Actions, "changeTheme">): Render {
  const button = byId("theme", HTMLButtonElement);
  const bars = [...document.querySelectorAll<HTMLMetaElement>("meta[name=theme-color]")];
  const colors = {
    system: bars.map(({ content }) => content),
    light: bars.map(() => colorFor("light")),
    dark: bars.map(() => colorFor("dark")),
  };
  let shown: Theme | undefined;
  button.addEventListener("click", () => actions.changeTheme());

  function colorFor(scheme: "light" | "dark"): string {
    return bars.find(({ media }) => media.includes(scheme))?.content ?? "";
  }

  return ({ theme }) => {
    if (theme === shown) {
      return;
    }
    shown = theme;
    button.ariaLabel = LABELS[theme];
    button.title = LABELS[theme];
    document.documentElement.setAttribute("data-theme", theme);
    for (const [i, bar] of bars.entries()) {
      bar.content = colors[theme][i] ?? "";
    }
  };
}
