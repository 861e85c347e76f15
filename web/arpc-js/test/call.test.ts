/** Calls to the server, by what goes wrong in clients: sequence numbers, timeouts, falsy values. */

import { describe, expect, it } from "vitest";
import { ArpcError } from "../src/index.ts";
import {
  agrees,
  base,
  echo,
  failure,
  open,
  response,
  type Serve,
  silent,
  startServer,
} from "./helpers/server.ts";

describe("answers", () => {
  it("600 calls in a row", async () => {
    const client = open(await startServer());
    for (let i = 0; i < 600; i++) expect(await client.call("/echo", i)).toBe(i);
  });

  it("2,000 calls at once, answered in reverse", async () => {
    const waiting: Array<() => void> = [];
    const server = await startServer(
      (frame, peer) => {
        waiting.push(() => echo(frame, peer));
        if (waiting.length === 2000) for (const answer of waiting.reverse()) answer();
      },
      { hello: agrees({ limits: { inflight: 2000 } }) },
    );
    const client = open(server);
    const replies = await Promise.all(
      Array.from({ length: 2000 }, (_, i) => client.call("/echo", i)),
    );
    expect(replies).toEqual(Array.from({ length: 2000 }, (_, i) => i));
  });

  it.each([[""], ["123"], ["null"], [0], [false], [null], [undefined], ["é🌍"], [{ a: [1] }]])(
    "%j comes back as it is",
    async (value) => {
      const client = open(await startServer());
      expect(await client.call("/echo", value)).toEqual(value);
    },
  );

  it("bytes come back as bytes", async () => {
    const client = open(await startServer());
    expect(await client.call("/echo", Uint8Array.of(0, 1, 255))).toEqual(Uint8Array.of(0, 1, 255));
  });

  it("200 kB come back", async () => {
    const client = open(await startServer());
    const text = "é".repeat(100_000);
    expect(await client.call("/echo", text)).toBe(text);
  });

  it.each(["/é", "constructor", "__proto__", "toString", "hasOwnProperty"])(
    "the method %s is a name like any other",
    async (method) => {
      const server = await startServer((frame, peer) => peer.send(response(frame, frame.method)));
      expect(await open(server).call(method, undefined, { as: "text" })).toBe(method);
    },
  );

  it("from a peer that does not say the kind", async () => {
    const server = await startServer(echo, { hello: base });
    const client = open(server);
    expect(await client.call("/echo", "123")).toBe(123);
    expect(await client.call("/echo", "123", { as: "text" })).toBe("123");
    expect(await client.call("/echo", "", { as: "text" })).toBe("");
    expect(await client.call("/echo", "ab", { as: "bytes" })).toEqual(Uint8Array.of(97, 98));
  });

  it("what the caller changes after the call is not sent", async () => {
    const client = open(await startServer());
    const body = Uint8Array.of(1, 2, 3);
    const reply = client.call("/echo", body);
    body.fill(9);
    expect(await reply).toEqual(Uint8Array.of(1, 2, 3));
  });
});

describe("answers nobody waits for", () => {
  it("each answer 50 times, and strange ones between", async () => {
    const server = await startServer((frame, peer) => {
      const answer = { ...frame, cmd: 2 };
      const strange = [0n, 2n ** 53n + 1n, 2n ** 64n - 1n, frame.seq + 1000n];
      peer.send(...strange.map((seq) => ({ ...answer, seq })));
      peer.send(...Array.from({ length: 50 }, () => answer));
    });
    const client = open(server);
    for (let i = 0; i < 200; i++) expect(await client.call("/echo", i)).toBe(i);
  });
});

describe("errors", () => {
  it.each([
    ["boom", "unknown"],
    ["method not found", "not_found"],
    ["method not found: /x", "unknown"],
    ["", "unknown"],
  ])("the peer's %j is %s", async (text, code) => {
    const client = open(await startServer((frame, peer) => peer.send(failure(frame, text))));
    const error = await client.call("/fail", "x").catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(ArpcError);
    expect(error).toMatchObject({ code, message: text, remote: true, sent: true });
  });

  it.each([
    ["", "x", "invalid_argument"],
    ["x".repeat(128), "x", "invalid_argument"],
    ["é".repeat(64), "x", "invalid_argument"],
    ["/m", 1n, "invalid_argument"],
    ["/m", "x".repeat(1 << 20), "resource_exhausted"],
  ])("what cannot be sent is not (%#)", async (method, body, code) => {
    const client = open(await startServer());
    const refusal = { code, sent: false, remote: false };
    await expect(client.call(method, body)).rejects.toMatchObject(refusal);
    expect(() => client.notify(method, body)).toThrow(expect.objectContaining(refusal) as Error);
    expect(await client.call("/echo", "still")).toBe("still");
  });

  it("the limit is named and includes the method", async () => {
    const server = await startServer(echo, { hello: "unsaid" });
    const client = open(server, { maxBody: 10, hello: "never" });
    expect(await client.call("/echo", "12345", { as: "text" })).toBe("12345");
    await expect(client.call("/echo", "123456")).rejects.toThrow("body of 6 bytes, limit 10");
  });

  it("a reply that is not what it says", async () => {
    const broken: Serve = (frame, peer) => peer.send({ ...response(frame, "{"), flag: 3 << 4 });
    const client = open(await startServer(broken));
    await expect(client.call("/echo")).rejects.toMatchObject({ code: "invalid_argument" });
  });
});

describe("ends of waiting", () => {
  it("a timeout settles the call", async () => {
    const client = open(await startServer(silent));
    await expect(client.call("/never", "x", { timeout: 5 })).rejects.toMatchObject({
      code: "deadline_exceeded",
    });
  });

  it("says whether the request may have reached the peer", async () => {
    const server = await startServer(silent);
    const client = open(server);
    const peer = await server.peer();
    const controller = new AbortController();
    const call = client.call("/never", "x", { signal: controller.signal });
    await peer.next();
    controller.abort("gone");
    await expect(call).rejects.toMatchObject({ code: "canceled", sent: true, cause: "gone" });
  });

  it("a late answer is nobody's", async () => {
    const server = await startServer(silent);
    const client = open(server);
    const peer = await server.peer();
    const controller = new AbortController();
    const aborted = client.call("/late", "x", { signal: controller.signal });
    const late = await peer.next();
    controller.abort();
    await expect(aborted).rejects.toMatchObject({ code: "canceled" });
    const next = client.call("/next", "y");
    expect(await peer.next()).toMatchObject({ cmd: 7, seq: late.seq });
    const frame = await peer.next();
    peer.send(response(late, "late"), response(frame, "right"));
    expect(await next).toBe("right");
  });

  it("an aborted signal sends nothing", async () => {
    const server = await startServer();
    const client = open(server);
    const signal = AbortSignal.abort();
    await expect(client.call("/never", "x", { signal })).rejects.toMatchObject({
      code: "canceled",
      sent: false,
    });
    expect(await client.call("/echo", "first")).toBe("first");
    const peer = await server.peer();
    expect((await peer.next()).method).toBe("/echo");
    expect(peer.frames.size).toBe(0);
  });

  it("a signal's timeout is a deadline", async () => {
    const client = open(await startServer(silent));
    const signal = AbortSignal.timeout(5);
    await expect(client.call("/never", "x", { signal })).rejects.toMatchObject({
      code: "deadline_exceeded",
    });
  });
});

describe("notify", () => {
  it("is sent, in order, and answered by nothing", async () => {
    const server = await startServer(silent);
    const client = open(server);
    expect(client.notify("/early", 0)).toBe("queued");
    const peer = await server.peer();
    expect(await peer.next()).toMatchObject({ cmd: 3, method: "/early" });
    for (let i = 0; i < 3; i++) expect(client.notify("/note", i)).toBe("sent");
    for (let i = 0; i < 3; i++) {
      const { body } = await peer.next();
      expect(Buffer.from(body).toString()).toBe(String(i));
    }
  });

  it("is dropped when closed", async () => {
    const client = open(await startServer());
    client.close();
    expect(client.notify("/note")).toBe("dropped");
  });
});
