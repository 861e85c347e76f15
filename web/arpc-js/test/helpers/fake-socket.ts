/**
 * A socket without a network, for tests of time: with vitest's fake timers nothing takes any.
 *
 *     const sockets = fakeSockets();                     // what the client dialed, in order
 *     const client = connect("ws://fake/", { WebSocket: sockets.WebSocket });
 *     sockets.last.open();                               // hello is sent
 *     sockets.last.agree();                              // open, and hello is answered
 *     sockets.last.receive(frame);                       // one message
 *     sockets.last.sent                                  // the frames the client sent
 *     sockets.last.drop();                               // the network is gone
 *     await until(() => sockets.all.length === 2);       // lets promises go on; no time passes
 */

import type { Socket, SocketConstructor } from "../../src/index.ts";
import { encodeFrame, type Frame, frameDecoder } from "../../src/wire.ts";
import { type Answer, helloAnswer } from "./server.ts";

export class FakeSocket implements Socket {
  readyState = 0;
  bufferedAmount = 0;
  binaryType = "blob";
  onopen: unknown = null;
  onmessage: unknown = null;
  onerror: unknown = null;
  onclose: unknown = null;
  readonly sent: Frame[] = [];
  /** Takes what is sent, in place of `sent`. */
  onsend: ((frame: Frame) => void) | undefined;
  closedWith: { code: number | undefined; reason: string | undefined } | undefined;

  send(data: ArrayBuffer): void {
    const decoder = frameDecoder(64 << 20);
    decoder.push(new Uint8Array(data));
    for (let frame = decoder.next(); frame; frame = decoder.next()) {
      if (this.onsend) this.onsend(frame);
      else this.sent.push(frame);
    }
  }

  close(code?: number, reason = ""): void {
    this.readyState = 2;
    this.closedWith = { code, reason };
  }

  open(): void {
    this.readyState = 1;
    call(this.onopen, {});
  }

  /** Opens, and agrees to the hello that is sent then; `sent` is empty afterwards. */
  agree(answer: Answer = {}): void {
    this.open();
    this.receive(helloAnswer(this.sent.splice(0)[0] as Frame, answer));
  }

  receive(...frames: Frame[]): void {
    this.receiveRaw(Buffer.concat(frames.map(encodeFrame)));
  }

  /** Any bytes as one message. */
  receiveRaw(bytes: Uint8Array): void {
    call(this.onmessage, { data: new Uint8Array(bytes).buffer });
  }

  drop(code = 1006): void {
    this.readyState = 3;
    call(this.onclose, { code, reason: "" });
  }
}

export interface FakeSockets {
  readonly WebSocket: SocketConstructor;
  readonly all: FakeSocket[];
  /** The socket dialed last. */
  readonly last: FakeSocket;
}

export function fakeSockets(): FakeSockets {
  const all: FakeSocket[] = [];
  return {
    WebSocket: class extends FakeSocket {
      constructor() {
        super();
        all.push(this);
      }
    },
    all,
    get last(): FakeSocket {
      return all.at(-1) as FakeSocket;
    },
  };
}

/** Resolves when a condition holds, while faked time stands still. */
export async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setImmediate(resolve));
}

function call(handler: unknown, event: unknown): void {
  if (typeof handler === "function") handler(event);
}
