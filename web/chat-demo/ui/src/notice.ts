/** What a person is told about the connection. */

import type { Link } from "./state.ts";

/** What the banner says: once to everyone, and a countdown only for the eye. */
export interface Notice {
  readonly tone: "lost" | "back";
  readonly text: string;
  readonly countdown: string;
}

const LOST = "Connection lost. Keep writing: it is sent when you are back.";
const TRYING = "Trying again…";

/** The notice for a connection at a time, or undefined when there is nothing to tell. */
export function noticeOf(link: Link, now: number): Notice | undefined {
  if (!link.lost) {
    return undefined;
  }
  switch (link.status) {
    case "waiting":
      return { tone: "lost", text: LOST, countdown: countdownTo(link.retryAt, now) };
    case "connecting":
      return { tone: "lost", text: LOST, countdown: TRYING };
    case "open":
      return { tone: "back", text: "You are back online.", countdown: "" };
    case "closed": {
      const text = "The server closed the connection. Reload the page to come back.";
      return { tone: "lost", text, countdown: "" };
    }
  }
}

function countdownTo(retryAt: number, now: number): string {
  const seconds = Math.ceil((retryAt - now) / 1000);
  return seconds > 0 ? `Next attempt in ${seconds} s` : TRYING;
}
