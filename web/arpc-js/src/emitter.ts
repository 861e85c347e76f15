/** Listeners by event; `Events` maps each event's name to its listeners' arguments. */
export class Emitter<Events extends Record<keyof Events, unknown[]>> {
  #listeners: { [E in keyof Events]?: Array<(...args: Events[E]) => void> | undefined } = {};
  readonly #onThrow: (error: unknown) => void;

  /** @param onThrow takes what a listener throws, so that the others still hear the event. */
  constructor(onThrow: (error: unknown) => void) {
    this.#onThrow = onThrow;
  }

  /** Adds a listener; returns its undo. */
  on<E extends keyof Events>(event: E, listener: (...args: Events[E]) => void): () => void {
    // A wrapper of its own, so that the same function may listen twice and each undo ends one.
    const entry = (...args: Events[E]): void => listener(...args);
    // Arrays are replaced, never changed: an emit in progress is safe.
    this.#listeners[event] = [...(this.#listeners[event] ?? []), entry];
    return () => {
      this.#listeners[event] = this.#listeners[event]?.filter((other) => other !== entry);
    };
  }

  /** Calls the listeners of an event; false if it has none. */
  emit<E extends keyof Events>(event: E, ...args: Events[E]): boolean {
    const listeners = this.#listeners[event] ?? [];
    for (const listener of listeners) {
      try {
        listener(...args);
      } catch (error) {
        this.#onThrow(error);
      }
    }
    return listeners.length > 0;
  }

  /** Forgets every listener. */
  clear(): void {
    this.#listeners = {};
  }
}
