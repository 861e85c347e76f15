import type { Engine, Part } from "./engine.ts";
import type { ClientOptions } from "./options.ts";
import { decodeFrame } from "./wire.ts";

/** Has the hook of the options see each frame; what it throws is told by the `error` event. */
export function addDebug(engine: Engine, _client: object, { debug }: ClientOptions): Part {
  if (debug) {
    engine.tap = (direction, frame) => {
      try {
        debug(direction, frame instanceof Uint8Array ? decodeFrame(frame) : frame);
      } catch (error) {
        engine.report(error);
      }
    };
  }
  return {};
}
