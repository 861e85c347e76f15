// Echoes with socket.io, over WebSocket only.

import { createServer } from "node:http";
import { Server } from "socket.io";
import { obey, say, versions } from "./control.mjs";

const web = createServer();
const io = new Server(web, { transports: ["websocket"], serveClient: false });

io.on("connection", (socket) => {
  socket.on("echo", (message, acknowledge) => acknowledge(message));
});

await new Promise((listening) =>
  web.listen({ port: 0, host: "127.0.0.1", backlog: 4096 }, listening),
);
say({ address: `127.0.0.1:${web.address().port}`, versions });

await obey(({ do: what }) => {
  if (what === "collect") {
    globalThis.gc();
  }
  return {}; // V8 does not count allocations
});
