/** Longest time a timer can wait, in ms; a longer one would fire at once. */
const MAX_WAIT = 0x7fff_ffff;

/** A timer that is set again and again. */
export class Timer {
  #id: ReturnType<typeof setTimeout> | undefined;

  /** Does `work` in `ms`, or as late as a timer can, and not what it was set for before. */
  set(ms: number, work: () => unknown): void {
    this.clear();
    this.#id = setTimeout(work, Math.min(ms, MAX_WAIT));
  }

  clear(): void {
    clearTimeout(this.#id);
  }
}
