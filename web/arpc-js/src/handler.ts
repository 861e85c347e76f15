import type { BodyKind } from "./codec.ts";
import type { Context } from "./context.ts";
import { ArpcError } from "./errors.ts";
import { PROTOCOL_PREFIX } from "./hello.ts";

/** Answers a request, or takes a notify. What it returns, or resolves with, is the reply. */
export type Handler<Request = unknown, Reply = unknown> = (
  ctx: Context<Request>,
) => Returned<Reply> | Promise<Returned<Reply>>;

/** A handler whose reply may be undefined need not return. */
// biome-ignore lint/suspicious/noConfusingVoidType: it is what such a function returns
type Returned<Reply> = undefined extends Reply ? Reply | void : Reply;

/** Runs around handlers: what it does before and after `await next()`, or instead of it. */
export type Middleware = (ctx: Context, next: () => Promise<void>) => void | Promise<void>;

/** How a handler wants its messages. */
export interface HandleOptions {
  /** How to read a body whose sender did not say what it is. @default JSON if it is JSON, else text */
  readonly as?: BodyKind;
}

/** A handler with the middleware around it. */
export interface Route {
  readonly as: BodyKind | undefined;
  /** Runs the chain; the reply is in the context afterwards. */
  run(ctx: Context): void | Promise<void>;
}

/**
 * Methods and their handlers. Middleware surrounds the handlers registered after it: chains are
 * composed at registration, so that dispatch is one look-up and one call.
 */
export interface Router {
  use(middleware: Middleware): void;
  /** Registers the handler of a method; returns its undo. */
  handle(method: string, handler: Handler, options?: HandleOptions): () => void;
  handleNotFound(handler: Handler, options?: HandleOptions): void;
  find(method: string): Route | undefined;
}

/** Makes a router without any. */
export function createRouter(): Router {
  const routes = new Map<string, Route>();
  const chain: Middleware[] = [];
  let notFound: Route | undefined;
  const compose = (handler: Handler, options: HandleOptions | undefined): Route => ({
    as: options?.as,
    run: chain.reduceRight<Route["run"]>(wrap, (ctx) => invoke(handler, ctx)),
  });
  return {
    use: (middleware) => void chain.push(middleware),
    handle(method, handler, options) {
      if (method.startsWith(PROTOCOL_PREFIX)) {
        throw new ArpcError("invalid_argument", `${method} is the protocol's`);
      }
      if (routes.has(method)) throw new ArpcError("already_exists", `${method} has a handler`);
      const route = compose(handler, options);
      routes.set(method, route);
      return () => {
        if (routes.get(method) === route) routes.delete(method);
      };
    },
    handleNotFound(handler, options) {
      notFound = compose(handler, options);
    },
    find: (method) => routes.get(method) ?? notFound,
  };
}

/** Puts a handler's reply into the context, without a promise if the handler has none. */
function invoke(handler: Handler, ctx: Context): void | Promise<void> {
  const reply = handler(ctx);
  const take = (value: unknown): void => {
    ctx.reply = value;
  };
  return isPromise(reply) ? Promise.resolve(reply).then(take) : take(reply);
}

/** Whether a value is to be waited for. */
export function isPromise(value: unknown): value is PromiseLike<unknown> {
  return typeof (value as PromiseLike<unknown> | undefined | null)?.then === "function";
}

function wrap(inner: Route["run"], middleware: Middleware): Route["run"] {
  return (ctx) => {
    let called = false;
    return middleware(ctx, async () => {
      if (called) throw new Error("next() called twice");
      called = true;
      await inner(ctx);
    });
  };
}
