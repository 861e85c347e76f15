/** The types a `connect<Api>()` may be given: methods and topics by name. */
export interface ApiShape {
  /** What we call: `{ "/method": { request: …; reply: … } }`. */
  calls?: object;
  /** What we notify the peer of: `{ "/method": … }`. */
  notifies?: object;
  /** What the peer calls us or notifies us of: `{ "/method": { request: …; reply: … } }`. */
  handles?: object;
  /** What topics carry: `{ "news": …; [room: `room:${string}`]: … }`. */
  topics?: object;
}

/** The types of one method. */
export interface Exchange {
  /** What is asked with; undefined if nothing is. */
  request: unknown;
  /** What is answered with; undefined if nothing is. */
  reply: unknown;
}

/** A section of an Api, or `Else` when the Api says nothing of it. */
type Section<A extends ApiShape, Name extends keyof ApiShape, Else> =
  A extends Record<Name, infer S extends object> ? S : Else;

/** The calls of an Api; any method, of unknown types, when it has none. */
export type Calls<A extends ApiShape> = Section<A, "calls", Record<string, Exchange>>;
/** The notifies of an Api; any method, of unknown type, when it has none. */
export type Notifies<A extends ApiShape> = Section<A, "notifies", Record<string, unknown>>;
/** The handles of an Api; any method, of unknown types, when it has none. */
export type Handles<A extends ApiShape> = Section<A, "handles", Record<string, Exchange>>;
/** The topics of an Api; any topic, of unknown type, when it has none. */
export type Topics<A extends ApiShape> = Section<A, "topics", Record<string, unknown>>;

/** The names in a section. */
export type Name<S> = keyof S & string;
/** What goes to the peer by a method. */
export type RequestOf<S, M extends keyof S> = S[M] extends { request: infer R } ? R : undefined;
/** What comes back by a method. */
export type ReplyOf<S, M extends keyof S> = S[M] extends { reply: infer R } ? R : undefined;

/** A body that may be left out when its type has undefined in it, and options. */
export type BodyArguments<Body, Options> = undefined extends Body
  ? [body?: Body, options?: Options]
  : [body: Body, options?: Options];
