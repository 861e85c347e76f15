import { ArpcError } from "./errors.ts";
import { type Body, isOffset } from "./position.ts";

/** Somebody who is present in a topic. */
export interface Member {
  /** Names the member in its topic: one connection, or one session of a user. */
  readonly id: string;
  /** The user, where the server knows one. */
  readonly user?: string;
  /** What the member told of itself when it subscribed. */
  readonly info?: unknown;
  /** When it came, in ms since 1970, by the server's clock. */
  readonly since: number;
}

/** Who is present in a topic. */
export interface Presence {
  /** Everybody, in no order. */
  readonly members: readonly Member[];
  /** Rises by one with each join and each leave. */
  readonly version: number;
}

/** What happens to the members of a topic, with the listeners' arguments. */
export interface PresenceEvents {
  /** Somebody came, also while we were away. */
  join: [member: Member];
  /** Somebody left, also while we were away. */
  leave: [member: Member];
  /** The members are others than before: the first of all events, and after every other. */
  members: [members: readonly Member[]];
}

/** Tells of one of them. */
export type PresenceListener = <E extends keyof PresenceEvents>(
  event: E,
  ...args: PresenceEvents[E]
) => void;

/** Most members that are kept: no server can fill a page. */
const MAX_MEMBERS = 1 << 16;

/** The presence in an answer or an event. @throws ArpcError `data_loss` when there is none. */
export function toPresence({ members, version }: Body): Presence {
  if (!Array.isArray(members) || !isOffset(version)) throw new ArpcError("data_loss", "no members");
  return { members: members.filter(isMember).slice(0, MAX_MEMBERS), version };
}

function isMember(value: unknown): value is Member {
  return typeof Object(value).id === "string";
}

/** Those of `members` who are not among `others`. */
function without(members: readonly Member[], others: readonly Member[]): readonly Member[] {
  const ids = new Set(others.map(({ id }) => id));
  return members.filter(({ id }) => !ids.has(id));
}

/** The members of a topic as the server told them last: a snapshot, and what is newer than it. */
export class Roster {
  readonly #tell: PresenceListener;
  /** The same array until somebody comes or goes. */
  members: readonly Member[] = [];
  // NaN before the first snapshot of a connection, which is right whatever its version.
  #version = NaN;
  #isKnown = false;

  /** @param tell is told of every change, after it. */
  constructor(tell: PresenceListener) {
    this.#tell = tell;
  }

  /** The connection is gone, or nobody asks for the members any more (`isFinal`). */
  expire(isFinal: boolean): void {
    this.#version = NaN;
    if (isFinal) this.#isKnown = false;
    if (isFinal) this.members = [];
  }

  /** Takes a snapshot, unless events told more than it knows; who differs came or left. */
  replace({ members, version }: Presence): void {
    if (version < this.#version) return;
    const before = this.#isKnown ? this.members : members;
    this.#isKnown = true;
    this.#change(version, members, without(before, members), without(members, before));
  }

  /** Takes a join or a leave, if it is newer than what we know. */
  apply(isJoin: boolean, { members, version }: Presence): void {
    if (!(version > this.#version)) return;
    const rest = without(this.members, members);
    if (isJoin) this.#change(version, [...rest, ...members].slice(0, MAX_MEMBERS), [], members);
    else this.#change(version, rest, members, []);
  }

  #change(
    version: number,
    members: readonly Member[],
    left: readonly Member[],
    joined: readonly Member[],
  ): void {
    this.#version = version;
    this.members = members;
    for (const member of left) this.#tell("leave", member);
    for (const member of joined) this.#tell("join", member);
    this.#tell("members", members);
  }
}
