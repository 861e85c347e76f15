import { ArpcError } from "./errors.ts";
import type { Timer } from "./timer.ts";

/** The token a client shows, or what gets it: called for each connection and before it expires. */
export type TokenProvider = string | (() => string | Promise<string>);

/**
 * Asks a provider for the token, once at a time: who asks meanwhile gets the same answer. Who asks
 * gives a timer: after `timeout` ms it has waited long enough, and the next one asks again.
 */
export function askOnce(
  provider: TokenProvider,
  timeout: number,
): (timer: Timer) => Promise<string> {
  let asking: Promise<string> | undefined;
  const ask = async (): Promise<string> => (typeof provider === "function" ? provider() : provider);
  return (timer) => {
    asking ??= ask();
    const answer = asking;
    const forget = (): void => {
      if (asking === answer) asking = undefined;
    };
    return new Promise<string>((resolve, reject) => {
      timer(timeout, () => {
        forget();
        reject(new ArpcError("deadline_exceeded", "no token in time"));
      });
      answer.finally(forget).then(resolve, reject);
    });
  };
}
