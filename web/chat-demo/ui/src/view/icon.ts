/** Icons for what is made while the page runs; those that are always there stand in index.html. */

const SVG = "http://www.w3.org/2000/svg";

const PATHS = {
  copy: "M7.2 7.2V4.6c0-.6.5-1.1 1.1-1.1h7.1c.6 0 1.1.5 1.1 1.1v7.1c0 .6-.5 1.1-1.1 1.1h-2.6M4.6 7.2h7.1c.6 0 1.1.5 1.1 1.1v7.1c0 .6-.5 1.1-1.1 1.1H4.6c-.6 0-1.1-.5-1.1-1.1V8.3c0-.6.5-1.1 1.1-1.1z",
  leave: "m6 6 8 8M14 6l-8 8",
} as const;

/** A new icon, drawn in the colour of the text around it and hidden from who cannot see it. */
export function createIcon(name: keyof typeof PATHS): SVGSVGElement {
  const icon = document.createElementNS(SVG, "svg");
  icon.setAttribute("viewBox", "0 0 20 20");
  icon.setAttribute("class", "icon");
  icon.setAttribute("aria-hidden", "true");
  const path = document.createElementNS(SVG, "path");
  path.setAttribute("d", PATHS[name]);
  icon.append(path);
  return icon;
}
