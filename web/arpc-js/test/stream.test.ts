/** Streams: what goes over the wire, order, credit, ends of every kind, both as iterables and Web Streams. */

import { describe, expect, it, vi } from "vitest";
import { ArpcError, type Stream } from "../src/index.ts";
import { decodeText, encodeText, type Frame } from "../src/wire.ts";
import { until } from "./helpers/fake-socket.ts";
import {
  type Answer,
  agrees,
  base,
  becomes,
  frame,
  open,
  type Peer,
  request,
  type Server,
  silent,
  startServer,
} from "./helpers/server.ts";

const caps = ["batch", "cancel", "errors", "kind", "credit", "goaway"];
const TEXT = 1 << 4;

function extended(answer: Answer = {}): Promise<Server> {
  return startServer(silent, { hello: agrees({ caps, window: 1 << 18, ...answer }) });
}

/** A client and the server's end of its connection. */
async function pair(
  answer: Answer = {},
  options: Parameters<typeof open>[1] = {},
): Promise<{ client: ReturnType<typeof open>; peer: Peer; server: Server }> {
  const server = await extended(answer);
  const client = open(server, options);
  return { client, peer: await server.peer(), server };
}

async function basePair(): Promise<{ client: ReturnType<typeof open>; peer: Peer }> {
  const server = await startServer(silent, { hello: base });
  const client = open(server);
  return { client, peer: await server.peer() };
}

/** A stream frame of the end that did not open it (`0x06`), or did (`0x86`). */
function message(cmd: number, id: bigint, text = "", flag = TEXT): Frame {
  return frame(cmd, "/s", id, text, text === "" ? 0 : flag);
}

function credit(cmd: number, id: bigint, bytes: number): Frame {
  const body = new Uint8Array(4);
  new DataView(body.buffer).setUint32(0, bytes, true);
  return { cmd, flag: 0, method: "", seq: id, body };
}

async function all<T>(stream: AsyncIterable<T>): Promise<T[]> {
  const messages: T[] = [];
  for await (const each of stream) messages.push(each);
  return messages;
}

function failure(id: bigint, error: object, cmd = 0x46): Frame {
  return { cmd, flag: 5, method: "/s", seq: id, body: encodeText(JSON.stringify(error)) };
}

describe("a stream of ours", () => {
  it("is opened by its first message, and each direction ends for itself", async () => {
    const { client, peer } = await pair();
    const stream = client.stream<string, string>("/s");
    await stream.send("hi");
    await stream.end("bye");
    expect(await peer.next()).toMatchObject({ cmd: 0x86, flag: TEXT, method: "/s", seq: 1n });
    const last = await peer.next();
    expect(last).toMatchObject({ cmd: 0xc6, flag: TEXT, seq: 1n });
    expect(decodeText(last.body)).toBe("bye");
    peer.send(message(0x06, 1n, "a"), message(0x06, 1n, "b"), message(0x46, 1n, "c"));
    expect(await all(stream)).toEqual(["a", "b", "c"]);
    await expect(stream.send("late")).rejects.toMatchObject({ code: "canceled" });
    await stream.end();
  });

  it("messages sent without waiting leave in order, values of every kind", async () => {
    const { client, peer } = await pair();
    const stream = client.stream("/s");
    const sent = [stream.send("x"), stream.send({ n: 1 }), stream.send(new Uint8Array([7]))];
    await Promise.all([...sent, stream.send(""), stream.end()]);
    const frames = [await peer.next(), await peer.next(), await peer.next(), await peer.next()];
    expect(frames.map(({ flag }) => flag >> 4)).toEqual([1, 3, 2, 1]);
    expect(frames.map(({ body }) => decodeText(body))).toEqual(["x", '{"n":1}', "\u0007", ""]);
    expect(await peer.next()).toMatchObject({ cmd: 0xc6, flag: 0 });
  });

  it("ids count up; the same id of the peer is another stream", async () => {
    const { client, peer } = await pair();
    const heard = vi.fn();
    client.handleStream("/s", async (theirs) => heard(await all(theirs)));
    const [one, two] = [client.stream("/s"), client.stream("/s")];
    await one.send("1");
    await two.send("2");
    expect((await peer.next()).seq).toBe(1n);
    expect((await peer.next()).seq).toBe(2n);
    peer.send(message(0xc6, 1n, "theirs"), message(0x46, 1n, "for one"));
    expect(await all(one)).toEqual(["for one"]);
    await until(() => heard.mock.calls.length > 0);
    expect(heard).toHaveBeenCalledWith(["theirs"]);
  });

  it("waits for a connection", async () => {
    const server = await extended();
    const client = open(server);
    const stream = client.stream("/s");
    const sent = stream.send("early");
    const peer = await server.peer();
    await sent;
    expect(await peer.next()).toMatchObject({ cmd: 0x86, seq: 1n });
  });

  it("fails with the client that is closed while it waits, and after", async () => {
    const client = open({ url: "ws://127.0.0.1:1/" });
    const stream = client.stream("/s");
    const sent = stream.send("never");
    client.close();
    await expect(sent).rejects.toMatchObject({ code: "unavailable" });
    await expect(client.stream("/s").send(1)).rejects.toMatchObject({ code: "unavailable" });
  });

  it("may be canceled before it has a connection, and is not opened then", async () => {
    const server = await extended();
    const client = open(server);
    const stream = client.stream("/s");
    const sent = stream.send("never");
    stream.cancel();
    await expect(sent).rejects.toMatchObject({ code: "canceled" });
    const peer = await server.peer();
    client.notify("/n");
    expect(await peer.next()).toMatchObject({ cmd: 3 });
  });

  it("refuses what is too big or has no encoding, and goes on", async () => {
    const { client, peer } = await pair({ limits: { body: 10 } });
    const stream = client.stream("/s");
    await expect(stream.send("123456789")).rejects.toMatchObject({ code: "resource_exhausted" });
    await expect(stream.send(1n)).rejects.toMatchObject({ code: "invalid_argument" });
    await stream.send("12345678");
    expect((await peer.next()).body.length).toBe(8);
  });

  it("gets the messages, then the error the peer ended with; writing fails with it", async () => {
    const { client, peer } = await pair();
    const stream = client.stream("/s");
    await stream.send("x");
    await peer.next();
    const error = { code: "out_of_range", message: "too far", data: { max: 7 } };
    peer.send(message(0x06, 1n, "a"), failure(1n, error));
    const messages = stream[Symbol.asyncIterator]();
    expect(await messages.next()).toEqual({ value: "a", done: false });
    await expect(messages.next()).rejects.toMatchObject({ ...error, remote: true });
    await expect(stream.send("y")).rejects.toMatchObject({ ...error, remote: true });
  });

  it("fail ends both directions with the error", async () => {
    const { client, peer } = await pair();
    const stream = client.stream("/s");
    await stream.send("x");
    await stream.fail(new ArpcError("aborted", "changed my mind", { data: 1 }));
    await peer.next();
    const end = await peer.next();
    expect(end).toMatchObject({ cmd: 0xc6, flag: 5 });
    expect(JSON.parse(decodeText(end.body))).toEqual({
      code: "aborted",
      message: "changed my mind",
      data: 1,
    });
    await expect(all(stream)).rejects.toMatchObject({ code: "canceled" });
  });

  it.each([
    [
      "leaving the loop",
      async (stream: Stream) => {
        for await (const _ of stream) break;
      },
    ],
    ["cancel", async (stream: Stream) => stream.cancel()],
    ["canceling readable", (stream: Stream) => stream.readable.cancel()],
  ])("%s tells the peer, once", async (_, leave) => {
    const { client, peer } = await pair();
    const stream = client.stream("/s");
    await stream.send("x");
    await peer.next();
    peer.send(message(0x06, 1n, "a"), message(0x06, 1n, "b"));
    await leave(stream);
    expect(await peer.next()).toMatchObject({ cmd: 0xc7, method: "", seq: 1n });
    stream.cancel();
    peer.send(message(0x06, 1n, "late"), request("/m", 1n));
    expect(await peer.next()).toMatchObject({ cmd: 2, seq: 1n });
    await expect(stream.send("y")).rejects.toMatchObject({ code: "canceled" });
    await expect(all(stream)).rejects.toMatchObject({ code: "canceled" });
  });

  it("the peer's cancel: what arrived, then canceled", async () => {
    const { client, peer } = await pair();
    const stream = client.stream("/s");
    await stream.send("x");
    await peer.next();
    peer.send(message(0x06, 1n, "a"), frame(0x47, "", 1n));
    const messages = stream[Symbol.asyncIterator]();
    expect((await messages.next()).value).toBe("a");
    const canceled = { code: "canceled", remote: true };
    await expect(messages.next()).rejects.toMatchObject(canceled);
    await expect(stream.send("y")).rejects.toMatchObject(canceled);
  });

  it("ends with the connection: what arrived, then unavailable, and not on the next", async () => {
    const { client, peer, server } = await pair();
    const stream = client.stream("/s");
    await stream.send("x");
    await peer.next();
    peer.send(message(0x06, 1n, "a"));
    const messages = stream[Symbol.asyncIterator]();
    expect((await messages.next()).value).toBe("a");
    const waits = messages.next();
    peer.terminate();
    await expect(waits).rejects.toMatchObject({ code: "unavailable", sent: true });
    await expect(stream.send("y")).rejects.toMatchObject({ code: "unavailable" });
    const next = await server.peer();
    const again = client.stream("/s");
    await again.send("new");
    expect(await next.next()).toMatchObject({ cmd: 0x86, seq: 2n });
  });
});

describe("credit", () => {
  it("hello names our window", async () => {
    const server = await extended();
    open(server, { window: 1000 });
    expect(await (await server.peer()).hellos.take()).toMatchObject({
      caps: expect.arrayContaining(["credit"]) as string[],
      window: 1000,
    });
  });

  it("a sender waits for it, in order; one message may overdraw it, and an end needs none", async () => {
    const { client, peer } = await pair({ window: 4 });
    const stream = client.stream("/s");
    const sent = ["12345", "6", "7"].map((text) => stream.send(text));
    const end = stream.end();
    expect(decodeText((await peer.next()).body)).toBe("12345");
    // One byte is owed: nothing moves yet.
    peer.send(credit(0x08, 1n, 1), request("/m", 1n));
    expect(await peer.next()).toMatchObject({ cmd: 2, seq: 1n });
    peer.send(credit(0x08, 1n, 1));
    expect(decodeText((await peer.next()).body)).toBe("6");
    peer.send(credit(0x08, 1n, 4));
    expect(decodeText((await peer.next()).body)).toBe("7");
    await Promise.all([...sent, end]);
    expect(await peer.next()).toMatchObject({ cmd: 0xc6, body: new Uint8Array(0) });
  });

  it("with a window of 0 nothing with a body goes before the first grant", async () => {
    const { client, peer } = await pair({ window: 0 });
    const stream = client.stream("/s");
    await stream.send("");
    const sent = stream.send("x");
    expect((await peer.next()).body.length).toBe(0);
    peer.send(credit(0x08, 1n, 1));
    await sent;
    expect(decodeText((await peer.next()).body)).toBe("x");
  });

  it("is granted as the application reads, in pieces of half a window", async () => {
    const { client, peer } = await pair({}, { window: 8 });
    const stream = client.stream("/s");
    await stream.send("x");
    await peer.next();
    peer.send(message(0x06, 1n, "123"), message(0x06, 1n, "456"), message(0x06, 1n, "7"));
    const messages = stream[Symbol.asyncIterator]();
    await messages.next();
    // Three bytes are read, half of the window is four.
    peer.send(request("/m", 1n));
    expect(await peer.next()).toMatchObject({ cmd: 2 });
    await messages.next();
    const grant = await peer.next();
    expect(grant).toMatchObject({ cmd: 0x88, method: "", seq: 1n });
    expect(new DataView(grant.body.buffer, grant.body.byteOffset).getUint32(0, true)).toBe(6);
  });

  it("more than was granted drops the stream", async () => {
    const { client, peer } = await pair({}, { window: 8 });
    const stream = client.stream("/s");
    await stream.send("x");
    await peer.next();
    peer.send(message(0x06, 1n, "12345678"), message(0x06, 1n, "9"));
    expect(await peer.next()).toMatchObject({ cmd: 0xc7, seq: 1n });
    const messages = stream[Symbol.asyncIterator]();
    expect((await messages.next()).value).toBe("12345678");
    await expect(messages.next()).rejects.toMatchObject({ code: "resource_exhausted" });
  });

  it("a grant that is not four bytes is a bad frame", async () => {
    const { client, peer } = await pair();
    client.on("error", () => {});
    peer.send({ ...credit(0x08, 1n, 1), body: new Uint8Array(3) });
    expect(await peer.closed).toEqual({ code: 4002, reason: "bad frame: truncated" });
  });

  it("grants without end stop at 2^30", async () => {
    const { client, peer } = await pair({ window: 1 });
    const stream = client.stream("/s");
    await stream.send("12");
    await peer.next();
    for (let i = 0; i < 8; i++) peer.send(credit(0x08, 1n, 0xffff_ffff));
    await stream.send("x");
    expect(decodeText((await peer.next()).body)).toBe("x");
  });
});

describe("a stream of the peer", () => {
  it("goes to its handler, and ends when that returns", async () => {
    const { client, peer } = await pair();
    client.handleStream<string, string>("/s", async (stream) => {
      expect(stream.method).toBe("/s");
      for await (const text of stream) await stream.send(`${text}!`);
    });
    peer.send(message(0x86, 9n, "a"), message(0xc6, 9n, "b"));
    expect(await peer.next()).toMatchObject({ cmd: 0x06, seq: 9n, body: encodeText("a!") });
    expect(await peer.next()).toMatchObject({ cmd: 0x06, seq: 9n, body: encodeText("b!") });
    expect(await peer.next()).toMatchObject({ cmd: 0x46, seq: 9n, flag: 0 });
  });

  it("is canceled when the handler returns before the peer's end", async () => {
    const { client, peer } = await pair();
    client.handleStream("/s", () => {});
    peer.send(message(0x86, 9n, "a"));
    expect(await peer.next()).toMatchObject({ cmd: 0x46, seq: 9n });
    expect(await peer.next()).toMatchObject({ cmd: 0x47, method: "", seq: 9n });
    // What is late opens nothing.
    peer.send(message(0x86, 9n, "late"), request("/m", 1n));
    expect(await peer.next()).toMatchObject({ cmd: 2, seq: 1n });
  });

  it.each([
    [new ArpcError("out_of_range", "too far"), "out_of_range", "too far", 0],
    [new TypeError("secret"), "internal", "internal error", 1],
  ])("%s of the handler is what the peer gets", async (thrown, code, text, told) => {
    const { client, peer } = await pair();
    const errors = vi.fn();
    client.on("error", errors);
    client.handleStream("/s", async (stream) => {
      await stream.send("x");
      throw thrown;
    });
    peer.send(message(0x86, 9n, "a"));
    await peer.next();
    const end = await peer.next();
    expect(end).toMatchObject({ cmd: 0x46, flag: 5 });
    expect(JSON.parse(decodeText(end.body))).toMatchObject({ code, message: text });
    expect(errors).toHaveBeenCalledTimes(told);
  });

  it("over 256 at once is refused, until a handler ends", async () => {
    const { client, peer } = await pair();
    const releases: Array<() => void> = [];
    client.handleStream("/s", () => new Promise((resolve) => releases.push(resolve)));
    for (let id = 1n; id <= 257n; id++) peer.send(message(0x86, id, "a"));
    const end = await peer.next();
    expect(end).toMatchObject({ cmd: 0x46, flag: 5, seq: 257n });
    expect(JSON.parse(decodeText(end.body))).toMatchObject({ code: "resource_exhausted" });
    releases[0]?.();
    expect(await peer.next()).toMatchObject({ cmd: 0x46, seq: 1n });
    await peer.next();
    peer.send(message(0x86, 258n, "a"), message(0xc6, 258n));
    await until(() => releases.length === 257);
  });

  it("keeps a connection that is left until it is done", async () => {
    const { client, peer } = await pair();
    client.handleStream<string, string>("/s", async (stream) => {
      for await (const text of stream) await stream.send(text);
    });
    peer.send(message(0x86, 1n, "a"));
    await peer.next();
    const left = becomes(client, "waiting");
    peer.send(frame(3, "arpc.goaway", 0n, '{"delay":1,"until":60000}', 0x38));
    peer.send(message(0x86, 1n, "b"), message(0xc6, 1n));
    expect(await peer.next()).toMatchObject({ cmd: 0x06, body: encodeText("b") });
    expect(await peer.next()).toMatchObject({ cmd: 0x46 });
    await left;
  });

  it("handlers: one a method, and its undo", async () => {
    const { client, peer } = await pair();
    const undo = client.handleStream("/s", () => {});
    expect(() => client.handleStream("/s", () => {})).toThrow("/s has a handler");
    undo();
    peer.send(message(0x86, 1n, "a"));
    expect(await peer.next()).toMatchObject({ cmd: 0x46, flag: 5 });
  });
});

describe("a base peer", () => {
  it("gets neither kinds nor errors, cancels or empty messages", async () => {
    const { client, peer } = await basePair();
    const stream = client.stream("/s");
    await stream.send("x");
    await expect(stream.send("")).rejects.toMatchObject({ code: "invalid_argument" });
    await stream.fail(new Error("secret"));
    expect(await peer.next()).toMatchObject({ cmd: 0x86, flag: 0 });
    expect(await peer.next()).toMatchObject({ cmd: 0xc6, flag: 0, body: new Uint8Array(0) });
    stream.cancel();
    client.notify("/n");
    expect(await peer.next()).toMatchObject({ cmd: 3 });
  });

  it("reads as told", async () => {
    const { client, peer } = await basePair();
    const stream = client.stream("/s", { as: "text" });
    await stream.send("x");
    peer.send(message(0x46, 1n, "12", 0));
    expect(await all(stream)).toEqual(["12"]);
  });

  it("cancel is an end, said once", async () => {
    const { client, peer } = await basePair();
    const stream = client.stream("/s");
    await stream.send("x");
    stream.cancel();
    await peer.next();
    expect(await peer.next()).toMatchObject({ cmd: 0xc6, body: new Uint8Array(0) });
  });

  it("more than 1 MiB that nobody reads drops the stream, with an end", async () => {
    const { client, peer } = await basePair();
    const stream = client.stream<string>("/s", { as: "text" });
    await stream.send("x");
    await peer.next();
    const chunk = "x".repeat(64 << 10);
    for (let i = 0; i < 17; i++) peer.send(message(0x06, 1n, chunk, 0));
    expect(await peer.next()).toMatchObject({ cmd: 0xc6 });
    let bytes = 0;
    const read = async (): Promise<void> => {
      for await (const text of stream) bytes += text.length;
    };
    await expect(read()).rejects.toMatchObject({ code: "resource_exhausted" });
    expect(bytes).toBeGreaterThanOrEqual(1 << 20);
  });
});

describe("Web Streams", () => {
  it("readable gives the messages and closes at the end", async () => {
    const { client, peer } = await pair();
    const stream = client.stream<string>("/s");
    await stream.send("x");
    peer.send(message(0x06, 1n, "a"), message(0x46, 1n, "b"));
    const reader = stream.readable.getReader();
    expect(await reader.read()).toEqual({ value: "a", done: false });
    expect(await reader.read()).toEqual({ value: "b", done: false });
    expect(await reader.read()).toMatchObject({ done: true });
  });

  it("readable fails with the stream", async () => {
    const { client, peer } = await pair();
    const stream = client.stream("/s");
    await stream.send("x");
    peer.send(failure(1n, { code: "aborted", message: "no" }));
    await expect(stream.readable.getReader().read()).rejects.toMatchObject({ code: "aborted" });
  });

  it("a pipe through both ends: order, back-pressure, and the end", async () => {
    const { client, peer } = await pair({ window: 16 }, { window: 16 });
    const stream = client.stream<string, string>("/s");
    const source = new ReadableStream<string>({
      start(controller) {
        for (let i = 0; i < 100; i++) controller.enqueue(`message ${i}`);
        controller.close();
      },
    });
    const piped = source.pipeTo(stream.writable);
    const received: string[] = [];
    for (;;) {
      const next = await peer.next();
      if (next.cmd === 0xc6) break;
      received.push(decodeText(next.body));
      peer.send(credit(0x08, 1n, next.body.length));
    }
    await piped;
    expect(received).toEqual(Array.from({ length: 100 }, (_, i) => `message ${i}`));
  });

  it("aborting writable fails the stream", async () => {
    const { client, peer } = await pair();
    const stream = client.stream("/s");
    await stream.send("x");
    await stream.writable.abort(new ArpcError("aborted", "enough"));
    await peer.next();
    expect(await peer.next()).toMatchObject({ cmd: 0xc6, flag: 5 });
  });
});
