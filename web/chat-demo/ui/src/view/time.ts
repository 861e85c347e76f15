/** Times as the reader writes them. */

import { setText } from "./dom.ts";

const format = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });

/** Shows the time of day of a moment in milliseconds since 1970. */
export function setTime(element: HTMLTimeElement, time: number): void {
  setText(element, format.format(time));
  element.dateTime = new Date(time).toISOString();
}
