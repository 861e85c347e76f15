/** The server calls and notifies us: exactly one answer to each request, whatever a handler does. */

import { describe, expect, it, vi } from "vitest";
import { ArpcError, type Client, type Context } from "../src/index.ts";
import { decodeText, type Frame, kindOf } from "../src/wire.ts";
import { until } from "./helpers/fake-socket.ts";
import {
  base,
  becomes,
  notify,
  open,
  type Peer,
  request,
  silent,
  startServer,
  textOf,
} from "./helpers/server.ts";

async function pair(): Promise<{ client: Client; peer: Peer; errors: ArpcError[] }> {
  const server = await startServer(silent);
  const client = open(server);
  const errors: ArpcError[] = [];
  client.on("error", (error) => errors.push(error));
  return { client, peer: await server.peer(), errors };
}

async function ask(peer: Peer, ...frames: Frame[]): Promise<string[]> {
  peer.send(...frames);
  const answers: string[] = [];
  for (let i = 0; i < frames.length; i++) answers.push(textOf(await peer.next()));
  return answers;
}

describe("a request", () => {
  it("is answered with what the handler returns, its method, seq and async flag", async () => {
    const { client, peer } = await pair();
    client.handle("/sum", (ctx) => (ctx.body as number[]).reduce((a, b) => a + b, 0));
    const seq = 2n ** 64n - 1n;
    peer.send(request("/sum", seq, "[1,2,3]", 2 | (3 << 4)));
    const answer = await peer.next();
    expect(answer).toMatchObject({ cmd: 2, method: "/sum", seq, flag: 2 | (3 << 4) });
    expect(decodeText(answer.body)).toBe("6");
  });

  it.each([
    ["text", 1],
    [Uint8Array.of(1), 2],
    [null, 3],
    [undefined, 0],
  ])("answered with %j says its kind", async (reply, kind) => {
    const { client, peer } = await pair();
    client.handle("/m", () => Promise.resolve(reply));
    peer.send(request("/m", 1n));
    expect(kindOf((await peer.next()).flag)).toBe(kind);
  });

  it("of seq 0 is a request like any other", async () => {
    const { client, peer } = await pair();
    client.handle("/m", () => "zero");
    peer.send(request("/m", 0n));
    expect(await peer.next()).toMatchObject({ seq: 0n });
  });

  it("without a handler is told so", async () => {
    const { peer } = await pair();
    peer.send(request("/none", 5n, "", 2));
    const answer = await peer.next();
    expect(answer).toMatchObject({ cmd: 2, flag: 7, seq: 5n });
    expect(textOf(answer)).toBe("method not found");
  });

  it.each(["constructor", "__proto__", "toString"])("for %s finds no built-in", async (method) => {
    const { client, peer } = await pair();
    expect(await ask(peer, request(method, 1n))).toEqual(["method not found"]);
    client.handle(method, () => "mine");
    expect(await ask(peer, request(method, 2n))).toEqual(["mine"]);
  });

  it("goes to the not-found handler if there is one", async () => {
    const { client, peer } = await pair();
    client.handleNotFound((ctx) => `no ${ctx.method}`);
    expect(await ask(peer, request("/none", 1n))).toEqual(["no /none"]);
  });

  it("that fails deliberately says so, any other failure says nothing", async () => {
    const { client, peer, errors } = await pair();
    client.handle("/no", () => {
      throw new ArpcError("permission_denied", "not yours");
    });
    client.handle("/bug", () => Promise.reject(new TypeError("secret path")));
    client.handle("/null", () => {
      throw null;
    });
    const answers = await ask(peer, request("/no", 1n), request("/bug", 2n), request("/null", 3n));
    expect(answers.sort()).toEqual(["internal error", "internal error", "not yours"]);
    expect(errors.map(({ message }) => message).sort()).toEqual(["null", "secret path"]);
  });

  it("answered with what has no encoding gets an error", async () => {
    const { client, peer, errors } = await pair();
    client.handle("/big", () => 1n);
    client.handle("/cycle", () => {
      const cyclic: { self?: unknown } = {};
      cyclic.self = cyclic;
      return cyclic;
    });
    peer.send(request("/big", 1n), request("/cycle", 2n));
    const told = { code: "internal", message: "internal error" };
    for (let i = 0; i < 2; i++) {
      const { flag, body } = await peer.next();
      expect(flag).toBe(5);
      expect(JSON.parse(decodeText(body))).toEqual(told);
    }
    expect(errors).toHaveLength(2);
  });

  it("answered with an error as a value gets its text, of unknown kind", async () => {
    const { client, peer } = await pair();
    client.handle("/m", () => new ArpcError("not_found", "odd"));
    peer.send(request("/m", 1n));
    const { flag, body } = await peer.next();
    expect([flag, decodeText(body)]).toEqual([0, "odd"]);
  });

  it("answered with too much gets an error", async () => {
    const { client, peer, errors } = await pair();
    client.handle("/huge", () => "x".repeat(1 << 20));
    expect(await ask(peer, request("/huge", 1n))).toEqual([
      "answer of 1048576 bytes, limit 1048576",
    ]);
    expect(errors).toHaveLength(1);
  });

  it("with a body that is not what it says gets an error", async () => {
    const { client, peer } = await pair();
    const handler = vi.fn();
    client.handle("/m", handler);
    peer.send(request("/m", 1n, "{", 3 << 4));
    expect(await peer.next()).toMatchObject({ flag: 5 });
    expect(handler).not.toHaveBeenCalled();
  });

  it("runs beside others", async () => {
    const { client, peer } = await pair();
    let release = (): void => {};
    client.handle(
      "/slow",
      () => new Promise<string>((resolve) => (release = () => resolve("slow"))),
    );
    client.handle("/fast", () => {
      release();
      return "fast";
    });
    const answers = await ask(peer, request("/slow", 1n), request("/fast", 2n));
    expect(answers.sort()).toEqual(["fast", "slow"]);
  });

  it("whose connection is gone tells the handler", async () => {
    const { client, peer } = await pair();
    const seen = new Promise<AbortSignal>((resolve) => {
      client.handle("/long", (ctx) => {
        resolve(ctx.signal);
        return new Promise((done) => ctx.signal.addEventListener("abort", done));
      });
    });
    peer.send(request("/long", 1n));
    const signal = await seen;
    expect(signal.aborted).toBe(false);
    peer.terminate();
    await until(() => signal.aborted);
  });

  it("may call back", async () => {
    const { client, peer } = await pair();
    client.handle("/outer", async () => `got ${String(await client.call("/inner"))}`);
    peer.send(request("/outer", 9n));
    const inner = await peer.next();
    peer.send({ ...inner, cmd: 2, body: new TextEncoder().encode("it") });
    const outer = await peer.next();
    expect(outer).toMatchObject({ cmd: 2, seq: 9n });
    expect(decodeText(outer.body)).toBe("got it");
  });

  it("answers as a base peer understands, where the server is one", async () => {
    const server = await startServer(silent, { hello: base });
    const client = open(server);
    client.on("error", () => {});
    client.handle("/no", () => {
      throw new ArpcError("permission_denied", "not yours", { data: [1] });
    });
    client.handle("/text", () => "text");
    const peer = await server.peer();
    peer.send(request("/no", 1n), request("/text", 2n));
    const [refusal, answer] = [await peer.next(), await peer.next()];
    expect(refusal.flag).toBe(1);
    expect(decodeText(refusal.body)).toBe("not yours");
    expect(answer.flag).toBe(0);
  });
});

describe("more requests than may run", () => {
  async function flooded(count: number) {
    const { client, peer, errors } = await pair();
    const release: Array<() => void> = [];
    const begun: bigint[] = [];
    client.handle("/hold", ({ body }) => {
      begun.push(BigInt(body as number));
      return new Promise<void>((resolve) => release.push(resolve));
    });
    client.handle("/sync", () => "sync");
    const frames = Array.from({ length: count }, (_, i) => request("/hold", BigInt(i), String(i)));
    peer.send(...frames);
    return { client, peer, errors, release, begun };
  }

  it("wait in order, and all are answered", async () => {
    const { peer, release, begun } = await flooded(3000);
    await until(() => begun.length >= 1024);
    const answered = new Set<bigint>();
    while (answered.size < 3000) {
      for (const resolve of release.splice(0)) resolve();
      answered.add((await peer.next()).seq);
    }
    expect(begun).toEqual(Array.from({ length: 3000 }, (_, i) => BigInt(i)));
  });

  it("are refused beyond 4,096, one by one, and the connection goes on", async () => {
    const { peer, release, begun } = await flooded(1024 + 4096 + 2);
    const refused = [await peer.next(), await peer.next()];
    expect(refused.map(({ seq }) => seq)).toEqual([5120n, 5121n]);
    for (const answer of refused) {
      expect(JSON.parse(decodeText(answer.body))).toMatchObject({ code: "resource_exhausted" });
    }
    expect(begun).toHaveLength(1024);
    const answered = new Set<bigint>();
    while (answered.size < 5120) {
      for (const resolve of release.splice(0)) resolve();
      answered.add((await peer.next()).seq);
    }
  });

  it("are refused beyond 4 MiB", async () => {
    const { client, peer, release } = await flooded(1024);
    client.on("error", () => {});
    await until(() => release.length === 1024);
    const big = "x".repeat((1 << 20) - 100);
    for (let i = 0; i < 5; i++) peer.send(request("/hold", BigInt(2000 + i), big));
    expect(await peer.next()).toMatchObject({ seq: 2004n, flag: 5 });
    for (const resolve of release) resolve();
  });

  it("run in the place of handlers that wait for the peer", async () => {
    const { client, peer } = await pair();
    client.handle("/outer", async ({ body }) => client.call("/inner", body));
    const frames = Array.from({ length: 2000 }, (_, i) => request("/outer", BigInt(i), String(i)));
    peer.send(...frames);
    // The server answers no call of ours before all of them are there.
    const inner: Frame[] = [];
    while (inner.length < 2000) inner.push(await peer.next());
    expect(inner.every(({ method }) => method === "/inner")).toBe(true);
    peer.send(...inner.map((asked) => ({ ...asked, cmd: 2 })));
    const answered = new Set<bigint>();
    while (answered.size < 2000) {
      const answer = await peer.next();
      expect(decodeText(answer.body)).toBe(String(answer.seq));
      answered.add(answer.seq);
    }
  });

  it("of a connection that is gone are dropped", async () => {
    const { client, peer, release, begun } = await flooded(1500);
    await until(() => release.length === 1024);
    const lost = becomes(client, "waiting");
    peer.terminate();
    await lost;
    for (const resolve of release.splice(0)) resolve();
    await becomes(client, "open");
    expect(begun).toHaveLength(1024);
  });

  it("of a connection that is gone leave their place to those of the next", async () => {
    const server = await startServer(silent);
    const client = open(server);
    const release: Array<() => void> = [];
    client.handle("/hold", () => new Promise<void>((resolve) => release.push(resolve)));
    client.handle("/next", () => "next");
    const first = await server.peer();
    first.send(...Array.from({ length: 5120 }, (_, i) => request("/hold", BigInt(i))));
    first.send(request("arpc.sync", 1n));
    await first.next();
    first.terminate();
    const second = await server.peer();
    second.send(request("/next", 7n), request("arpc.sync", 8n));
    expect(await second.next()).toMatchObject({ method: "arpc.sync" });
    for (const resolve of release) resolve();
    const answer = await second.next();
    expect([answer.seq, decodeText(answer.body)]).toEqual([7n, "next"]);
  });
});

describe("a notify", () => {
  it("is handled after the one before it", async () => {
    const { client, peer } = await pair();
    const seen: unknown[] = [];
    client.handle("/n", async (ctx) => {
      seen.push(`begin ${String(ctx.body)}`);
      await Promise.resolve();
      seen.push(`end ${String(ctx.body)}`);
    });
    peer.send(notify("/n", "1"), notify("/n", "2"), notify("/none", "x"), notify("/n", "3"));
    await until(() => seen.length === 6);
    expect(seen).toEqual(["begin 1", "end 1", "begin 2", "end 2", "begin 3", "end 3"]);
  });

  it("that fails does not stop the next, and is never answered", async () => {
    const { client, peer, errors } = await pair();
    client.handle("/n", (ctx) => {
      if (ctx.body === 1) throw new Error("bug");
      if (ctx.body === 2) return Promise.reject(new Error("late bug"));
      return "reply";
    });
    client.handle("/after", (ctx) => ctx.isNotify);
    peer.send(notify("/n", "1"), notify("/n", "2"), notify("/n", "3"), request("/after", 1n));
    expect(decodeText((await peer.next()).body)).toBe("false");
    await until(() => errors.length === 2);
    expect(peer.frames.size).toBe(0);
  });

  it("that waits is dropped when the client is closed", async () => {
    const { client, peer } = await pair();
    const seen: unknown[] = [];
    let release = (): void => {};
    client.handle("/n", ({ body }) => {
      seen.push(body);
      return new Promise<void>((resolve) => (release = resolve));
    });
    peer.send(notify("/n", "1"), notify("/n", "2"), request("arpc.sync", 1n));
    await peer.next();
    client.close();
    release();
    await peer.closed;
    expect(seen).toEqual([1]);
  });

  it("beyond the bound ends the connection with a reason", async () => {
    const { client, peer, errors } = await pair();
    client.handle("/n", () => new Promise<void>(() => {}));
    peer.send(...Array.from({ length: 4200 }, () => notify("/n")));
    expect(await peer.closed).toEqual({ code: 4008, reason: "inbound queue full" });
    expect(errors[0]).toMatchObject({ code: "resource_exhausted" });
  });
});

describe("methods of the protocol", () => {
  it("have no handler of ours", async () => {
    const { client, peer } = await pair();
    const seen = vi.fn();
    client.use(seen);
    client.handleNotFound(seen);
    expect(() => client.handle("arpc.mine", seen)).toThrow(
      expect.objectContaining({ code: "invalid_argument" }) as Error,
    );
    peer.send(notify("arpc.later", "x"), request("arpc.later", 7n, "", 2));
    const answer = await peer.next();
    expect(answer).toMatchObject({ cmd: 2, method: "arpc.later", seq: 7n, flag: 0b1111 });
    expect(JSON.parse(decodeText(answer.body))).toEqual({
      code: "not_found",
      message: "method not found",
    });
    expect(seen).not.toHaveBeenCalled();
  });
});

describe("handlers", () => {
  it("are one a method, until undone", async () => {
    const { client, peer } = await pair();
    const undo = client.handle("/m", () => "first");
    expect(() => client.handle("/m", () => "second")).toThrow(
      expect.objectContaining({ code: "already_exists" }) as Error,
    );
    undo();
    client.handle("/m", () => "second");
    undo();
    expect(await ask(peer, request("/m", 1n))).toEqual(["second"]);
  });

  it("may say how to read a body of unknown kind", async () => {
    const { client, peer } = await pair();
    const bodies: unknown[] = [];
    client.handle("/t", (ctx) => void bodies.push(ctx.body), { as: "text" });
    client.handle("/j", (ctx) => void bodies.push(ctx.body));
    await ask(peer, request("/t", 1n, "12"), request("/j", 2n, "12"));
    expect(bodies).toEqual(["12", 12]);
  });
});

describe("middleware", () => {
  it("surrounds the handlers registered after it, the first outermost", async () => {
    const { client, peer } = await pair();
    const seen: string[] = [];
    const trace = (name: string) => async (ctx: Context, next: () => Promise<void>) => {
      seen.push(`${name} before ${ctx.method}`);
      await next();
      seen.push(`${name} after ${String(ctx.reply)}`);
    };
    client.handle("/early", () => "early");
    client.use(trace("a"));
    client.use(trace("b"));
    client.handle("/late", () => "late");
    client.use(trace("c"));
    expect(await ask(peer, request("/early", 1n))).toEqual(["early"]);
    expect(seen).toEqual([]);
    expect(await ask(peer, request("/late", 2n))).toEqual(["late"]);
    expect(seen).toEqual(["a before /late", "b before /late", "b after late", "a after late"]);
  });

  it("may answer, refuse or change the reply", async () => {
    const { client, peer } = await pair();
    const handler = vi.fn(() => "handled");
    client.use(async (ctx, next) => {
      if (ctx.body === "refuse") throw new ArpcError("permission_denied", "refused");
      if (ctx.body === "answer") ctx.reply = "answered";
      else await next();
      if (ctx.body === "change") ctx.reply = `${String(ctx.reply)} and changed`;
    });
    client.handle("/m", handler);
    const bodies = ["refuse", "answer", "change", "pass"];
    const answers = await ask(peer, ...bodies.map((body, i) => request("/m", BigInt(i), body)));
    expect(answers.sort()).toEqual(["answered", "handled", "handled and changed", "refused"]);
    expect(handler).toHaveBeenCalledTimes(2);
  });

  it("that goes on twice is a failure", async () => {
    const { client, peer, errors } = await pair();
    const handler = vi.fn();
    client.use(async (_, next) => {
      await next();
      await next();
    });
    client.handle("/m", handler);
    expect(await ask(peer, request("/m", 1n))).toEqual(["internal error"]);
    expect(handler).toHaveBeenCalledTimes(1);
    expect(errors[0]?.message).toBe("next() called twice");
  });
});
