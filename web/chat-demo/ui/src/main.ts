/** Puts the page together: the store, what shows it, and the session that talks to the server. */

import { connect } from "arpc-js";
import { CableSocket, setCut } from "./cable.ts";
import {
  remember,
  rememberedName,
  rememberedPassword,
  rememberPassword,
  restoredState,
  secret,
} from "./memory.ts";
import { Meter } from "./meter.ts";
import { createId } from "./publication.ts";
import { hashOfRoom, roomOfHash } from "./room.ts";
import { LOBBY } from "./rules.ts";
import { Session } from "./session.ts";
import { isClockNeeded, type Theme } from "./state.ts";
import { createStore } from "./store.ts";
import { createView, inFrames } from "./view/view.ts";

/** How often the clock of the page moves, in milliseconds. */
const TICK = 250;

/** How long the page says that the connection is back, in milliseconds. */
const BACK_FOR = 3000;

const NEXT_THEME: Record<Theme, Theme> = { system: "light", light: "dark", dark: "system" };

const store = createStore(restoredState());
const { dispatch } = store;
const meter = new Meter();
let session: Session | undefined;

const render = createView(
  {
    join(name, typed) {
      rememberPassword(typed || rememberedPassword());
      dispatch({ type: "joined", name });
      begin();
    },
    leave() {
      end();
      dispatch({ type: "left" });
    },
    visit(room) {
      location.hash = hashOfRoom(room);
      dispatch({ type: "menu", open: false });
    },
    reenter: () => session?.reenter(),
    forget(room) {
      if (room === store.state.room) {
        location.hash = hashOfRoom(LOBBY);
        visit();
      }
      dispatch({ type: "forgotten", room });
    },
    draft(text) {
      dispatch({ type: "drafted", room: store.state.room, text });
      session?.type();
    },
    write(text) {
      const { room } = store.state;
      dispatch({ type: "wrote", room, id: createId(), text, time: Date.now() });
      dispatch({ type: "drafted", room, text: "" });
    },
    retry: (id) => dispatch({ type: "retried", room: store.state.room, id }),
    discard: (id) => dispatch({ type: "discarded", room: store.state.room, id }),
    readBack: () => dispatch({ type: "past", room: store.state.room, past: "wanted" }),
    changeTheme: () => dispatch({ type: "themed", theme: NEXT_THEME[store.state.theme] }),
    showPanel: (open) => dispatch({ type: "panel", open }),
    showMenu: (open) => dispatch({ type: "menu", open }),
    cut(cut) {
      dispatch({ type: "cut", cut });
      setCut(cut);
      if (!cut) {
        // The browser says so too when a network is back: then arpc-js waits no longer.
        window.dispatchEvent(new Event("online"));
      }
    },
  },
  { name: rememberedName(), meter },
);

store.subscribe(inFrames(render));
keepMemory();
keepClock();
window.addEventListener("hashchange", visit);
document.addEventListener("visibilitychange", look);
visit();
look();
render(store.state);
if (store.state.name !== "") {
  begin();
}

function begin(): void {
  const password = rememberedPassword();
  session?.close();
  setCut(false);
  const client = connect(socketUrl(), {
    WebSocket: CableSocket,
    debug: (direction, frame) => meter.record(direction, frame, performance.now()),
    ...(password === "" ? {} : { password }),
  });
  session = new Session(client, store, { secret: secret(), hasPassword: password !== "" });
}

function end(): void {
  session?.close();
  session = undefined;
}

function visit(): void {
  dispatch({ type: "visited", room: roomOfHash(location.hash) });
}

function look(): void {
  dispatch({ type: "shown", visible: document.visibilityState === "visible" });
}

function socketUrl(): string {
  const url = new URL("/ws", location.href);
  url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
  return url.href;
}

// The session ends where the server does not let us in, and the password with it.
function keepMemory(): void {
  let before = store.state;
  store.subscribe((state) => {
    remember(state, before);
    before = state;
    if (state.access !== "granted" && session !== undefined) {
      end();
      rememberPassword("");
    }
  });
}

// Time passes only while something on the page waits for it.
function keepClock(): void {
  let ticking = 0;
  let settling = 0;
  store.subscribe((state) => {
    const isNeeded = isClockNeeded(state);
    if (isNeeded && ticking === 0) {
      ticking = window.setInterval(tick, TICK);
      tick();
    }
    if (!isNeeded) {
      clearInterval(ticking);
      ticking = 0;
    }
    const isBack = state.link.status === "open" && state.link.lost;
    if (isBack && settling === 0) {
      settling = window.setTimeout(() => dispatch({ type: "settled" }), BACK_FOR);
    }
    if (!isBack) {
      clearTimeout(settling);
      settling = 0;
    }
  });
}

function tick(): void {
  dispatch({ type: "tick", now: Date.now() });
}
