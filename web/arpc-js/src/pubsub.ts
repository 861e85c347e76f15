import type { ApiShape, Name, Topics } from "./api.ts";
import { decodeObject, emptyPayload, encodeBody, json, type Payload } from "./codec.ts";
import type { Conn } from "./conn.ts";
import { ArpcError } from "./errors.ts";
import { type Hello, PROTOCOL_PREFIX } from "./hello.ts";
import { decodeHistory, type History, type HistoryOptions } from "./history.ts";
import type { CallOptions, ClientOptions } from "./options.ts";
import type { WaitOptions } from "./pending.ts";
import { type Body, type Position, toPosition } from "./position.ts";
import { type Presence, toPresence } from "./presence.ts";
import {
  decodePublication,
  encodePublication,
  encodeTopic,
  encodeWithOptions,
} from "./publication.ts";
import type { SocketConstructor } from "./socket.ts";
import { StreamingClient } from "./streaming.ts";
import { checked } from "./structured.ts";
import type { Delivery, MessageHandler, SubscribeOptions, Subscription } from "./subscription.ts";
import { Topic, type TopicLink } from "./topic.ts";
import {
  CMD_MASK,
  CMD_NOTIFY,
  encodeText,
  FLAG_ERROR,
  FLAG_OUTSIDE,
  type Frame,
  KIND_TEXT,
} from "./wire.ts";

/** The routes of the base protocol's topics. */
const ROUTE_AUTHENTICATE = "in_A";
const ROUTE_SUBSCRIBE = "in_S";
const ROUTE_UNSUBSCRIBE = "in_U";
const ROUTE_PUBLISH = "in_P";
const ROUTE_PUBLISH_TO_ONE = "in_P1";

/** The methods of topics that are logs. */
const METHOD_SUBSCRIBE = "arpc.subscribe";
const METHOD_UNSUBSCRIBE = "arpc.unsubscribe";
const METHOD_PUBLISH = "arpc.publish";
const METHOD_HISTORY = "arpc.history";
const METHOD_PRESENCE = "arpc.presence";
const METHOD_TOPIC = "arpc.topic";

/** Most bytes of hello. Topics it has no room for are subscribed after it. */
const MAX_HELLO = 16_384;
/** Most topics that are tried to fit in it. */
const MAX_LISTED = 1024;
/** A broadcast to who only counts them. */
const NOTHING = { topic: "", epoch: "", time: 0, decode: () => undefined } as const;

/** Settings of a client with topics. */
export interface ConnectOptions extends ClientOptions {
  /** The password of the server's topics, told on each connection before it is used. */
  readonly password?: string;
}

/** Settings of one publication. */
export interface PublishOptions extends WaitOptions {
  /**
   * Names the publication, in 1 to 128 bytes: of several with the same key the server takes the
   * first, for some minutes. With it, what failed and may have been `sent` can be published again.
   */
  readonly key?: string | undefined;
  /** Whether this client gets it too, if it is subscribed. @default true */
  readonly echo?: boolean | undefined;
  /** Whether it goes to one subscriber, each in turn, instead of all. It is in no log then. @default false */
  readonly one?: boolean | undefined;
}

/** A client that also subscribes and publishes. */
export class PubSubClient<A extends ApiShape = ApiShape> extends StreamingClient<A> {
  readonly #password: string | undefined;
  readonly #topics = new Map<string, Topic>();
  readonly #link: TopicLink = {
    member: crypto.getRandomValues(new Uint32Array(4)).join("-"),
    tell: (...told) => this.#tell(...told),
    ready: () => this.ready,
    forget: (topic) => this.#topics.delete(topic),
    report: (error) => this.report(error),
  };
  // The server's broadcasts are the log of a topic that has no name; their messages are notifies.
  readonly #broadcasts: Topic = this.#topic("");
  // Those that hello listed, in order; the answer is in the same.
  #listed: Topic[] = [];

  /** @internal */
  constructor(url: string, Socket: SocketConstructor, options: ConnectOptions) {
    super(url, Socket, options);
    this.#password = options.password;
    this.#broadcasts.join(() => {}, {}).on("gap", (gap) => void this.emit("gap", gap));
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
    encodeTopic(name);
    const topic = this.#topic(name);
    return typeof handlerOrOptions === "function"
      ? topic.join(handlerOrOptions, options)
      : topic.join(undefined, handlerOrOptions ?? options);
  }

  /**
   * Publishes to a topic; resolves when the server has taken it, with its place in the log (none,
   * at a server without logs or to `one`). While there is no connection it waits, within its
   * timeout. Rejects as {@link Client.call} does. Nothing is ever published twice by itself.
   */
  async publish<T extends Name<Topics<A>>>(
    topic: T,
    data: Topics<A>[T],
    options: PublishOptions = {},
  ): Promise<Position> {
    const { key, echo, one, ...wait } = options;
    const { kind, bytes } = this.encode(data);
    const body = encodeWithOptions(bytes, { topic, key, echo, one });
    const copy = body.subarray(0, bytes.length);
    encodeTopic(topic);
    const answer = await this.request(
      METHOD_PUBLISH,
      { kind, bytes: body },
      {
        ...wait,
        // What the server knows is not known before there is a connection.
        recode: (conn) =>
          conn.has("topics")
            ? undefined
            : [
                one ? ROUTE_PUBLISH_TO_ONE : ROUTE_PUBLISH,
                publication(topic, { kind, bytes: copy }),
              ],
      },
    );
    const { method, body: position } = checked(answer);
    if (one || method !== METHOD_PUBLISH) return { epoch: "", offset: 0 };
    return toPosition(decodeObject(position));
  }

  /**
   * Gets a part of what a topic's log holds, without a subscription. Rejects as
   * {@link Client.call} does; a server without logs knows no such method.
   */
  async history<T extends Name<Topics<A>>>(
    topic: T,
    { after, before, limit, as, ...wait }: HistoryOptions & CallOptions = {},
  ): Promise<History<Topics<A>[T]>> {
    const answer = await this.#query(METHOD_HISTORY, { topic, after, before, limit }, wait);
    const history = decodeHistory(answer, (frame, epoch) => {
      const { decode, ...message } = this.#read(frame);
      try {
        return { ...message, epoch, data: decode(as) };
      } catch (error) {
        // One that nobody can read does not hide the others.
        this.report(error);
        return undefined;
      }
    });
    return history as History<Topics<A>[T]>;
  }

  /** Gets who is present in a topic, without a subscription. Rejects as {@link Client.call} does. */
  async presence(topic: Name<Topics<A>>, options: WaitOptions = {}): Promise<Presence> {
    return toPresence(decodeObject(await this.#query(METHOD_PRESENCE, { topic }, options)));
  }

  /** @internal */
  protected override hello(token: string | undefined): Hello {
    const hello = super.hello(token);
    for (const topic of this.#topics.values()) topic.disconnected(false);
    // Where there is a password the others are refused until it was told.
    this.#listed = [...this.#topics.values()].slice(
      0,
      this.#password === undefined ? MAX_LISTED : 1,
    );
    const topics = this.#listed.map((topic) => topic.ask());
    const said = { ...hello, caps: [...hello.caps, "topics"], topics };
    // Those there is no room for are subscribed later.
    while (topics.length > 1 && encodeText(JSON.stringify(said)).length > MAX_HELLO)
      topics.length >>= 1;
    return said;
  }

  /** @internal */
  protected override agreed(conn: Conn): void {
    super.agreed(conn);
    const { topics } = conn.agreed.answer;
    const answers: unknown[] = conn.has("topics") && Array.isArray(topics) ? topics : [];
    for (const [i, listed] of this.#listed.splice(0).entries())
      listed.answered(answers[i] ?? undefined);
  }

  /** @internal */
  protected override greet(conn: Conn): Promise<void> | undefined {
    const password = this.#password;
    return password === undefined ? undefined : this.#authenticate(password, conn);
  }

  /** @internal */
  protected override opened(): void {
    super.opened();
    this.#listed = [];
    for (const topic of this.#topics.values()) void topic.sync();
  }

  /** @internal */
  protected override lost(): void {
    super.lost();
    const isFinal = this.state === "closed";
    for (const topic of this.#topics.values()) topic.disconnected(isFinal);
  }

  /** @internal */
  protected override take(frame: Frame, conn: Conn): boolean {
    const { cmd, flag, method, seq } = frame;
    if ((cmd & CMD_MASK) !== CMD_NOTIFY) return super.take(frame, conn);
    const isOutside = (flag & FLAG_OUTSIDE) > 0;
    const isLogged = isOutside && conn.has("topics");
    const isOurs = method.startsWith(PROTOCOL_PREFIX);
    // Before hello is answered the place of what is in a log is not known.
    if (isOutside && !isOurs && this.#listed.length > 0) return true;
    try {
      if (method === ROUTE_PUBLISH) {
        const delivery = this.#read(frame);
        const topic = this.#topics.get(delivery.topic);
        if (isLogged) topic?.push(delivery);
        else topic?.deliver(delivery);
      } else if (isLogged && method === METHOD_TOPIC) {
        this.#event(decodeObject(frame.body));
      } else {
        const offset = Number(seq);
        return isLogged && !isOurs && !this.#broadcasts.push({ ...NOTHING, offset });
      }
    } catch (cause) {
      this.report(new ArpcError("data_loss", "bad publication", { cause }));
    }
    return true;
  }

  #event(body: Body): void {
    const { topic: name, event } = body;
    const topic = this.#topics.get(name as string);
    if (event !== "subscribed") {
      topic?.event(body);
      return;
    }
    encodeTopic(String(name));
    const joined = topic ?? this.#topic(String(name));
    if (!joined.joined(body)) return;
    this.emit("subscribed", joined.name);
    // Whom nobody subscribed is left.
    void joined.sync();
  }

  /** The publication in a frame. @throws RangeError when there is none. */
  #read(frame: Frame): Delivery {
    const { topic, data, time } = decodePublication(frame.body);
    const decode: Delivery["decode"] = (as) => this.decode(data, frame.flag, as);
    return { topic, epoch: "", offset: Number(frame.seq), time, decode };
  }

  async #query(method: string, body: Body, options: WaitOptions): Promise<Uint8Array> {
    return checked(await this.request(method, encodeBody(body, json), options)).body;
  }

  /** A refusal leaves the connection usable: what needed the password is refused for itself. */
  async #authenticate(password: string, conn: Conn): Promise<void> {
    const payload = { kind: KIND_TEXT, bytes: encodeText(password) } as const;
    try {
      const options = { timeout: this.settings.connectTimeout, conn };
      checked(await this.request(ROUTE_AUTHENTICATE, payload, options));
    } catch (error) {
      const refusal = ArpcError.from(error);
      if (!refusal.remote) throw refusal;
      this.report(refusal);
    }
  }

  async #tell(...[conn, isJoin, body, settle]: Parameters<TopicLink["tell"]>): Promise<void> {
    const isKnown = conn.has("topics");
    const answered = (answer: Frame): void => {
      if (!(answer.flag & FLAG_ERROR)) settle(isKnown ? decodeObject(answer.body) : null);
    };
    const answer = isKnown
      ? this.request(isJoin ? METHOD_SUBSCRIBE : METHOD_UNSUBSCRIBE, encodeBody(body, json), {
          conn,
          outside: true,
          answered,
        })
      : this.request(
          isJoin ? ROUTE_SUBSCRIBE : ROUTE_UNSUBSCRIBE,
          publication(body["topic"] as string, emptyPayload),
          { conn, answered },
        );
    checked(await answer);
  }

  #topic(name: string): Topic {
    const topic = this.#topics.get(name) ?? new Topic(name, this.#link);
    this.#topics.set(name, topic);
    return topic;
  }
}

/** The body of a request of base topics: the data, then the topic's name and the time. */
function publication(topic: string, { kind, bytes }: Payload): Payload {
  return { kind, bytes: encodePublication({ topic, data: bytes, time: Date.now() }) };
}
