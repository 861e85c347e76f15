// Fans out with socket.io, over WebSocket only: publishes once for each byte
// that a connection to the port for orders sends.
// Usage: node hub.mjs SIZE

import { once } from "node:events";
import { createServer } from "node:http";
import { createServer as createListener } from "node:net";
import { Server } from "socket.io";
import { obey, say, versions } from "./control.mjs";

const NUMBER_LENGTH = 10; // digits that each text begins with
const size = Number(process.argv[2]);
const web = createServer();
const io = new Server(web, { transports: ["websocket"], serveClient: false });

let number = 0;
const orders = createListener((connection) => {
  connection.on("error", () => {}); // the load is done
  connection.on("data", (ordered) => {
    for (const _ of ordered) {
      number += 1;
      io.emit("news", String(number).padStart(NUMBER_LENGTH, "0").padEnd(size, "x"));
    }
  });
});

say({ address: await listen(web), orders: await listen(orders), versions });
await obey(() => ({})); // V8 does not count allocations

async function listen(server) {
  server.listen({ port: 0, host: "127.0.0.1", backlog: 4096 });
  await once(server, "listening");
  return `127.0.0.1:${server.address().port}`;
}
