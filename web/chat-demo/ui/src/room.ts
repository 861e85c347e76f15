/** Where a room is: its address on this page, and its topics at the server. */

import { isRoom, LOBBY } from "./rules.ts";

/** The topic that tells of every room there is. */
export const ROOMS_TOPIC = "chat:rooms";

/** The room a location hash such as `#/lobby` names, or the lobby if it names none. */
export function roomOfHash(hash: string): string {
  const name = hash.replace(/^#\/?/, "").toLowerCase();
  return isRoom(name) ? name : LOBBY;
}

/** The address of a room on this page. */
export function hashOfRoom(room: string): string {
  return `#/${room}`;
}

/** The topic of what stays: a room's messages. */
export function topicOf(room: string): string {
  return `chat:room:${room}`;
}

/** The topic of what passes: who is in a room, and who is typing. */
export function hereTopicOf(room: string): string {
  return `chat:here:${room}`;
}
