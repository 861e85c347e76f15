/** What a page is told of the network and of itself, as far as its runtime has that. */

/** What is woken, and put to rest. */
interface Sleeper {
  /** Things may be better now: do at once what waits. */
  hurry(): void;
  /** Things may be worse now: find out. */
  probe(): void;
  /** Hold no connection until things are better. */
  rest(): void;
}

/** The parts of a page that are not in every runtime. */
type Page = Partial<EventTarget> & { readonly document?: Document };

/**
 * Wakes a sleeper when the network came, went or changed, and when the page is seen or thawed: a
 * connection may be dead without a sign, and the timers of a hidden page are late. A page that goes
 * into the back-forward cache must hold no connection.
 * @returns the undo.
 */
export function watchPage(sleeper: Sleeper): () => void {
  const { document } = globalThis as Page;
  const wake = (): void => {
    if (!document?.hidden) sleeper.hurry();
  };
  const leave = (event: Event): void => {
    if ((event as PageTransitionEvent).persisted) sleeper.rest();
  };
  const listeners: Array<[Page | undefined, string, (event: Event) => void]> = [
    [globalThis, "online", wake],
    [globalThis, "offline", () => sleeper.probe()],
    [globalThis, "pageshow", wake],
    [globalThis, "pagehide", leave],
    [document, "visibilitychange", wake],
    [document, "resume", wake],
  ];
  const each = (how: "addEventListener" | "removeEventListener"): void => {
    for (const [target, name, listener] of listeners) target?.[how]?.(name, listener);
  };
  each("addEventListener");
  return () => each("removeEventListener");
}
