import { ArpcError } from "./errors.ts";
import type { Timer } from "./timer.ts";

/** The token a client shows, or what gets it: called for each connection and before it expires. */
export type TokenProvider = string | (() => string | Promise<string>);

/**
 * Asks a provider for the token, once at a time: who asks meanwhile gets the same answer. Who asks
 * gives a timer: after `timeout` ms it has waited long enough, and the next one asks again. It stays
 * set after the answer, where it changes nothing, until it is set or cleared.
 */
export function askOnce(
  provider: TokenProvider,
  timeout: number,
): (timer: Timer) => Promise<string> {
  let asking: Promise<string> | undefined;
  const ask = async (): Promise<string> => (typeof provider === "function" ? provider() : provider);
  return (timer) =>
    new Promise<string>((resolve, reject) => {
      const forget = (): void => {
        if (asking === answer) asking = undefined;
      };
      // Before the provider is asked, which may close the client.
      timer(timeout, () => {
        forget();
        reject(new ArpcError("deadline_exceeded", "no token in time"));
      });
      asking ??= ask();
      const answer = asking;
      answer.finally(forget).then(resolve, reject);
    });
}
