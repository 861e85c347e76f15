/** Holds the state; whoever subscribes is told after it changed. */

import { type Event, initialState, reduce, type State } from "./state.ts";

/** The state of the page and the way to change it. */
export interface Store {
  readonly state: State;
  /** Applies an event. An event dispatched by a listener is applied when the listeners are through. */
  dispatch(event: Event): void;
  /** Calls `listener` after each change; returns what ends that. */
  subscribe(listener: (state: State) => void): () => void;
}

/** A store with a page in it: a fresh one, unless told otherwise. */
export function createStore(state: State = initialState): Store {
  const listeners = new Set<(state: State) => void>();
  const queue: Event[] = [];
  let draining = false;

  function drain(): void {
    for (let event = queue.shift(); event !== undefined; event = queue.shift()) {
      const before = state;
      state = reduce(state, event);
      if (state !== before) {
        for (const listener of listeners) {
          listener(state);
        }
      }
    }
  }

  return {
    get state() {
      return state;
    },
    dispatch(event) {
      queue.push(event);
      if (draining) {
        return;
      }
      draining = true;
      try {
        drain();
      } finally {
        draining = false;
      }
    },
    subscribe(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
}
