/**
 * The line to the server, with a switch in it: the sockets arpc-js makes, and a
 * way to cut them, so that a visitor can see what happens then.
 */

let socket: WebSocket | undefined;
let isCut = false;

/** A WebSocket that can be cut; for arpc-js's option of that name. */
export class CableSocket extends WebSocket {
  constructor(url: string | URL) {
    super(url);
    socket = this;
    if (isCut) {
      this.close();
    }
  }
}

/** Cuts the line, or mends it. As long as it is cut, no new connection holds. */
export function setCut(cut: boolean): void {
  isCut = cut;
  if (cut) {
    socket?.close();
  }
}
