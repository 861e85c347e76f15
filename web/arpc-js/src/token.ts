/** The token a client shows, or what gets it: called for each connection and before it expires. */
export type TokenProvider = string | (() => string | Promise<string>);

/** Asks a provider for the token, once at a time: who asks meanwhile gets the same answer. */
export function askOnce(provider: TokenProvider): () => Promise<string> {
  let asking: Promise<string> | undefined;
  const ask = async (): Promise<string> => (typeof provider === "function" ? provider() : provider);
  return () => {
    asking ??= ask().finally(() => {
      asking = undefined;
    });
    return asking;
  };
}
