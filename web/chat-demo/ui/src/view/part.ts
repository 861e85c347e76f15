/** A part of the page: what it is given to show, and what a person can ask for in it. */

import type { State } from "../state.ts";

/** A function that shows its share of a state. */
export type Render = (state: State) => void;

/** What a person can do on the page. */
export interface Actions {
  /** Comes in under a name; `password` is empty where the server asked for none. */
  join(name: string, password: string): void;
  /** Goes back to the door, to come in under another name. */
  leave(): void;
  /** Writes a message into the room on screen. */
  write(text: string): void;
  /** Sends a message again that failed. */
  retry(id: string): void;
}
