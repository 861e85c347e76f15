/** Listeners by event; `Events` maps each event's name to its listeners' arguments. */
export interface Emitter<Events extends Record<keyof Events, unknown[]>> {
  /** Adds a listener; returns its undo. The same function may listen twice, and each undo ends one. */
  on<E extends keyof Events>(event: E, listener: (...args: Events[E]) => void): () => void;
  /** Calls the listeners of an event; false if it has none. */
  emit<E extends keyof Events>(event: E, ...args: Events[E]): boolean;
  /** Forgets every listener. */
  clear(): void;
}

/** @param onThrow takes what a listener throws, so that the others still hear the event. */
export function createEmitter<Events extends Record<keyof Events, unknown[]>>(
  onThrow: (error: unknown) => void,
): Emitter<Events> {
  let entries: Array<[event: keyof Events, listener: (...args: unknown[]) => void]> = [];
  return {
    on(event, listener) {
      // Cast, because who emits an event is held to its arguments.
      const entry = [event, listener] as unknown as (typeof entries)[number];
      entries.push(entry);
      return () => {
        entries = entries.filter((other) => other !== entry);
      };
    },
    emit(event, ...args) {
      // An array of its own: listeners may come and go meanwhile.
      const heard = entries.filter(([name]) => name === event);
      for (const [, listener] of heard) {
        try {
          listener(...args);
        } catch (error) {
          onThrow(error);
        }
      }
      return heard.length > 0;
    },
    clear() {
      entries = [];
    },
  };
}
