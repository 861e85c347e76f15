/**
 * Runs before the page is painted for the first time, so that nothing flashes:
 * the chosen colours, and no door for who is already inside.
 */

const root = document.documentElement;
try {
  root.setAttribute("data-theme", localStorage.getItem("arpc-chat.theme") ?? "system");
  root.toggleAttribute("data-inside", sessionStorage.getItem("arpc-chat.inside") !== null);
} catch {
  // A browser that refuses storage has nothing to tell.
}
