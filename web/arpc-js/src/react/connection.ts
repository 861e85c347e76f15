import { useCallback, useSyncExternalStore } from "react";
import type { ClientState, StateDetail } from "../options.ts";

/** Where a client is, and what goes with it. */
export interface Connection extends StateDetail {
  /** Where the client is; `connecting` also while there is no client. */
  readonly state: ClientState;
}

/** The part of a client that {@link useConnection} needs. */
export interface Connecting {
  /** Where the client is. */
  readonly state: ClientState;
  /** What went with the last change of the state. */
  readonly detail: StateDetail;
  /** Listens to changes of the state; returns the undo. */
  on(event: "state", listener: () => void): () => void;
}

const connecting: Connection = { state: "connecting" };
// What was shown of a client last: the same is shown until its state changes.
const shown = new WeakMap<Connecting, { detail: StateDetail; connection: Connection }>();

/**
 * Where a client is (`connecting`, `open`, `waiting`, `closed`), why, and when it dials again.
 *
 *     const { state, error, delay } = useConnection(client);
 *
 * @param client may be undefined, and then is `connecting`, as on a server.
 */
export function useConnection(client: Connecting | undefined): Connection {
  const subscribe = useCallback(
    (listener: () => void) => client?.on("state", listener) ?? (() => {}),
    [client],
  );
  return useSyncExternalStore(
    subscribe,
    () => (client ? show(client) : connecting),
    () => connecting,
  );
}

function show(client: Connecting): Connection {
  const { state, detail } = client;
  const last = shown.get(client);
  if (last?.detail === detail && last.connection.state === state) return last.connection;
  const connection = { state, ...detail };
  shown.set(client, { detail, connection });
  return connection;
}
