// Plays the scenarios in a worker, dedicated or shared, and posts what was wrong.
import { connect } from "/arpc-js/index.js";
import { play } from "/play.mjs";

async function answer(port) {
  const table = await (await fetch("/table.json")).json();
  port.postMessage(await play(connect, "/ws", table));
}

if ("onconnect" in globalThis) globalThis.onconnect = ({ ports: [port] }) => answer(port);
else void answer(globalThis);
