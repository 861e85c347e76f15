/** What the hooks infer from an Api, and what they refuse. tsc reads this file, nothing runs it. */

import { type Client as CoreClient, connect as connectCore } from "../../src/core.ts";
import { type Client, connect, type Message } from "../../src/index.ts";
import { createClientContext, useCall, useConnect, useTopic } from "../../src/react/index.ts";

type Equal<A, B> =
  (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
function is<_ extends true>(): void {}

interface Api {
  calls: {
    "/room": { request: { id: number }; reply: { title: string } };
    "/now": { request: undefined; reply: number };
  };
  topics: { news: string };
}

const client: Client<Api> = connect<Api>("wss://example.org/ws");
const core: CoreClient<Api> = connectCore<Api>("wss://example.org/ws");
const untyped = connect("wss://example.org/ws");
const { useClient } = createClientContext<Api>();

export function useAll(): void {
  const room = useCall(client, "/room", { id: 1 }, { keepData: true });
  is<Equal<typeof room.data, { title: string } | undefined>>();
  const now = useCall(core, "/now");
  is<Equal<typeof now.data, number | undefined>>();
  const shared = useCall(useClient(), "/now", undefined, { enabled: false });
  is<Equal<typeof shared.data, number | undefined>>();
  const anything = useCall(untyped, "/anything", 1);
  is<Equal<typeof anything.data, unknown>>();
  const made = useConnect(() => connect<Api>("/ws"), []);
  is<Equal<typeof made, Client<Api> | undefined>>();
  const news = useTopic(made, "news", { limit: 1, onMessage: ({ data }) => data.toUpperCase() });
  is<Equal<typeof news.messages, readonly Message<string>[]>>();

  // @ts-expect-error the request is missing
  useCall(client, "/room");
  // @ts-expect-error the request has another type
  useCall(client, "/room", { id: "1" });
  // @ts-expect-error there is no such method
  useCall(client, "/none");
  // @ts-expect-error there is no such topic
  useTopic(client, "none");
  // @ts-expect-error there are no topics in core
  useTopic(core, "news");
}
