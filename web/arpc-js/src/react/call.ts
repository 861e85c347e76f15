import type { ApiShape, BodyArguments, Calls, Name, ReplyOf, RequestOf } from "../api.ts";
import type { Client } from "../client.ts";
import { ArpcError } from "../errors.ts";
import type { CallOptions } from "../options.ts";
import type { PubSubClient } from "../pubsub.ts";
import { Store, useStore } from "./store.ts";

/** Settings of {@link useCall}. */
export interface UseCallOptions extends Pick<CallOptions, "timeout" | "as"> {
  /** Whether to call at all: false until there is what the call needs. @default true */
  readonly enabled?: boolean;
  /** Whether the reply to the request before is shown until there is a new one. @default false */
  readonly keepData?: boolean;
}

/** What became of a call. */
export interface CallState<Reply> {
  /** The newest reply; undefined until there is one. */
  readonly data: Reply | undefined;
  /** Why the newest attempt failed; undefined if it did not. */
  readonly error: ArpcError | undefined;
  /** Whether an answer is on its way, or waits for the next connection. */
  readonly loading: boolean;
}

/** What {@link useCall} gives. */
export interface CallResult<Reply> extends CallState<Reply> {
  /** Calls again, and gives up a call under way. The same function until the call is another. */
  readonly refetch: () => void;
}

/**
 * Calls a method when the component is mounted, and again when the client, the method or what the
 * request says is another. A call that is no longer wanted is given up, at the server too. One that
 * was lost with its connection is made again on the next: give it methods that may be repeated.
 *
 *     const { data, error, loading, refetch } = useCall(client, "/users", { page });
 *
 * @param client may be undefined: nothing is called then, as on a server.
 */
export function useCall<A extends ApiShape, M extends Name<Calls<A>>>(
  client: Client<A> | PubSubClient<A> | undefined,
  method: M,
  ...args: BodyArguments<RequestOf<Calls<A>, M>, UseCallOptions>
): CallResult<ReplyOf<Calls<A>, M>> {
  type Reply = ReplyOf<Calls<A>, M>;
  const [request, options = {}] = args as [request?: unknown, options?: UseCallOptions];
  const { enabled = true, keepData = false, timeout, as } = options;
  const inputs = { method, request, enabled, timeout, as };
  const [state, store] = useStore<CallState<Reply>, CallStore<Reply>>(client, inputs, (before) => {
    const call = (signal: AbortSignal): Promise<unknown> =>
      (client as Client).call(method, request, {
        signal,
        as,
        ...(timeout !== undefined && { timeout }),
      });
    const data = keepData ? before?.get().data : undefined;
    return new CallStore(enabled ? client : undefined, call as CallFunction<Reply>, data);
  });
  return { ...state, refetch: store.refetch };
}

type CallFunction<Reply> = (signal: AbortSignal) => Promise<Reply>;

/** The calls of one request, the newest of which counts. */
class CallStore<Reply> extends Store<CallState<Reply>> {
  readonly #client: Pick<Client, "state" | "on"> | undefined;
  readonly #call: CallFunction<Reply>;
  #abort: AbortController | undefined;
  #unlisten: (() => void) | undefined;
  // Whether the next connection is waited for.
  #isLost = false;

  constructor(
    client: Pick<Client, "state" | "on"> | undefined,
    call: CallFunction<Reply>,
    data: Reply | undefined,
  ) {
    super({ data, error: undefined, loading: client !== undefined });
    this.#client = client;
    this.#call = call;
  }

  readonly refetch = (): void => {
    if (this.isRunning) void this.#fetch();
  };

  protected start(): void {
    if (!this.#client) return;
    this.#unlisten = this.#client.on("state", (state) => {
      if (state === "open" && this.#isLost) void this.#fetch();
      else if (state === "closed" && this.#isLost) this.#settle(false);
    });
    void this.#fetch();
  }

  protected stop(): void {
    this.#unlisten?.();
    this.#abort?.abort();
  }

  /** Never rejects. */
  async #fetch(): Promise<void> {
    if (!this.#client) return;
    this.#abort?.abort();
    this.#abort = new AbortController();
    const { signal } = this.#abort;
    this.#isLost = false;
    if (!this.get().loading) this.set({ ...this.get(), loading: true });
    try {
      const data = await this.#call(signal);
      if (!signal.aborted) this.set({ data, error: undefined, loading: false });
    } catch (cause) {
      if (!signal.aborted) this.#failed(ArpcError.from(cause));
    }
  }

  #failed(error: ArpcError): void {
    const { code, remote } = error;
    const state = this.#client?.state;
    const comesBack = state === "waiting" || state === "connecting";
    this.#isLost = code === "unavailable" && !remote && comesBack;
    this.set({ ...this.get(), error, loading: this.#isLost });
  }

  #settle(loading: boolean): void {
    this.#isLost = false;
    this.set({ ...this.get(), loading });
  }
}
