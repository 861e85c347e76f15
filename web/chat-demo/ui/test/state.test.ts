import { describe, expect, test } from "vitest";
import {
  currentRoom,
  type Event,
  hasUnsent,
  initialState,
  MAX_MESSAGES,
  nextToSend,
  reduce,
  type State,
} from "../src/state.ts";

const room = "lobby";

function stateAfter(...events: Event[]): State {
  return events.reduce(reduce, initialState);
}

function heard(id: string, text = id, name = "Grace"): Event {
  return { type: "heard", room, id, name, text, time: 2000 };
}

const joined: Event = { type: "joined", name: "Ada" };
const live: Event = { type: "subscribed", room, live: true };
const dead: Event = { type: "subscribed", room, live: false };
const wrote = (id: string): Event => ({ type: "wrote", id, text: id, time: 1000 });
const became = (type: "sending" | "sent" | "kept", id: string): Event => ({ type, room, id });

/** The messages as `id delivery`, in the order of the page. */
function page(state: State): string[] {
  return currentRoom(state).messages.map(({ id, delivery }) => `${id} ${delivery}`);
}

describe("one's own message", () => {
  test("waits until its room is live", () => {
    const away = stateAfter(joined, wrote("a"));

    expect(page(away)).toEqual(["a waiting"]);
    expect(nextToSend(away)).toBeUndefined();
    expect(nextToSend(reduce(away, live))?.message.id).toBe("a");
  });

  test("is sent in the order of writing, one after the other", () => {
    const state = stateAfter(joined, live, wrote("a"), wrote("b"), became("sending", "a"));

    expect(nextToSend(state)?.message.id).toBe("b");
    expect(page(reduce(state, became("sent", "a")))).toEqual(["a sent", "b waiting"]);
  });

  test("that comes back from the topic is sent, with the time of the server", () => {
    const state = stateAfter(
      joined,
      live,
      wrote("a"),
      became("sending", "a"),
      heard("a", "a", "Ada"),
    );

    expect(currentRoom(state).messages).toEqual([
      { id: "a", name: "Ada", text: "a", time: 2000, own: true, delivery: "sent" },
    ]);
  });

  test("that came back stays sent whatever becomes of its acknowledgement", () => {
    const back = stateAfter(joined, live, wrote("a"), became("sending", "a"), heard("a"));
    const failed: Event = { type: "failed", room, id: "a", reason: "the server did not answer" };

    expect(page(reduce(back, became("kept", "a")))).toEqual(["a sent"]);
    expect(page(reduce(back, failed))).toEqual(["a sent"]);
  });

  test("is shown once if it went out twice", () => {
    const state = stateAfter(joined, live, wrote("a"), became("sent", "a"), heard("a"), heard("a"));

    expect(page(state)).toEqual(["a sent"]);
  });

  test("is kept when the connection is lost, and goes out on return", () => {
    const lost = stateAfter(
      joined,
      live,
      wrote("a"),
      became("sending", "a"),
      dead,
      became("kept", "a"),
    );

    expect(page(lost)).toEqual(["a waiting"]);
    expect(hasUnsent(lost)).toBe(true);
    expect(nextToSend(lost)).toBeUndefined();
    expect(nextToSend(reduce(lost, live))?.message.id).toBe("a");
  });

  test("that failed says why, and can be tried again under the same id", () => {
    const failed = stateAfter(joined, live, wrote("a"), {
      type: "failed",
      room,
      id: "a",
      reason: "too large",
    });
    const again = reduce(failed, { type: "retried", id: "a" });

    expect(currentRoom(failed).messages[0]).toMatchObject({
      delivery: "failed",
      reason: "too large",
    });
    expect(nextToSend(failed)).toBeUndefined();
    expect(nextToSend(again)?.message).toEqual({
      id: "a",
      name: "Ada",
      text: "a",
      time: 1000,
      own: true,
      delivery: "waiting",
    });
  });

  test("stays behind what others said while it waits", () => {
    const state = stateAfter(joined, wrote("a"), heard("b"), wrote("c"), heard("d"));

    expect(page(state)).toEqual(["b sent", "d sent", "a waiting", "c waiting"]);
    expect(page(reduce(state, heard("a")))).toEqual(["b sent", "d sent", "a sent", "c waiting"]);
  });

  test("is never pushed out by what arrives", () => {
    const others = Array.from({ length: MAX_MESSAGES + 10 }, (_, i) => heard(`o${i}`));
    const state = stateAfter(joined, wrote("a"), ...others);

    expect(currentRoom(state).messages).toHaveLength(MAX_MESSAGES + 1);
    expect(page(state).at(0)).toBe("o10 sent");
    expect(page(state).at(-1)).toBe("a waiting");
  });

  test("waits in its own room while another is on screen", () => {
    const state = stateAfter(joined, live, wrote("a"), { type: "visited", room: "kitchen" });

    expect(page(state)).toEqual([]);
    expect(nextToSend(state)).toMatchObject({ room, message: { id: "a" } });
  });
});

describe("a message of someone else", () => {
  test("is shown once, as it came first", () => {
    const state = stateAfter(joined, heard("a", "first"), heard("a", "second"));

    expect(currentRoom(state).messages.map(({ text }) => text)).toEqual(["first"]);
  });

  test("cannot be marked by what happens to ours", () => {
    const state = stateAfter(joined, heard("a"));

    expect(reduce(state, became("kept", "a"))).toBe(state);
  });
});

describe("the connection", () => {
  const waiting: Event = { type: "link", status: "waiting", retryAt: 5000 };
  const connecting: Event = { type: "link", status: "connecting", retryAt: 0 };
  const open: Event = { type: "link", status: "open", retryAt: 0 };

  test("at first is not lost, only not there yet", () => {
    expect(stateAfter(joined, connecting, open).link.lost).toBe(false);
  });

  test("is lost until it was back for a while", () => {
    const back = stateAfter(joined, open, waiting, connecting, open);

    expect(back.link).toEqual({ status: "open", retryAt: 0, lost: true });
    expect(reduce(back, { type: "settled" }).link.lost).toBe(false);
  });

  test("says when it is tried again only while it waits", () => {
    expect(stateAfter(open, waiting).link.retryAt).toBe(5000);
    expect(stateAfter(open, waiting, connecting).link.retryAt).toBe(0);
  });
});

describe("the door", () => {
  test("a refused password leads back to it and keeps what was written", () => {
    const locked = stateAfter(joined, live, wrote("a"), { type: "locked", refused: true });

    expect(locked.access).toBe("refused");
    expect(nextToSend(locked)).toBeUndefined();
    expect(page(locked)).toEqual(["a waiting"]);
    expect(reduce(locked, joined).access).toBe("granted");
  });

  test("leaving ends the session and keeps what was said", () => {
    const left = stateAfter(joined, live, heard("b"), wrote("a"), { type: "left" });

    expect(left.name).toBe("");
    expect(page(left)).toEqual(["b sent", "a waiting"]);
    expect(nextToSend(left)).toBeUndefined();
  });
});
