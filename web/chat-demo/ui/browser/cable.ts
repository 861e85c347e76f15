/**
 * The line between one browser and the server: a TCP relay of its own, to be
 * cut and mended, while everybody else stays connected.
 */

import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";

/** A line to a port on this machine. */
export class Cable {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  #cut = false;
  #mute = false;

  private constructor(port: number) {
    this.#server = createServer((near) => {
      if (this.#cut) {
        near.destroy();
        return;
      }
      this.#join(near, connect(port, "localhost"));
    });
  }

  /** Lays a line to a port. */
  static async to(port: number): Promise<Cable> {
    const cable = new Cable(port);
    cable.#server.listen(0, "localhost");
    await once(cable.#server, "listening");
    return cable;
  }

  /** Where the line begins, as a URL. */
  get url(): string {
    return `http://localhost:${(this.#server.address() as AddressInfo).port}`;
  }

  /** Ends every connection and lets no new one through. */
  cut(): void {
    this.#cut = true;
    for (const socket of this.#sockets) {
      socket.destroy();
    }
  }

  /** Lets nothing more come back from the server; what goes there still does. */
  mute(): void {
    this.#mute = true;
  }

  /** Lets connections through again, both ways. */
  mend(): void {
    this.#cut = false;
    this.#mute = false;
  }

  /** Takes the line away. */
  async remove(): Promise<void> {
    this.cut();
    this.#server.close();
    await once(this.#server, "close");
  }

  #join(near: Socket, far: Socket): void {
    for (const [socket, other] of [
      [near, far],
      [far, near],
    ] as const) {
      this.#sockets.add(socket);
      // What ends one side ends the other; the error itself is of no interest.
      socket.on("error", () => {});
      socket.on("close", () => {
        this.#sockets.delete(socket);
        other.destroy();
      });
      socket.on("data", (data) => {
        if (!this.#mute || other !== near) {
          other.write(data);
        }
      });
    }
  }
}
