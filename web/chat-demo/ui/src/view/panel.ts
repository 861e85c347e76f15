/** Under the hood: the connection in figures, the place in each topic, the last frames in words. */

import type { Place } from "../conversation.ts";
import type { FrameNote, Meter } from "../meter.ts";
import { topicOf } from "../room.ts";
import type { State } from "../state.ts";
import { byId, create, setText } from "./dom.ts";
import { renderList } from "./list.ts";
import type { Actions, Render } from "./part.ts";

/** How often the figures move while the panel is open, in milliseconds. */
const EVERY = 500;

/** The live panel. It reads the meter only while it is open. */
export function createPanel(actions: Pick<Actions, "showPanel" | "cut">, meter: Meter): Render {
  const panel = byId("panel", HTMLElement);
  const toggle = byId("panel-toggle", HTMLButtonElement);
  const chat = byId("chat", HTMLElement);
  const close = byId("panel-close", HTMLButtonElement);
  const renderFigures = createFigures(meter);
  const renderPlaces = createPlaces();
  const renderBreak = createBreak(actions);
  let shown: State | undefined;
  let timer = 0;

  function refresh(): void {
    if (shown !== undefined) {
      renderFigures(shown);
    }
  }

  function open(state: State): void {
    panel.hidden = !state.panel;
    chat.classList.toggle("panel-open", state.panel);
    clearInterval(timer);
    if (state.panel) {
      timer = window.setInterval(refresh, EVERY);
      // Where it lies over the page, one goes on in it.
      if (getComputedStyle(panel).position === "fixed") {
        close.focus();
      }
    }
  }

  close.addEventListener("click", () => {
    actions.showPanel(false);
    toggle.focus();
  });
  panel.addEventListener("keydown", (event) => {
    if (event.key === "Escape") {
      close.click();
    }
  });

  return (state) => {
    const isNews = state.panel !== (shown?.panel ?? false);
    shown = state;
    if (isNews) {
      open(state);
      refresh();
    }
    if (state.panel) {
      renderPlaces(state);
      renderBreak(state);
    }
  };
}

function createFigures(meter: Meter): Render {
  const connection = byId("figure-connection", HTMLElement);
  const roundTrip = byId("figure-round-trip", HTMLElement);
  const figures = {
    in: byId("figure-in", HTMLElement),
    out: byId("figure-out", HTMLElement),
  };
  const renderFrames = renderList<FrameNote>(byId("frames", HTMLElement), {
    key: ({ id }) => String(id),
    create: createFrame,
    update: () => {},
  });

  return ({ link }) => {
    const reading = meter.read(performance.now());
    setText(connection, `no. ${reading.connections}, ${link.status}`);
    setText(roundTrip, link.status === "open" ? timeOf(reading.roundTrip) : "–");
    for (const direction of ["in", "out"] as const) {
      const rate = reading.perSecond[direction].toFixed(1);
      setText(figures[direction], `${rate}/s, ${sizeOf(reading.bytes[direction])}`);
    }
    renderFrames(reading.frames);
  };
}

function createFrame({ direction, command, method, seq, size, body }: FrameNote): HTMLElement {
  const row = create("li", `frame ${direction}`);
  const head = create("p", "frame-head");
  const arrow = create("span", "frame-arrow", direction === "in" ? "↓" : "↑");
  arrow.ariaLabel = direction === "in" ? "received" : "sent";
  arrow.role = "img";
  head.append(
    arrow,
    create("b", "", command),
    create("span", "frame-method", method),
    create("span", "frame-size", `#${seq} · ${size} B`),
  );
  row.append(head);
  if (body !== "") {
    row.append(create("p", "frame-body", body));
  }
  return row;
}

function createPlaces(): Render {
  const title = byId("places-title", HTMLElement);
  interface Entry {
    readonly topic: string;
    readonly place: Place;
  }
  const renderRows = renderList<Entry>(byId("places", HTMLElement), {
    key: ({ topic }) => topic,
    create: ({ topic }) => {
      const row = create("li", "");
      row.append(create("span", "place-topic", topic), create("span", "place-offset"));
      return row;
    },
    update: (row, { place }) => {
      const offset = row.querySelector<HTMLElement>(".place-offset");
      if (offset !== null) {
        setText(offset, String(place.offset));
        offset.title = `epoch ${place.epoch}`;
      }
    },
  });

  return ({ rooms }) => {
    const entries: Entry[] = [];
    for (const [name, room] of rooms) {
      const place = room.messages.findLast((message) => message.place)?.place ?? room.readTo;
      if (place !== undefined) {
        entries.push({ topic: topicOf(name), place });
      }
    }
    renderRows(entries);
    title.hidden = entries.length === 0;
  };
}

function createBreak(actions: Pick<Actions, "cut">): Render {
  const button = byId("break", HTMLButtonElement);
  button.addEventListener("click", () => actions.cut(button.ariaPressed !== "true"));
  return ({ cut }) => {
    button.ariaPressed = String(cut);
    setText(button, cut ? "Mend the connection" : "Break the connection");
  };
}

function timeOf(milliseconds: number | undefined): string {
  return milliseconds === undefined ? "–" : `${milliseconds.toFixed(1)} ms`;
}

function sizeOf(bytes: number): string {
  return bytes < 1024 ? `${bytes} B` : `${(bytes / 1024).toFixed(1)} kB`;
}
