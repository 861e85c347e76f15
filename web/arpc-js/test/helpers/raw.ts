/**
 * A server of bytes, for tests of what is below frames:
 *
 *     const server = await startRawServer();
 *     const peer = await server.peer();        // the next connection
 *     const bytes = await peer.next();         // its next message
 *     peer.send(bytes);                        // one message
 *     await peer.closed;                       // code and reason
 */

import type { AddressInfo } from "node:net";
import { onTestFinished } from "vitest";
import { WebSocketServer } from "ws";
import { Inbox } from "./server.ts";

/** The server's end of one connection. */
export interface RawPeer {
  next(): Promise<Uint8Array>;
  send(message: Uint8Array): void;
  readonly closed: Promise<{ code: number; reason: string }>;
}

export interface RawServer {
  readonly url: string;
  peer(): Promise<RawPeer>;
}

/** Starts a server that ends with the test. */
export async function startRawServer(): Promise<RawServer> {
  const peers = new Inbox<RawPeer>();
  const listener = new WebSocketServer({ host: "127.0.0.1", port: 0 });
  listener.on("connection", (socket) => {
    const messages = new Inbox<Uint8Array>();
    socket.on("message", (data: Buffer) => messages.put(new Uint8Array(data)));
    peers.put({
      next: () => messages.take(),
      send: (message) => socket.send(message),
      closed: new Promise((resolve) => {
        socket.on("close", (code, reason) => resolve({ code, reason: reason.toString() }));
      }),
    });
  });
  await new Promise((resolve) => listener.once("listening", resolve));
  onTestFinished(async () => {
    const stopped = new Promise((resolve) => listener.close(resolve));
    for (const socket of listener.clients) socket.terminate();
    await stopped;
  });
  return {
    url: `ws://127.0.0.1:${(listener.address() as AddressInfo).port}/ws`,
    peer: () => peers.take(),
  };
}
