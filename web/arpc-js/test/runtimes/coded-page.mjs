// Plays the scenarios in a page through coders. What was wrong is in `results`.
import { codedConnect } from "./coded.mjs";
import { play } from "./play.mjs";

const table = await (await fetch("/table.json")).json();
globalThis.results = await play(codedConnect, "/coded", table);
