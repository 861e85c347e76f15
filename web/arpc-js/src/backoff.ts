/** How long to wait before dialing again. */
export interface BackoffOptions {
  /** Bound of the first wait, in ms. @default 500 */
  readonly min?: number;
  /** Bound of every wait, in ms. @default 20_000 */
  readonly max?: number;
  /** A connection that stayed open for so many ms starts the waits over. @default 10_000 */
  readonly stable?: number;
  /** A number in [0, 1), for tests. @default Math.random */
  readonly random?: () => number;
}

/**
 * Exponential backoff with full jitter: the n-th wait is anything below min * 2^n and below max,
 * so that clients cut off at once do not come back at once.
 * @returns gives the next wait in ms, after a connection that was open for `uptime` ms (0: never
 * opened).
 */
export function createBackoff({
  min = 500,
  max = 20_000,
  stable = 10_000,
  random = Math.random,
}: BackoffOptions): (uptime: number) => number {
  let attempt = 0;
  return (uptime) => {
    if (uptime > 0 && uptime >= stable) attempt = 0;
    return random() * Math.min(max, min * 2 ** attempt++);
  };
}
