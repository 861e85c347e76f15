// Plays the scenarios in a page: as it is, with an import map, and in the bundles of esbuild and
// Vite. What was wrong is in `results`.
import { connect } from "arpc-js";
import { play } from "./play.mjs";

const table = await (await fetch("/table.json")).json();
globalThis.results = await play(connect, "/ws", table);
