import type { Members } from "./codec.ts";
import { ArpcError } from "./errors.ts";
import { MAX_MEMBERS } from "./limits.ts";
import { isOffset } from "./position.ts";

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

/** The presence in an answer or an event. @throws ArpcError `data_loss` when there is none. */
export function toPresence({ members, version }: Members): Presence {
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
export interface Roster {
  /** The same array until somebody comes or goes. */
  members: readonly Member[];
  /** The connection is gone, or nobody asks for the members any more (`isFinal`). */
  expire(isFinal: boolean): void;
  /** Takes a snapshot, unless events told more than it knows; who differs came or left. */
  renew(presence: Presence): void;
  /** Takes a join or a leave, if it is newer than what we know. */
  apply(isJoin: boolean, presence: Presence): void;
}

/** @param tell is told of every change, after it. */
export function createRoster(tell: PresenceListener): Roster {
  // NaN before the first snapshot of a connection, which is right whatever its version.
  let last = NaN;
  let isKnown = false;
  const change = (
    { version, members }: Presence,
    left: readonly Member[],
    joined: readonly Member[],
  ): void => {
    last = version;
    roster.members = members;
    for (const member of left) tell("leave", member);
    for (const member of joined) tell("join", member);
    tell("members", members);
  };
  const roster: Roster = {
    members: [],
    expire(isFinal) {
      last = NaN;
      if (!isFinal) return;
      isKnown = false;
      roster.members = [];
    },
    renew(presence) {
      const { members, version } = presence;
      if (version < last) return;
      const before = isKnown ? roster.members : members;
      isKnown = true;
      change(presence, without(before, members), without(members, before));
    },
    apply(isJoin, { members, version }) {
      if (!(version > last)) return;
      const rest = without(roster.members, members);
      const all = isJoin ? [...rest, ...members].slice(0, MAX_MEMBERS) : rest;
      change({ version, members: all }, isJoin ? [] : members, isJoin ? members : []);
    },
  };
  return roster;
}
