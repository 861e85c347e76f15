/** A room is a topic of its own and has an address of its own: `#name`. */

/** Where a page without a room in its address goes. */
export const LOBBY = "lobby";

const NAME = /^[a-z0-9][a-z0-9-]{0,31}$/;

/** The room a location hash such as `#lobby` names, or the lobby if it names none. */
export function roomOfHash(hash: string): string {
  const name = hash.replace(/^#/, "").toLowerCase();
  return NAME.test(name) ? name : LOBBY;
}

/** The topic that carries a room's messages. */
export function topicOf(room: string): string {
  return `chat/${room}`;
}
