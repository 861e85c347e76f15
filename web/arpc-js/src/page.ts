import type { Engine, Part } from "./engine.ts";

/** What a page is told of the network and of itself, as far as its runtime has that. */

/** The parts of a page that are not in every runtime. */
type Page = Partial<EventTarget> & { readonly document?: Document };

/**
 * Wakes a client when the network came or went, and when the page is shown, seen or thawed: a
 * connection may be dead without a sign, and the timers of a hidden page are late. A page that goes
 * into the back-forward cache must hold no connection; one that goes for good needs no session.
 */
export function watchPage(engine: Engine): Part {
  const { document } = globalThis as Page;
  const wake = (): void => {
    if (!document?.hidden) engine.hurry();
  };
  const leave = (event: Event): void => {
    if ((event as PageTransitionEvent).persisted) engine.rest();
    else engine.session?.left();
  };
  const listeners: Array<[Page | undefined, string, (event: Event) => void]> = [
    [globalThis, "online", wake],
    [globalThis, "offline", () => engine.conn?.probe()],
    [globalThis, "pageshow", wake],
    [globalThis, "pagehide", leave],
    [document, "visibilitychange", wake],
    [document, "resume", wake],
  ];
  const each = (how: "addEventListener" | "removeEventListener"): void => {
    for (const [target, name, listener] of listeners) target?.[how]?.(name, listener);
  };
  each("addEventListener");
  return { closed: () => each("removeEventListener") };
}
