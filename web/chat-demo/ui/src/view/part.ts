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
  /** Goes to a room; the first to go there opens it. */
  visit(room: string): void;
  /** Asks again to be let into the room on screen. */
  reenter(): void;
  /** Follows a room no more. */
  forget(room: string): void;
  /** Keeps what is half written in the room on screen, and lets the others know. */
  draft(text: string): void;
  /** Writes a message into the room on screen. */
  write(text: string): void;
  /** Sends a message again that failed. */
  retry(id: string): void;
  /** Removes a message that was never sent. */
  discard(id: string): void;
  /** Asks for what was said before the first message. */
  readBack(): void;
  /** Changes between the system's colours, light and dark. */
  changeTheme(): void;
  /** Opens or closes the live panel. */
  showPanel(open: boolean): void;
  /** Opens or closes the menu, where it is not always there. */
  showMenu(open: boolean): void;
  /** Breaks the connection, or mends it. */
  cut(cut: boolean): void;
}
