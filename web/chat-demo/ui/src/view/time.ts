/** Times as the reader writes them. */

import { isSameDay } from "../timeline.ts";
import { setText } from "./dom.ts";

const timeOfDay = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const full = new Intl.DateTimeFormat(undefined, { dateStyle: "full", timeStyle: "medium" });
const day = new Intl.DateTimeFormat(undefined, {
  weekday: "long",
  day: "numeric",
  month: "long",
  year: "numeric",
});
const relative = new Intl.RelativeTimeFormat(undefined, { numeric: "auto" });

const DAY = 24 * 60 * 60_000;

/** Shows the time of day of a moment in milliseconds since 1970. */
export function setTime(element: HTMLTimeElement, time: number): void {
  setText(element, timeOfDay.format(time));
  element.dateTime = new Date(time).toISOString();
  element.title = full.format(time);
}

/** The day a moment lies in: today and yesterday by that name. */
export function dayOf(time: number, now: number): string {
  const daysAgo = isSameDay(time, now) ? 0 : isSameDay(time, now - DAY) ? 1 : undefined;
  if (daysAgo === undefined) {
    return day.format(time);
  }
  const name = relative.format(-daysAgo, "day");
  return name.charAt(0).toLocaleUpperCase() + name.slice(1);
}
