/** Errors with a code and data, both ways. */

import { describe, expect, it } from "vitest";
import { ArpcError, errorCodes } from "../src/index.ts";
import { decodeText } from "../src/wire.ts";
import {
  agrees,
  base,
  failure,
  open,
  request,
  silent,
  startServer,
  structuredFailure,
} from "./helpers/server.ts";

describe("an error of the server", () => {
  async function failedWith(error: object): Promise<unknown> {
    const server = await startServer((asked, peer) => peer.send(structuredFailure(asked, error)));
    return open(server)
      .call("/m")
      .catch((reason: unknown) => reason);
  }

  it.each(errorCodes)("has its code: %s", async (code) => {
    const error = await failedWith({ code, message: "why", data: { role: "guest" } });
    expect(error).toBeInstanceOf(ArpcError);
    const remote = { sent: true, remote: true };
    expect(error).toMatchObject({ code, message: "why", data: { role: "guest" }, ...remote });
  });

  it.each([
    [{ code: "of_later", message: "why" }, "unknown", "why"],
    [{ code: "toString", message: "why" }, "unknown", "why"],
    [{ code: 7, message: 8 }, "unknown", "8"],
    [{ code: "internal" }, "internal", '{"code":"internal"}'],
    [["x"], "unknown", '["x"]'],
    [
      { code: "aborted", message: { toString: 1, valueOf: 1 } },
      "aborted",
      '{"code":"aborted","message":{"toString":1,"valueOf":1}}',
    ],
  ])("%j is %s", async (error, code, message) => {
    expect(await failedWith(error)).toMatchObject({ code, message, data: undefined, remote: true });
  });

  it.each(["", "{", "null", "text"])("that is not JSON (%j) is its text", async (text) => {
    const server = await startServer((asked, peer) => {
      peer.send({ ...failure(asked, text), flag: 5 });
    });
    await expect(open(server).call("/m")).rejects.toMatchObject({ code: "unknown", message: text });
  });

  it("refuses topics with its code", async () => {
    const denied = { code: "permission_denied", message: "not yours" };
    const server = await startServer((asked, peer) => peer.send(structuredFailure(asked, denied)));
    const client = open(server);
    client.on("error", () => {});
    await expect(client.publish("room", 1)).rejects.toMatchObject(denied);
    await expect(client.subscribe("room").ready).rejects.toMatchObject(denied);
  });
});

describe("an error of ours", () => {
  const thrown = new ArpcError("permission_denied", "not yours", { data: { role: "guest" } });
  const cyclic: { self?: unknown } = {};
  cyclic.self = cyclic;

  it.each([
    [thrown, { code: "permission_denied", message: "not yours", data: { role: "guest" } }],
    [new ArpcError("aborted", "again"), { code: "aborted", message: "again" }],
    [new ArpcError("internal", "x", { data: cyclic }), { code: "internal", message: "x" }],
    [new ArpcError("internal", "x", { data: 1n }), { code: "internal", message: "x" }],
    [new TypeError("secret"), { code: "internal", message: "internal error" }],
  ])("%s goes with code and data", async (error, body) => {
    const server = await startServer(silent);
    const client = open(server);
    client.on("error", () => {});
    client.handle("/m", () => {
      throw error;
    });
    const peer = await server.peer();
    peer.send(request("/m", 1n, "", 2));
    const answer = await peer.next();
    expect(answer.flag).toBe(0b111);
    expect(JSON.parse(decodeText(answer.body))).toEqual(body);
  });

  it.each([
    ["base", base],
    ["without the capability", agrees({ caps: ["kind"] })],
  ])("is a text to a server that is %s", async (_, hello) => {
    const server = await startServer(silent, { hello });
    const client = open(server);
    client.handle("/m", () => {
      throw thrown;
    });
    const peer = await server.peer();
    peer.send(request("/m", 1n));
    const answer = await peer.next();
    expect(answer.flag).toBe(1);
    expect(decodeText(answer.body)).toBe("not yours");
  });

  it("too big for the server is a short one", async () => {
    const server = await startServer(silent, { hello: agrees({ limits: { body: 200 } }) });
    const client = open(server);
    client.on("error", () => {});
    client.handle("/m", () => {
      throw new ArpcError("internal", "x".repeat(200));
    });
    const peer = await server.peer();
    peer.send(request("/m", 1n));
    const message = JSON.stringify({ code: "internal", message: "x".repeat(200) });
    expect(JSON.parse(decodeText((await peer.next()).body))).toEqual({
      code: "resource_exhausted",
      message: `answer of ${message.length} bytes, limit 200`,
    });
  });
});
