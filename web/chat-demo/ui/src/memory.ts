/**
 * What the browser remembers for a person. The browser: name, secret, theme,
 * the rooms visited with how far they are read, and what is still to be sent.
 * The tab: the password, what is half written, and that one was inside. A
 * browser that refuses storage, as some do in private windows, forgets;
 * nothing else depends on it.
 */

import { emptyRoom, isUnsent, type Message, type Place, type Room } from "./conversation.ts";
import { createId, parsePublication } from "./publication.ts";
import { cleanName, isRoom } from "./rules.ts";
import { initialState, type State, type Theme } from "./state.ts";

const PREFIX = "arpc-chat.";
const UNSENT = `${PREFIX}unsent.`;

/** Rooms remembered; those visited last. */
const MAX_ROOMS = 50;

/** The password used in this tab, or an empty string. */
export function rememberedPassword(): string {
  return read("session", "password");
}

/** Remembers a password for this tab. */
export function rememberPassword(password: string): void {
  write("session", "password", password);
}

/** What proves to the server, and to nobody else, that one is who wrote before. */
export function secret(): string {
  const known = read("local", "secret");
  if (known !== "") {
    return known;
  }
  const fresh = createId();
  write("local", "secret", fresh);
  return fresh;
}

/** The name used last, or an empty string. */
export function rememberedName(): string {
  return cleanName(read("local", "name"));
}

/** The page as it was left: inside or at the door, with its rooms and what was not sent. */
export function restoredState(): State {
  const isInside = read("session", "inside") !== "";
  return {
    ...initialState,
    name: isInside ? rememberedName() : "",
    author: read("local", "author"),
    theme: parseTheme(read("local", "theme")),
    rooms: restoredRooms(),
  };
}

/** Keeps in storage what changed from one state to the next. */
export function remember(state: State, before: State): void {
  if (state.name !== before.name) {
    write("session", "inside", state.name === "" ? "" : "yes");
    if (state.name !== "") {
      write("local", "name", state.name);
    }
  }
  if (state.author !== before.author) {
    write("local", "author", state.author);
  }
  if (state.theme !== before.theme) {
    write("local", "theme", state.theme);
  }
  if (state.rooms !== before.rooms) {
    rememberRooms(state, before);
  }
}

function rememberRooms(state: State, before: State): void {
  const changed = [...state.rooms].filter(([name, room]) => before.rooms.get(name) !== room);
  for (const [name, room] of changed) {
    rememberUnsent(name, room.messages, before.rooms.get(name)?.messages ?? []);
    if (room.draft !== (before.rooms.get(name)?.draft ?? "")) {
      write("session", `draft.${name}`, room.draft);
    }
  }
  for (const [name, room] of before.rooms) {
    if (!state.rooms.has(name)) {
      rememberUnsent(name, [], room.messages);
    }
  }
  const isRead = changed.some(([name, { readTo }]) => before.rooms.get(name)?.readTo !== readTo);
  if (isRead || state.rooms.size !== before.rooms.size) {
    const rooms = [...state.rooms].slice(-MAX_ROOMS).map(([room, { readTo }]) => [room, readTo]);
    write("local", "rooms", JSON.stringify(rooms));
  }
}

// One entry a message: two tabs of one browser never write over each other.
function rememberUnsent(
  room: string,
  messages: readonly Message[],
  before: readonly Message[],
): void {
  if (messages === before) {
    return;
  }
  const unsent = new Map(messages.filter(isUnsent).map((message) => [message.id, message]));
  const known = new Set(before.filter(isUnsent).map(({ id }) => id));
  for (const [id, { text, time }] of unsent) {
    if (!known.has(id)) {
      write("local", `unsent.${id}`, JSON.stringify({ room, text, time }));
    }
  }
  for (const id of known) {
    if (!unsent.has(id)) {
      write("local", `unsent.${id}`, "");
    }
  }
}

function restoredRooms(): ReadonlyMap<string, Room> {
  const rooms = new Map<string, Room>();
  const stored = parse(read("local", "rooms"));
  for (const entry of Array.isArray(stored) ? stored : []) {
    const [name, place] = Array.isArray(entry) ? entry : [];
    if (typeof name === "string" && isRoom(name)) {
      const readTo = parsePlace(place);
      const draft = read("session", `draft.${name}`);
      rooms.set(name, { ...emptyRoom, draft, ...(readTo === undefined ? {} : { readTo }) });
    }
  }
  for (const { room, message } of restoredMessages()) {
    const known = rooms.get(room) ?? emptyRoom;
    rooms.set(room, { ...known, messages: [...known.messages, message] });
  }
  return rooms;
}

function restoredMessages(): { room: string; message: Message }[] {
  const author = read("local", "author") || "me";
  const name = rememberedName();
  const restored = [];
  for (const id of unsentIds()) {
    const stored = parse(read("local", `unsent.${id}`));
    const { room, text, time } = (stored ?? {}) as Record<string, unknown>;
    const publication = parsePublication({ id, author, name, text });
    if (publication && typeof room === "string" && isRoom(room) && typeof time === "number") {
      const message = { ...publication, time, own: true, delivery: "waiting" } as const;
      restored.push({ room, message });
    }
  }
  return restored.sort((a, b) => a.message.time - b.message.time);
}

function unsentIds(): string[] {
  try {
    const keys = Object.keys(localStorage).filter((key) => key.startsWith(UNSENT));
    return keys.map((key) => key.slice(UNSENT.length));
  } catch {
    return [];
  }
}

function parsePlace(stored: unknown): Place | undefined {
  const { epoch, offset } = (stored ?? {}) as Record<string, unknown>;
  const isPlace = typeof epoch === "string" && Number.isSafeInteger(offset);
  return isPlace ? { epoch, offset: offset as number } : undefined;
}

function parseTheme(stored: string): Theme {
  return stored === "light" || stored === "dark" ? stored : "system";
}

function parse(json: string): unknown {
  try {
    return JSON.parse(json);
  } catch {
    return undefined;
  }
}

// The very access to a storage throws where it is refused.
function read(kind: "local" | "session", key: string): string {
  try {
    const storage = kind === "local" ? localStorage : sessionStorage;
    return storage.getItem(PREFIX + key) ?? "";
  } catch {
    return "";
  }
}

function write(kind: "local" | "session", key: string, value: string): void {
  try {
    const storage = kind === "local" ? localStorage : sessionStorage;
    if (value === "") {
      storage.removeItem(PREFIX + key);
    } else {
      storage.setItem(PREFIX + key, value);
    }
  } catch {
    // Refused or full: then it is not remembered.
  }
}
