import type { ApiShape, Name, Topics } from "./api.ts";
import type { Client } from "./client.ts";
import {
  decodeObject,
  emptyPayload,
  encodeBody,
  json,
  type Members,
  type Payload,
} from "./codec.ts";
import type { CodingClient } from "./coder.ts";
import type { Conn } from "./conn.ts";
import { type Engine, type Part, ready } from "./engine.ts";
import { ArpcError } from "./errors.ts";
import { PROTOCOL_PREFIX } from "./hello.ts";
import { decodeHistory, type History, type HistoryOptions } from "./history.ts";
import { MAX_HELLO, MAX_LISTED, MAX_TOPICS } from "./limits.ts";
import type { CallOptions, WaitOptions } from "./options.ts";
import { type Position, toPosition } from "./position.ts";
import { type Presence, toPresence } from "./presence.ts";
import {
  decodePublication,
  encodePublication,
  encodeTopic,
  encodeWithOptions,
} from "./publication.ts";
import type { SessionOptions } from "./session.ts";
import { CLOSE_OVERRUN } from "./socket.ts";
import type { StreamingClient } from "./streaming.ts";
import { checked } from "./structured.ts";
import type { Delivery, MessageHandler, SubscribeOptions, Subscription } from "./subscription.ts";
import { createTopic, type Topic, type TopicLink } from "./topic.ts";
import {
  CMD_MASK,
  CMD_NOTIFY,
  encodeText,
  FLAG_ERROR,
  FLAG_OUTSIDE,
  type Frame,
  KIND_TEXT,
} from "./wire.ts";

/** The routes of a publication: of the base protocol, whose names begin with `in_`, and of logs. */
const ROUTE_PUBLISH = "in_P";
const METHOD_PUBLISH = "arpc.publish";

/** A broadcast to who only counts them. */
const NOTHING = { topic: "", epoch: "", time: 0, decode: () => undefined } as const;

/** Settings of a client with topics. */
export interface ConnectOptions extends SessionOptions {
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
export interface PubSubClient<A extends ApiShape = ApiShape>
  extends Client<A>,
    StreamingClient,
    CodingClient {
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

  /**
   * Publishes to a topic; resolves when the server has taken it, with its place in the log (none,
   * at a server without logs or to `one`). While there is no connection it waits, within its
   * timeout. Rejects as {@link Client.call} does. Nothing is ever published twice by itself.
   */
  publish<T extends Name<Topics<A>>>(
    topic: T,
    data: Topics<A>[T],
    options?: PublishOptions,
  ): Promise<Position>;

  /**
   * Gets a part of what a topic's log holds, without a subscription. Rejects as
   * {@link Client.call} does; a server without logs knows no such method.
   */
  history<T extends Name<Topics<A>>>(
    topic: T,
    options?: HistoryOptions & CallOptions,
  ): Promise<History<Topics<A>[T]>>;

  /** Gets who is present in a topic, without a subscription. Rejects as {@link Client.call} does. */
  presence(topic: Name<Topics<A>>, options?: WaitOptions): Promise<Presence>;
}

/** Adds topics to a client. */
export function addTopics(engine: Engine, client: object, { password }: ConnectOptions): Part {
  const { request, report, emit } = engine;
  const topics = new Map<string, Topic>();
  const link: TopicLink = {
    member: crypto.getRandomValues(new Uint32Array(4)).join("-"),
    ready: () => ready(engine),
    forget: (topic) => topics.delete(topic),
    report,
    async tell(conn, isJoin, body, settle) {
      const isKnown = conn.knows("topics");
      const [join, leave] = isKnown ? ["arpc.subscribe", "arpc.unsubscribe"] : ["in_S", "in_U"];
      const payload = isKnown
        ? encodeBody(body, json)
        : publication(body["topic"] as string, emptyPayload);
      const answered = (answer: Frame): void => {
        if (!(answer.flag & FLAG_ERROR)) settle(isKnown ? decodeObject(answer.body) : null);
      };
      const options = { conn, outside: isKnown, answered };
      checked(await request(isJoin ? join : leave, payload, options));
    },
  };
  const topicOf = (name: string): Topic => {
    const topic = topics.get(name) ?? createTopic(name, link);
    topics.set(name, topic);
    return topic;
  };
  // The server's broadcasts are the log of a topic that has no name; their messages are notifies.
  const broadcasts = topicOf("");
  broadcasts.join(() => {}, {}).on("gap", (gap) => void emit("gap", gap));
  // Those that hello listed, in order; the answer is in the same.
  let listed: Topic[] = [];

  const query = async (method: string, body: Members, options: WaitOptions): Promise<Uint8Array> =>
    checked(await request(method, encodeBody(body, json), options)).body;
  /** The publication in a frame. @throws RangeError when there is none. */
  const read = ({ flag, seq, body }: Frame): Delivery => {
    const { topic, data, time } = decodePublication(body);
    const decode: Delivery["decode"] = (as) => engine.fromBody(data, flag, as);
    return { topic, epoch: "", offset: Number(seq), time, decode };
  };
  const event = (body: Members): void => {
    const name = String(body["topic"]);
    const topic = topics.get(name);
    if (body["event"] !== "subscribed") {
      topic?.event(body);
      return;
    }
    encodeTopic(name);
    const joined = topicOf(name);
    if (!joined.joined(body)) return;
    emit("subscribed", name);
    // Whom nobody subscribed is left.
    void joined.sync();
    if (topic || topics.size <= MAX_TOPICS) return;
    engine.conn?.hangUp(CLOSE_OVERRUN, new ArpcError("resource_exhausted", "too many topics"));
  };

  const added: Omit<PubSubClient, keyof Client | keyof StreamingClient | keyof CodingClient> = {
    subscribe(
      name: string,
      handlerOrOptions?: MessageHandler | SubscribeOptions,
      options: SubscribeOptions = {},
    ) {
      if (engine.state === "closed") throw new ArpcError("unavailable", "client closed");
      encodeTopic(name);
      const topic = topicOf(name);
      return typeof handlerOrOptions === "function"
        ? topic.join(handlerOrOptions, options)
        : topic.join(undefined, handlerOrOptions ?? options);
    },
    async publish(topic, data, options = {}) {
      const { key, echo, one, ...wait } = options;
      const { kind, bytes } = engine.toPayload(data);
      const body = encodeWithOptions(bytes, { topic, key, echo, one });
      const copy = body.subarray(0, bytes.length);
      encodeTopic(topic);
      // What the server knows is not known before there is a connection.
      const recode = (conn: Conn): [string, Payload] | undefined =>
        conn.knows("topics")
          ? undefined
          : [one ? "in_P1" : ROUTE_PUBLISH, publication(topic, { kind, bytes: copy })];
      const answer = await request(METHOD_PUBLISH, { kind, bytes: body }, { ...wait, recode });
      const { method, body: position } = checked(answer);
      if (one || method !== METHOD_PUBLISH) return { epoch: "", offset: 0 };
      return toPosition(decodeObject(position), true);
    },
    async history(topic, { after, before, limit, as, ...wait } = {}) {
      const answer = await query("arpc.history", { topic, after, before, limit }, wait);
      return decodeHistory(answer, (frame, epoch) => {
        const { decode, ...message } = read(frame);
        try {
          return { ...message, epoch, data: decode(as) };
        } catch (error) {
          // One that nobody can read does not hide the others.
          report(error);
          return undefined;
        }
      });
    },
    async presence(topic, options = {}) {
      return toPresence(decodeObject(await query("arpc.presence", { topic }, options)));
    },
  };
  Object.assign(client, added);
  return {
    say(said) {
      for (const topic of topics.values()) topic.disconnected(false);
      // Where there is a password the others are refused until it was told.
      listed = [...topics.values()].slice(0, password === undefined ? MAX_LISTED : 1);
      const asked = listed.map((topic) => topic.ask());
      said.caps.push("topics");
      said["topics"] = asked;
      // Those there is no room for are subscribed later.
      while (asked.length > 1 && encodeText(JSON.stringify(said)).length > MAX_HELLO)
        asked.length >>= 1;
    },
    agreed(conn) {
      const answered = conn.knows("topics") && conn.helloAnswer?.["topics"];
      const answers: unknown[] = Array.isArray(answered) ? answered : [];
      for (const [i, topic] of listed.splice(0).entries()) topic.answered(answers[i] ?? undefined);
    },
    /** A refusal leaves the connection usable: what needed the password is refused for itself. */
    greet: (conn) => (password === undefined ? undefined : authenticate(engine, password, conn)),
    opened() {
      listed = [];
      for (const topic of topics.values()) void topic.sync();
    },
    disconnected() {
      for (const topic of topics.values()) topic.disconnected(engine.state === "closed");
    },
    take(frame, conn) {
      const { cmd, flag, method, seq, body } = frame;
      if ((cmd & CMD_MASK) !== CMD_NOTIFY) return false;
      const isOutside = !!(flag & FLAG_OUTSIDE);
      const isLogged = isOutside && conn.knows("topics");
      const isOurs = method.startsWith(PROTOCOL_PREFIX);
      // Before hello is answered the place of what is in a log is not known.
      if (isOutside && !isOurs && listed.length > 0) return true;
      try {
        if (method === ROUTE_PUBLISH) {
          const delivery = read(frame);
          const topic = topics.get(delivery.topic);
          if (isLogged) topic?.push(delivery);
          else topic?.deliver(delivery);
        } else if (isLogged && method === "arpc.topic") {
          event(decodeObject(body));
        } else {
          const offset = Number(seq);
          return isLogged && !isOurs && !broadcasts.push({ ...NOTHING, offset });
        }
      } catch (cause) {
        report(new ArpcError("data_loss", "bad publication", { cause }));
      }
      return true;
    },
  };
}

/** Tells the password. Rejects unless the server answers. */
async function authenticate(
  { request, settings, report }: Engine,
  password: string,
  conn: Conn,
): Promise<void> {
  const payload = { kind: KIND_TEXT, bytes: encodeText(password) } as const;
  try {
    checked(await request("in_A", payload, { timeout: settings.connectTimeout, conn }));
  } catch (error) {
    const refusal = ArpcError.from(error);
    if (!refusal.remote) throw refusal;
    report(refusal);
  }
}

/** The body of a request of base topics: the data, then the topic's name and the time. */
function publication(topic: string, { kind, bytes }: Payload): Payload {
  return { kind, bytes: encodePublication({ topic, data: bytes, time: Date.now() }) };
}
