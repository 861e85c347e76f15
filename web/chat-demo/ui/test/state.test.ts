import { beforeEach, describe, expect, test } from "vitest";
import { emptyRoom, MAX_MESSAGES, type Past, type Room } from "../src/conversation.ts";
import {
  currentRoom,
  type Event,
  type Heard,
  initialState,
  isClockNeeded,
  nextToSend,
  reduce,
  type State,
  unreadOf,
} from "../src/state.ts";

let state: State;

function happens(...events: Event[]): void {
  state = events.reduce(reduce, state);
}

function heard(id: string, offset: number, author = "grace", epoch = "e1"): Heard {
  const name = author === "grace" ? "Grace" : "Ada";
  return { id, author, name, text: id, time: 1000 + offset, place: { epoch, offset } };
}

function hear(room: string, ...messages: Heard[]): void {
  happens(...messages.map((message) => ({ type: "heard", room, ...message }) as const));
}

function write(...ids: string[]): void {
  happens(
    ...ids.map((id) => ({ type: "wrote", room: state.room, id, text: id, time: 5 }) as const),
  );
}

function lines(room: Room = currentRoom(state)): string[] {
  return room.messages.map(({ id, delivery }) => `${id} ${delivery}`);
}

beforeEach(() => {
  state = initialState;
  happens(
    { type: "joined", name: "Ada" },
    { type: "known", author: "ada" },
    { type: "visited", room: "lobby" },
    { type: "subscribed", room: "lobby", live: true },
  );
});

describe("a message of one's own", () => {
  test("waits, is sent, and is acknowledged", () => {
    write("a");
    expect(lines()).toEqual(["a waiting"]);
    expect(nextToSend(state)?.message.id).toBe("a");
    happens({ type: "sending", room: "lobby", id: "a" });
    expect(nextToSend(state)).toBeUndefined();
    happens({ type: "sent", room: "lobby", id: "a", place: { epoch: "e1", offset: 7 } });
    expect(lines()).toEqual(["a sent"]);
    expect(currentRoom(state).messages[0]?.place?.offset).toBe(7);
  });

  test("that comes back from the topic is sent, once, at the server's time", () => {
    write("a");
    happens({ type: "sending", room: "lobby", id: "a" });
    hear("lobby", heard("a", 7, "ada"), heard("a", 8, "ada"));
    happens({ type: "failed", room: "lobby", id: "a", reason: "too late" });
    expect(lines()).toEqual(["a sent"]);
    expect(currentRoom(state).messages[0]).toMatchObject({ own: true, time: 1007 });
  });

  test("stands where the topic has it, whichever news comes first", () => {
    write("a");
    happens({ type: "sent", room: "lobby", id: "a", place: { epoch: "e1", offset: 2 } });
    hear("lobby", heard("g1", 1), heard("a", 2, "ada"), heard("g3", 3));
    write("b");
    hear("lobby", heard("g4", 4));
    expect(lines()).toEqual(["g1 sent", "a sent", "g3 sent", "g4 sent", "b waiting"]);
  });

  test("can fail, and be sent again or removed", () => {
    write("a", "b");
    happens({ type: "failed", room: "lobby", id: "a", reason: "no" });
    expect(currentRoom(state).messages[0]?.reason).toBe("no");
    expect(nextToSend(state)?.message.id).toBe("b");
    happens({ type: "retried", room: "lobby", id: "a" });
    expect(nextToSend(state)?.message).not.toHaveProperty("reason");
    happens({ type: "discarded", room: "lobby", id: "a" });
    expect(lines()).toEqual(["b waiting"]);
  });

  test("that was sent cannot be removed", () => {
    hear("lobby", heard("a", 1, "ada"));
    happens({ type: "discarded", room: "lobby", id: "a" });
    expect(lines()).toEqual(["a sent"]);
  });

  test("is not sent to a room that is not live", () => {
    happens({ type: "subscribed", room: "lobby", live: false });
    write("a");
    expect(nextToSend(state)).toBeUndefined();
  });
});

describe("what is unread", () => {
  beforeEach(() => happens({ type: "visited", room: "kitchen" }));

  test("is counted in rooms that are not on screen, and marked", () => {
    hear("lobby", heard("g1", 1), heard("mine", 2, "ada"), heard("g3", 3));
    hear("kitchen", heard("k1", 1));
    expect(unreadOf(state)).toBe(2);
    happens({ type: "visited", room: "lobby" });
    expect(unreadOf(state)).toBe(0);
    expect(currentRoom(state)).toMatchObject({ firstUnread: "g1", readTo: { offset: 3 } });
    happens({ type: "visited", room: "kitchen" }, { type: "visited", room: "lobby" });
    expect(currentRoom(state)).not.toHaveProperty("firstUnread");
  });

  test("is counted on screen while nobody looks", () => {
    happens({ type: "shown", visible: false });
    hear("kitchen", heard("k1", 1));
    expect(unreadOf(state)).toBe(1);
    expect(currentRoom(state).readTo).toBeUndefined();
    happens({ type: "shown", visible: true });
    expect(unreadOf(state)).toBe(0);
    expect(currentRoom(state)).toMatchObject({ firstUnread: "k1", readTo: { offset: 1 } });
  });

  test("is marked until one answers", () => {
    happens({ type: "shown", visible: false });
    hear("kitchen", heard("k1", 1));
    happens({ type: "shown", visible: true });
    write("a");
    expect(currentRoom(state)).not.toHaveProperty("firstUnread");
  });
});

describe("what was said before", () => {
  function history(past: Past, ...messages: Heard[]): void {
    happens({ type: "history", room: "lobby", messages, past });
  }

  test("goes before what is there, without what is known", () => {
    hear("lobby", heard("c", 3));
    write("mine");
    history("more", heard("b", 2), heard("c", 3));
    history("start", heard("a", 1, "ada"));
    expect(lines()).toEqual(["a sent", "b sent", "c sent", "mine waiting"]);
    expect(currentRoom(state).past).toBe("start");
    expect(currentRoom(state).messages[0]?.own).toBe(true);
    expect(unreadOf(state)).toBe(0);
  });

  test("what the page drops can be had again", () => {
    history("start");
    hear("lobby", ...Array.from({ length: MAX_MESSAGES + 5 }, (_, i) => heard(`m${i}`, i + 1)));
    expect(currentRoom(state).messages).toHaveLength(MAX_MESSAGES);
    expect(currentRoom(state).messages[0]?.id).toBe("m5");
    expect(currentRoom(state).past).toBe("more");
  });

  test("what is unsent is never dropped", () => {
    write("mine");
    hear("lobby", ...Array.from({ length: MAX_MESSAGES + 5 }, (_, i) => heard(`m${i}`, i + 1)));
    expect(lines().at(-1)).toBe("mine waiting");
  });
});

describe("a gap", () => {
  test("lies behind what was said last, once", () => {
    hear("lobby", heard("a", 1));
    write("mine");
    const gap = { type: "gap", room: "lobby", missed: 3, newEpoch: false } as const;
    happens(gap, gap);
    expect(currentRoom(state).gaps).toEqual([{ after: "a", missed: 3 }]);
  });

  test("of a new epoch cuts off what was before it", () => {
    hear("lobby", heard("a", 9));
    happens({ type: "gap", room: "lobby", missed: 0, newEpoch: true });
    hear("lobby", heard("b", 1, "grace", "e2"));
    expect(lines()).toEqual(["a sent", "b sent"]);
    expect(currentRoom(state).past).toBe("cut");
  });

  test("before anything was said is none", () => {
    happens({ type: "gap", room: "lobby", missed: 3, newEpoch: true });
    expect(currentRoom(state)).toMatchObject({ gaps: [], past: "wanted" });
  });
});

describe("who types, comes and goes", () => {
  test("is told for a while", () => {
    happens({ type: "typed", room: "lobby", author: "grace", name: "Grace", until: 100 });
    happens({ type: "change", room: "lobby", author: "g", name: "G", came: true, until: 200 });
    expect(isClockNeeded(state)).toBe(true);
    happens({ type: "tick", now: 100 });
    expect(currentRoom(state).typing).toEqual([]);
    expect(currentRoom(state).change?.name).toBe("G");
    happens({ type: "tick", now: 200 });
    expect(currentRoom(state)).not.toHaveProperty("change");
    expect(isClockNeeded(state)).toBe(false);
  });

  test("is not oneself", () => {
    happens({ type: "typed", room: "lobby", author: "ada", name: "Ada", until: 100 });
    happens({ type: "change", room: "lobby", author: "ada", name: "Ada", came: true, until: 9 });
    expect(isClockNeeded(state)).toBe(false);
  });

  test("whoever leaves does not type on", () => {
    const ada = { author: "ada", name: "Ada" };
    const grace = { author: "grace", name: "Grace" };
    const bob = { author: "bob", name: "Bob" };
    happens(
      { type: "people", room: "lobby", people: [ada, grace, bob] },
      { type: "typed", room: "lobby", ...grace, until: 100 },
      { type: "typed", room: "lobby", ...bob, until: 100 },
      { type: "people", room: "lobby", people: [ada, bob] },
    );
    expect(currentRoom(state).typing).toEqual([{ ...bob, until: 100 }]);
  });

  test("whoever says something has finished typing it", () => {
    happens({ type: "typed", room: "lobby", author: "grace", name: "Grace", until: 100 });
    hear("lobby", heard("a", 1));
    expect(currentRoom(state).typing).toEqual([]);
  });
});

describe("the rooms", () => {
  test("are those visited, and those told of", () => {
    happens({ type: "listed", room: "kitchen" }, { type: "visited", room: "attic" });
    expect([...state.rooms.keys()]).toEqual(["lobby", "attic"]);
    expect([...state.listed]).toEqual(["lobby", "kitchen", "attic"]);
  });

  test("that are left stay left, whatever still comes from there", () => {
    happens({ type: "visited", room: "attic" }, { type: "forgotten", room: "lobby" });
    hear("lobby", heard("a", 1));
    happens({ type: "subscribed", room: "lobby", live: false });
    expect([...state.rooms.keys()]).toEqual(["attic"]);
  });

  test("can refuse, and relent", () => {
    happens({ type: "refused", room: "lobby", reason: "full" });
    expect(currentRoom(state).refusal).toBe("full");
    happens({ type: "admitted", room: "lobby" });
    expect(currentRoom(state)).not.toHaveProperty("refusal");
  });
});

describe("the connection", () => {
  test("is lost until the person has been told that it is back", () => {
    happens({ type: "link", status: "waiting", retryAt: 9 });
    happens({ type: "link", status: "connecting", retryAt: 9 });
    happens({ type: "link", status: "open", retryAt: 9 });
    expect(state.link).toEqual({ status: "open", retryAt: 0, lost: true });
    happens({ type: "settled" });
    expect(state.link.lost).toBe(false);
  });

  test("leaving keeps what was written", () => {
    write("a");
    happens({ type: "left" });
    expect(state.name).toBe("");
    expect(lines()).toEqual(["a waiting"]);
    expect(currentRoom(state).live).toBe(false);
  });

  test("a locked server shows the door", () => {
    happens({ type: "locked", refused: false });
    expect(state.access).toBe("locked");
    happens({ type: "locked", refused: true });
    expect(state.access).toBe("refused");
    happens({ type: "joined", name: "Ada" });
    expect(state.access).toBe("granted");
  });
});

test("a room nobody knows is empty", () => {
  expect(currentRoom({ ...initialState, room: "attic" })).toBe(emptyRoom);
});
