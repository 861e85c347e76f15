/** What a person is told in words: about the connection, and about the others in the room. */

import type { Gap, Room } from "./conversation.ts";
import type { State } from "./state.ts";

/** What the banner says: once to everyone, and a countdown only for the eye. */
export interface Notice {
  readonly tone: "lost" | "back";
  readonly text: string;
  readonly countdown: string;
}

const LOST = "Connection lost. Keep writing: it is sent when you are back.";
const CUT = "You broke the connection. Keep writing: it is sent when you mend it.";
const TRYING = "Trying again…";

/** The notice about the connection, or undefined when there is nothing to tell. */
export function noticeOf({ link, now, cut }: State): Notice | undefined {
  if (!link.lost) {
    return undefined;
  }
  switch (link.status) {
    case "waiting":
      return { tone: "lost", text: cut ? CUT : LOST, countdown: countdownTo(link.retryAt, now) };
    case "connecting":
      return { tone: "lost", text: cut ? CUT : LOST, countdown: TRYING };
    case "open":
      return { tone: "back", text: "You are back online.", countdown: "" };
    case "closed": {
      const text = "The server closed the connection. Reload the page to come back.";
      return { tone: "lost", text, countdown: "" };
    }
  }
}

/** What the others in a room are doing, or undefined when there is nothing to tell. */
export function activityOf({ typing, change }: Room): string | undefined {
  const [one, two, ...more] = typing.map(({ name }) => isolate(name));
  if (one !== undefined && two !== undefined) {
    return more.length > 0 ? "Several people are typing…" : `${one} and ${two} are typing…`;
  }
  if (one !== undefined) {
    return `${one} is typing…`;
  }
  return change && `${isolate(change.name)} ${change.came ? "came in" : "left"}`;
}

/** What is told where messages are gone. */
export function gapText({ missed }: Pick<Gap, "missed">): string {
  const what = missed === 1 ? "1 message" : missed > 1 ? `${missed} messages` : "Some messages";
  return missed > 0
    ? `${what} came while you were away and are no longer kept by the server.`
    : `The server began anew here. ${what} may be missing.`;
}

function countdownTo(retryAt: number, now: number): string {
  const seconds = Math.ceil((retryAt - now) / 1000);
  return seconds > 0 ? `Next attempt in ${seconds} s` : TRYING;
}

// A name may run from right to left; the sentence around it must not.
function isolate(name: string): string {
  return `\u2068${name}\u2069`;
}
