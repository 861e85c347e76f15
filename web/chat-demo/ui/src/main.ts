/** Puts the page together: the store, what shows it, and the session that talks to the server. */

import { connect } from "arpc-js";
import { rememberedName, rememberedPassword, rememberName, rememberPassword } from "./memory.ts";
import { createId } from "./publication.ts";
import { roomOfHash } from "./room.ts";
import { Session } from "./session.ts";
import { hasUnsent } from "./state.ts";
import { createStore } from "./store.ts";
import { createView } from "./view/view.ts";

/** How often the countdown moves, in milliseconds. */
const TICK = 250;

/** How long the page says that the connection is back, in milliseconds. */
const BACK_FOR = 3000;

const store = createStore();
let session: Session | undefined;

const render = createView(
  {
    join(name, typed) {
      const password = typed || rememberedPassword();
      rememberName(name);
      rememberPassword(password);
      store.dispatch({ type: "joined", name });
      session?.close();
      session = new Session(
        connect(socketUrl(), password === "" ? {} : { password }),
        store,
        password !== "",
      );
    },
    leave() {
      session?.close();
      session = undefined;
      store.dispatch({ type: "left" });
    },
    write: (text) => store.dispatch({ type: "wrote", id: createId(), text, time: Date.now() }),
    retry: (id) => store.dispatch({ type: "retried", id }),
  },
  { name: rememberedName() },
);

store.subscribe(render);
store.subscribe(({ access }) => {
  if (access !== "granted") {
    session?.close();
    session = undefined;
    rememberPassword("");
  }
});
keepClock();
window.addEventListener("hashchange", visit);
window.addEventListener("beforeunload", (event) => {
  if (hasUnsent(store.state)) {
    event.preventDefault();
  }
});
visit();
render(store.state);

function visit(): void {
  store.dispatch({ type: "visited", room: roomOfHash(location.hash) });
}

function socketUrl(): string {
  const url = new URL("/ws", location.href);
  url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
  return url.href;
}

// Time passes only while someone waits for it: for the next attempt, or for
// the good news to have been read.
function keepClock(): void {
  let ticking = 0;
  let settling = 0;
  store.subscribe(({ link }) => {
    if (link.status === "waiting" && ticking === 0) {
      ticking = window.setInterval(tick, TICK);
      tick();
    }
    if (link.status !== "waiting") {
      clearInterval(ticking);
      ticking = 0;
    }
    const back = link.status === "open" && link.lost;
    if (back && settling === 0) {
      settling = window.setTimeout(() => store.dispatch({ type: "settled" }), BACK_FOR);
    }
    if (!back) {
      clearTimeout(settling);
      settling = 0;
    }
  });
}

function tick(): void {
  store.dispatch({ type: "tick", now: Date.now() });
}
