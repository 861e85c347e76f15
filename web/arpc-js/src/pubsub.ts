import type { ApiShape, Name, Topics } from "./api.ts";
import { Client } from "./client.ts";
import { emptyPayload, type Payload } from "./codec.ts";
import type { Conn } from "./conn.ts";
import { ArpcError } from "./errors.ts";
import type { ClientOptions } from "./options.ts";
import type { WaitOptions } from "./pending.ts";
import { decodePublication, encodePublication } from "./publication.ts";
import type { SocketConstructor } from "./socket.ts";
import { checked } from "./structured.ts";
import type { MessageHandler, SubscribeOptions, Subscription } from "./subscription.ts";
import { Topic } from "./topic.ts";
import { encodeText, type Frame, KIND_TEXT } from "./wire.ts";

/** The routes of the base protocol's topics. */
const ROUTE_AUTHENTICATE = "in_A";
const ROUTE_SUBSCRIBE = "in_S";
const ROUTE_UNSUBSCRIBE = "in_U";
const ROUTE_PUBLISH = "in_P";

/** Settings of a client with topics. */
export interface ConnectOptions extends ClientOptions {
  /** The password of the server's topics, told on each connection before it is used. */
  readonly password?: string;
}

/** A client that also subscribes and publishes. */
export class PubSubClient<A extends ApiShape = ApiShape> extends Client<A> {
  readonly #password: string | undefined;
  readonly #topics = new Map<string, Topic>();

  /** @internal */
  constructor(url: string, Socket: SocketConstructor, options: ConnectOptions) {
    super(url, Socket, options);
    this.#password = options.password;
  }

  /**
   * Subscribes a topic; messages go to the handler, and to who iterates the subscription. Several
   * subscriptions of one topic are one to the server.
   * @throws ArpcError `invalid_argument` when the name is empty or over 255 bytes,
   * `unavailable` when the client is closed.
   */
  subscribe<T extends Name<Topics<A>>>(
    topic: T,
    handler?: MessageHandler<Topics<A>[T]>,
    options?: SubscribeOptions,
  ): Subscription<Topics<A>[T]>;
  subscribe<T extends Name<Topics<A>>>(
    topic: T,
    options?: SubscribeOptions,
  ): Subscription<Topics<A>[T]>;
  subscribe(
    name: string,
    handlerOrOptions?: MessageHandler | SubscribeOptions,
    options: SubscribeOptions = {},
  ): Subscription {
    if (this.state === "closed") throw new ArpcError("unavailable", "the client is closed");
    const topic = this.#topics.get(name) ?? this.#addTopic(name);
    return typeof handlerOrOptions === "function"
      ? topic.join(handlerOrOptions, options)
      : topic.join(undefined, handlerOrOptions ?? options);
  }

  /**
   * Publishes to a topic; resolves when the server has taken it. While there is no connection it
   * waits, within its timeout. Rejects as {@link Client.call} does.
   */
  async publish<T extends Name<Topics<A>>>(
    topic: T,
    data: Topics<A>[T],
    options: WaitOptions = {},
  ): Promise<void> {
    checked(await this.request(ROUTE_PUBLISH, publication(topic, this.encode(data)), options));
  }

  /** @internal */
  protected override greet(conn: Conn): Promise<void> | undefined {
    const password = this.#password;
    return password === undefined ? undefined : this.#authenticate(password, conn);
  }

  /** @internal */
  protected override opened(): void {
    for (const topic of this.#topics.values()) topic.connected();
  }

  /** @internal */
  protected override lost(): void {
    const isFinal = this.state === "closed";
    for (const topic of this.#topics.values()) topic.disconnected(isFinal);
  }

  /** @internal */
  protected override takeNotify(frame: Frame): boolean {
    if (frame.method !== ROUTE_PUBLISH) return false;
    try {
      const { topic, data, time } = decodePublication(frame.body);
      this.#topics.get(topic)?.deliver({
        topic,
        time,
        offset: Number(frame.seq),
        decode: (as) => this.decode(data, frame.flag, as),
      });
    } catch (cause) {
      this.report(new ArpcError("data_loss", `bad publication: ${String(cause)}`, { cause }));
    }
    return true;
  }

  /** A refusal leaves the connection usable: what needed the password is refused for itself. */
  async #authenticate(password: string, conn: Conn): Promise<void> {
    const payload = { kind: KIND_TEXT, bytes: encodeText(password) } as const;
    try {
      const options = { timeout: this.settings.connectTimeout };
      checked(await this.request(ROUTE_AUTHENTICATE, payload, options, conn));
    } catch (error) {
      const refusal = ArpcError.from(error);
      if (!refusal.remote) throw refusal;
      this.report(refusal);
    }
  }

  #addTopic(name: string): Topic {
    const payload = publication(name, emptyPayload);
    const send = async (route: string): Promise<void> => {
      checked(await this.request(route, payload, {}));
    };
    const topic = new Topic(name, {
      subscribe: () => send(ROUTE_SUBSCRIBE),
      unsubscribe: () => send(ROUTE_UNSUBSCRIBE),
      isReady: () => this.isReady,
      forget: () => this.#topics.delete(name),
      report: (error) => this.report(error),
    });
    this.#topics.set(name, topic);
    return topic;
  }
}

/** The body of a request of topics: the data, then the topic's name and the time. */
function publication(topic: string, { kind, bytes }: Payload): Payload {
  return { kind, bytes: encodePublication({ topic, data: bytes, time: Date.now() }) };
}
