import {
  createContext,
  createElement,
  type DependencyList,
  type ReactElement,
  type ReactNode,
  useContext,
} from "react";
import type { ApiShape } from "../api.ts";
import type { PubSubClient } from "../pubsub.ts";
import { Store, useStore } from "./store.ts";

/** What {@link ClientContext.ClientProvider} is given. */
export interface ClientProviderProps<C> {
  /** The client that the components below use; may be undefined, as on a server. */
  readonly client: C | undefined;
  /** The components below. */
  readonly children?: ReactNode;
}

/** A client for all components of a tree, typed by one Api. */
export interface ClientContext<C> {
  /** Gives a client to the components below it. It neither makes nor closes the client. */
  readonly ClientProvider: (props: ClientProviderProps<C>) => ReactElement;
  /** The client of the nearest provider above; undefined when that has none, or there is none. */
  readonly useClient: () => C | undefined;
}

/**
 * Makes a provider and a hook that share a client, for trees in which handing it down is tedious.
 * Call it once, outside of components.
 *
 *     export const { ClientProvider, useClient } = createClientContext<Api>();
 */
export function createClientContext<A extends ApiShape = ApiShape>(): ClientContext<
  PubSubClient<A>
> {
  const context = createContext<PubSubClient<A> | undefined>(undefined);
  return {
    ClientProvider: ({ client, children }) =>
      createElement(context.Provider, { value: client }, children),
    useClient: () => useContext(context),
  };
}

/**
 * Makes a client when the component is mounted, and closes it when it is unmounted; another one
 * when what is in `deps` is another. Where one client serves the whole page, `connect` it in a
 * module of its own instead. What `connect` throws is thrown while rendering.
 *
 *     const client = useConnect(() => connect<Api>(url, { token }), [url, token]);
 *
 * @returns undefined until it is mounted, as on a server.
 */
export function useConnect<C extends { close(): void }>(
  connect: () => C,
  deps: DependencyList,
): C | undefined {
  const [made] = useStore<Made<C>, ClientStore<C>>(
    undefined,
    deps,
    () => new ClientStore<C>(connect),
  );
  if (made.failure) throw made.failure.reason;
  return made.client;
}

interface Made<C> {
  readonly client?: C;
  readonly failure?: { readonly reason: unknown };
}

class ClientStore<C extends { close(): void }> extends Store<Made<C>> {
  readonly #connect: () => C;

  constructor(connect: () => C) {
    super({});
    this.#connect = connect;
  }

  protected start(): void {
    try {
      this.set({ client: this.#connect() });
    } catch (reason) {
      this.set({ failure: { reason } });
    }
  }

  protected stop(): void {
    this.get().client?.close();
    this.set({});
  }
}
