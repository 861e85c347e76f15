// usage: program.mjs URL [core] [ws] [coded]
// Plays the scenarios in the runtime it is started with, and prints what was wrong. Nothing tells
// it to exit: it does when no timer, socket or listener holds it.
import { readFile } from "node:fs/promises";
import process from "node:process";
import { ofCore, play } from "./play.mjs";

const [url, ...words] = process.argv.slice(2);
const table = JSON.parse(await readFile(new URL("table.json", import.meta.url), "utf8"));
const isCore = words.includes("core");
let { connect } = await import(isCore ? "arpc-js/core" : "arpc-js");
const options = words.includes("ws") ? { WebSocket: (await import("ws")).WebSocket } : {};
if (words.includes("coded")) connect = (await import("./coded.mjs")).codedConnect;
const results = await play(connect, url, isCore ? ofCore(table) : table, options);
console.log(JSON.stringify(results));
