import type { ApiShape } from "./api.ts";
import { addCoders } from "./coder.ts";
import { addDebug } from "./debug.ts";
import { launch } from "./launch.ts";
import { watchPage } from "./page.ts";
import { addTopics, type ConnectOptions, type PubSubClient } from "./pubsub.ts";
import { addSession } from "./session.ts";
import { addStreams } from "./streaming.ts";

/**
 * Makes a client and lets it dial. It returns at once: what is called before the connection is
 * open waits for it.
 *
 *     const client = connect<Api>("wss://example.org/ws");
 *     const reply = await client.call("/echo", "hi");
 *
 * @param url `ws:`, `wss:`, or `http:` and `https:` for the same; in a page it may be relative.
 * @throws ArpcError `invalid_argument` when the URL is none, `failed_precondition` when the runtime
 * has no WebSocket and the options neither.
 */
export function connect<A extends ApiShape = ApiShape>(
  url: string | URL,
  options: ConnectOptions = {},
): PubSubClient<A> {
  const client = launch(
    url,
    options,
    watchPage,
    addDebug,
    addCoders,
    addSession,
    addStreams,
    addTopics,
  );
  return client as PubSubClient<A>;
}
