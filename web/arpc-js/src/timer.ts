/** Longest time a timer can wait, in ms; a longer one would fire at once. */
const MAX_WAIT = 0x7fff_ffff;

/**
 * A timer that is set again and again: does `work` in `ms`, or as late as a timer can, and not what
 * it was set for before. Without work it is cleared.
 */
export type Timer = (ms?: number, work?: () => unknown) => void;

/** Makes a timer. */
export function createTimer(): Timer {
  let id: ReturnType<typeof setTimeout> | undefined;
  return (ms = 0, work) => {
    clearTimeout(id);
    if (work) id = setTimeout(work, Math.min(ms, MAX_WAIT));
  };
}
