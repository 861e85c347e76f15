/**
 * What comes from the server, read as hostile all the same: anything of the
 * wrong shape is ignored, anything too long is cut. That way an older page, a
 * newer server and a service on raw TCP get along.
 */

import { cleanName, cleanText, isRoom } from "./rules.ts";

const MAX_ID = 64;

/** One message of a room as it travels. */
export interface Publication {
  /** Chosen by the sender and unique; a message that arrives twice is shown once. */
  readonly id: string;
  /** Who it is from: the server derives it from a secret, so nobody writes as another. */
  readonly author: string;
  readonly name: string;
  readonly text: string;
}

/** Someone in a room, by what their page says of them. */
export interface Person {
  readonly author: string;
  readonly name: string;
}

/** Returns the message in `data`, or undefined if there is none. */
export function parsePublication(data: unknown): Publication | undefined {
  const { id, text } = members(data);
  const person = parsePerson(data);
  if (person === undefined || !isId(id) || typeof text !== "string") {
    return undefined;
  }
  const clean = cleanText(text);
  return clean === "" ? undefined : { id, text: clean, ...person };
}

/** Returns the person in `data`, or undefined if there is none. */
export function parsePerson(data: unknown): Person | undefined {
  const { author, name } = members(data);
  if (!isId(author) || typeof name !== "string") {
    return undefined;
  }
  const clean = cleanName(name);
  return clean === "" ? undefined : { author, name: clean };
}

/** Returns the name of the room that `data` tells of, or undefined if it tells of none. */
export function parseRoom(data: unknown): string | undefined {
  const { room } = members(data);
  return typeof room === "string" && isRoom(room) ? room : undefined;
}

/** A fresh id: 96 random bits. Works where crypto.randomUUID does not, on plain http. */
export function createId(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(12));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

function members(data: unknown): Record<string, unknown> {
  return typeof data === "object" && data !== null ? (data as Record<string, unknown>) : {};
}

function isId(value: unknown): value is string {
  return typeof value === "string" && value !== "" && value.length <= MAX_ID;
}
