/**
 * What messages of the server make of a document, by the rules of protocol.md and without a session: a recording's
 * start moves on with it, and a replay is nothing else.
 *
 * @module
 */

import { apply } from "../patch.js";

/** @import { JsonObject } from "../patch.js" */
/** @import { ServerMessage } from "../wire.js" */

/**
 * A client's share of a session, as far as the document goes. Never changed, only replaced.
 *
 * @typedef {object} Held
 * @property {number} epoch of the frame that the document is of
 * @property {number} n the number of that frame
 * @property {number} stream the epoch of the frames that come
 * @property {boolean} stale no delta can be applied before the next snapshot
 * @property {JsonObject | null} document null before the first
 */

/** @type {Held} */
export const NOTHING = Object.freeze({ epoch: 0, n: 0, stream: 0, stale: true, document: null });

/**
 * @param {Held} held
 * @param {ServerMessage} message
 * @returns {Held} the same one when the message is nothing to the document
 */
export function fold(held, message) {
  switch (message[0]) {
    case "w": {
      const { epoch, resumed } = message[1];
      // [RESUME-3] Loaded anew, from a record that is not behind this document.
      const reloaded = resumed && !held.stale && epoch > held.epoch;
      return { ...held, ...(reloaded ? { epoch, n: 0 } : {}), stream: epoch, stale: held.stale || !resumed };
    }
    case "s":
      return { epoch: held.stream, n: message[1], stream: held.stream, stale: false, document: message[3] };
    case "d": {
      const [, n, , ops] = message;
      if (held.stale || n !== held.n + 1) return held;
      try {
        return { ...held, n, document: apply(held.document ?? {}, ops) };
      } catch {
        // [ATOMIC-1] None of it; a snapshot was asked for.
        return { ...held, stale: true };
      }
    }
    default:
      return held;
  }
}
