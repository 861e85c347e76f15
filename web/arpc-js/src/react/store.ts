import { useState, useSyncExternalStore } from "react";
import { equal } from "./equal.ts";

/**
 * Something outside React that is at work while components that show it are mounted. Making one has
 * no effect, so a render that React throws away leaves nothing behind.
 */
export abstract class Store<Snapshot> {
  readonly #listeners = new Set<() => void>();
  #snapshot: Snapshot;
  #isRunning = false;

  constructor(snapshot: Snapshot) {
    this.#snapshot = snapshot;
  }

  /** Begins the work. */
  protected abstract start(): void;
  /** Ends it, and leaves nothing behind. */
  protected abstract stop(): void;

  protected get isRunning(): boolean {
    return this.#isRunning;
  }

  /** What there is to show: the same object until it changes. */
  readonly get = (): Snapshot => this.#snapshot;

  readonly subscribe = (listener: () => void): (() => void) => {
    this.#listeners.add(listener);
    // Not at once: StrictMode mounts twice, and the first time is to reach no server.
    queueMicrotask(() => this.#run(this.#listeners.size > 0));
    return () => {
      this.#listeners.delete(listener);
      if (this.#listeners.size === 0) this.#run(false);
    };
  };

  protected set(snapshot: Snapshot): void {
    this.#snapshot = snapshot;
    for (const listener of this.#listeners) listener();
  }

  #run(isWanted: boolean): void {
    if (isWanted === this.#isRunning) return;
    this.#isRunning = isWanted;
    if (isWanted) this.start();
    else this.stop();
  }
}

/**
 * The store of a component: another one when `owner` is another, or `inputs` say something else.
 * @param make gets the store before.
 */
export function useStore<Snapshot, S extends Store<Snapshot>>(
  owner: unknown,
  inputs: unknown,
  make: (before: S | undefined) => S,
): [snapshot: Snapshot, store: S] {
  // Changed while rendering, which React undoes together with a render it throws away.
  const [held, hold] = useState(() => ({ owner, inputs, store: make(undefined) }));
  let { store } = held;
  if (held.owner !== owner || !equal(held.inputs, inputs)) {
    store = make(store);
    hold({ owner, inputs, store });
  }
  return [useSyncExternalStore(store.subscribe, store.get, store.get), store];
}
