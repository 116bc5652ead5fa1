/**
 * The messages of protocol.md as the client reads and writes them: text in, checked tuples out.
 *
 * Knows shapes only; whether a message may come now is the session's business.
 *
 * @module
 */

/** @import { Json, JsonObject, Op } from "./patch.js" */

/**
 * @typedef {object} Hello
 * @property {string | null} token
 * @property {string} client
 * @property {string} instance
 * @property {number} epoch
 * @property {number} n
 * @property {EventId} event
 * @property {number} seq
 * @property {[epoch: number, seq: number]} [sent]
 * @property {string} page
 * @property {string[]} can
 */

/**
 * @typedef {object} Welcome
 * @property {string} session
 * @property {number} epoch
 * @property {number} ack
 * @property {number | null} saved
 * @property {boolean} resumed
 * @property {string} [token]
 * @property {number[]} [pending]
 * @property {boolean} [forgotten]
 * @property {{ actions_in_flight?: number, message_bytes_max?: number }} [limits]
 * @property {Declared} [actions]
 */

/** @typedef {{ [name: string]: { only_if_seen?: boolean, secret?: boolean } | undefined }} Declared what to know of actions */
/** @typedef {[epoch: number, n: number]} EventId */
/** @typedef {[epoch: number, n: number, kind: string, body: JsonObject]} Event */
/** @typedef {[seq: number, kind: "applied", value?: Json]} Applied */
/** @typedef {[seq: number, kind: "failed" | "refused", code: string, text: string]} Rejected */
/** @typedef {Applied | Rejected} Outcome */
/** @typedef {[seq: number, kind: "pending"]} Pending */

/**
 * @typedef {object} Extras
 * @property {(Outcome | Pending)[]} [r]
 * @property {Event[]} [e]
 * @property {number} [saved]
 * @property {boolean} [restored]
 */

/**
 * @typedef {["w", Welcome]
 *   | ["s", n: number, ack: number, document: JsonObject, extras?: Extras]
 *   | ["d", n: number, ack: number, ops: Op[], extras?: Extras]
 *   | ["o", seq: number, code: string, text: string, retry_after_ms: number]
 *   | ["q"] | ["p"]
 *   | ["x", code: string, what: string]} ServerMessage
 */

/**
 * @typedef {["h", Hello] | ["a", seq: number, name: string, payload: unknown, seen?: [epoch: number, n: number]]
 *   | ["v", seq: number]
 *   | ["k", n: number] | ["r"] | ["p"]} ClientMessage
 */

/** The subprotocol that a client offers. */
export const PROTOCOL = "windlass.v1";

/**
 * @param {ClientMessage} message
 * @returns {string}
 */
export function encode(message) {
  return JSON.stringify(message);
}

/**
 * @param {unknown} data what the socket delivered
 * @returns {ServerMessage | null} null for a message of a later version, which is to be ignored
 * @throws {Error} when it is no message of the protocol, or one of another shape than its first item says
 */
export function decode(data) {
  const message = JSON.parse(/** @type {string} */ (data));
  if (!Array.isArray(message) || typeof message[0] !== "string") throw new TypeError();
  const shape = SHAPES.get(message[0]);
  if (shape === undefined) return null;
  if (!shape(...message.slice(1))) throw new TypeError(`bad "${message[0]}"`);
  return /** @type {ServerMessage} */ (/** @type {unknown} */ (message));
}

/** @param {string} text */
export function byteLength(text) {
  return utf8.encode(text).length;
}

const utf8 = new TextEncoder();

/**
 * Is the id higher than the other, as pairs compare?
 *
 * @param {EventId | Event} id
 * @param {EventId} other
 */
export function isAfter(id, other) {
  return id[0] > other[0] || (id[0] === other[0] && id[1] > other[1]);
}

/** @param {unknown} value */
const isCount = (value) => Number.isSafeInteger(value) && /** @type {number} */ (value) >= 0;

/** @param {unknown} value */
const isText = (value) => typeof value === "string";

/**
 * @param {unknown} value
 * @returns {value is Record<string, unknown>}
 */
const isMap = (value) => typeof value === "object" && value !== null && !Array.isArray(value);

/**
 * An optional list whose items all have the shape.
 *
 * @param {unknown} value
 * @param {(item: unknown[]) => boolean} shape
 */
const isListOf = (value, shape) =>
  value === undefined || (Array.isArray(value) && value.every((item) => Array.isArray(item) && shape(item)));

/** @param {unknown} extras */
const isExtras = (extras) =>
  extras === undefined ||
  (isMap(extras) &&
    isListOf(extras.r, ([seq, kind, code, text]) =>
      isCount(seq) && (kind === "applied" || kind === "pending" || ((kind === "failed" || kind === "refused") && isText(code) && isText(text)))) &&
    isListOf(extras.e, ([epoch, n, kind, body]) => isCount(epoch) && isCount(n) && isText(kind) && isMap(body)) &&
    (extras.saved === undefined || isCount(extras.saved)));

/**
 * What follows the first item; items beyond are of a later version and ignored.
 *
 * @type {Map<string, (...items: unknown[]) => boolean>}
 */
const SHAPES = new Map(/** @type {[string, (...items: unknown[]) => boolean][]} */ ([
  ["w", (w) =>
    isMap(w) && isText(w.session) && isCount(w.epoch) && isCount(w.ack) && typeof w.resumed === "boolean" &&
    (w.saved === null || isCount(w.saved)) && (w.token === undefined || isText(w.token)) &&
    (w.limits === undefined || isMap(w.limits)) && (w.actions === undefined || isMap(w.actions)) &&
    (w.pending === undefined || (Array.isArray(w.pending) && w.pending.every(isCount)))],
  ["s", (n, ack, document, extras) => isCount(n) && isCount(ack) && isMap(document) && isExtras(extras)],
  ["d", (n, ack, ops, extras) => isCount(n) && isCount(ack) && isListOf(ops ?? null, () => true) && isExtras(extras)],
  ["o", (seq, code, text) => isCount(seq) && isText(code) && isText(text)],
  ["q", () => true],
  ["p", () => true],
  ["x", () => true],
]));
