/**
 * A recording: what a page sent and was sent, with times, as a file that another page can replay. docs/devtools.md
 * has the format.
 *
 * Redaction is done before anything is kept: no token, no query of an address and no content of a secret action ever
 * gets into a {@link Recording}, so that none can get out of it.
 *
 * @module
 */

import { decode } from "../wire.js";

/** @import { Json, JsonObject } from "../patch.js" */
/** @import { ClientMessage, ServerMessage } from "../wire.js" */

/**
 * One thing that happened, so many milliseconds after the recording began.
 *
 * @typedef {{ at_ms: number } & (
 *   | { kind: "connect" }
 *   | { kind: "open" }
 *   | { kind: "close", code: number, reason?: { code?: string, seq?: number, retry_after_ms?: number }, simulated?: boolean }
 *   | { kind: "status", state: string, code: string | null, attempt: number, retry_in_ms: number | null }
 *   | { kind: "queued", seq: number, name: string, payload: Json, secret?: boolean }
 *   | { kind: "ended", seq: number, code: string, text: string }
 *   | { kind: "told", event: "fresh" | "restored" | "taken_over" | "error", detail: Json }
 *   | { kind: "out", bytes: number, message: ClientMessage }
 *   | { kind: "in", bytes: number, message: ServerMessage }
 * )} Entry
 */

/**
 * @typedef {object} Recording
 * @property {"windlass-recording"} format
 * @property {number} version {@link VERSION}
 * @property {string} recorded_at when it began, in ISO 8601
 * @property {string} page the path of the page, without its query
 * @property {Start} start what the page held before the first entry
 * @property {Entry[]} entries oldest first
 */

/** @typedef {{ epoch: number, n: number, stale: boolean, document: JsonObject | null }} Start */

/** A file that is no recording that can be replayed here. */
export class RecordingError extends Error {
  /**
   * @param {"not_json" | "not_a_recording" | "unknown_version" | "bad_entry" | "too_large"} code
   * @param {string} text what is wrong, and what to do
   */
  constructor(code, text) {
    super(text);
    this.name = "RecordingError";
    this.code = code;
  }
}

/**
 * @param {string} text of a file
 * @returns {Recording}
 * @throws {RecordingError}
 */
export function read(text) {
  if (text.length > FILE_MAX) {
    throw new RecordingError("too_large", `this has more than ${FILE_MAX} characters: choose a file that devtools have downloaded`);
  }
  /** @type {any} */
  let file;
  try {
    file = JSON.parse(text);
  } catch {
    throw new RecordingError("not_json", "this is no JSON: choose a file that devtools have downloaded");
  }
  const { format, version, start, entries } = file ?? {};
  const whole = format === FORMAT && isObject(start) && Array.isArray(entries) && Number.isSafeInteger(version);
  if (!whole) throw new RecordingError("not_a_recording", `this is JSON, but no recording: its "format" is not "${FORMAT}"`);
  if (version > VERSION) {
    throw new RecordingError("unknown_version", `this recording is of version ${version}; this page's devtools read up to ${VERSION}: use a newer client`);
  }
  const { epoch = 0, n = 0, stale = true, document = null } = start;
  if (document !== null && !isObject(document)) throw new RecordingError("bad_entry", "the document at the start is no object");
  let last = 0;
  entries.forEach((/** @type {any} */ entry, /** @type {number} */ at) => {
    const bad = (/** @type {string} */ why) => new RecordingError("bad_entry", `entry ${at} of ${entries.length}: ${why}`);
    if (!isObject(entry) || typeof entry.kind !== "string") throw bad("it has no kind");
    if (typeof entry.at_ms !== "number" || entry.at_ms < last) throw bad(`its at_ms is not at or after the ${last} before it`);
    last = entry.at_ms;
    if (entry.kind === "in") {
      try {
        // What this client would refuse in a socket it refuses in a file.
        decode(JSON.stringify(entry.message));
      } catch (error) {
        throw bad(String(error));
      }
    }
    if (entry.kind === "out" && !Array.isArray(entry.message)) throw bad("its message is no array");
    if (Object.keys(entry).some((key) => !OPEN.has(key) && Object(entry[key]) === entry[key])) throw bad("it is of wrong types");
  });
  return {
    format,
    version,
    recorded_at: String(file.recorded_at ?? ""),
    page: String(file.page ?? ""),
    start: { epoch, n, stale, document },
    // What a later version adds is nothing that changes the document.
    entries: entries.filter(({ kind }) => KINDS.has(kind)),
  };
}

/**
 * The text of a file: an entry a line, so that two of them can be compared.
 *
 * @param {Recording} recording
 */
export function write({ entries, ...head }) {
  const lines = entries.map((entry) => JSON.stringify(entry));
  return `${JSON.stringify(head).slice(0, -1)},"entries":[\n${lines.join(",\n")}\n]}\n`;
}

/**
 * A message as it may be kept.
 *
 * @template {ClientMessage | ServerMessage} Message
 * @param {Message} message
 * @param {(seq: number) => boolean} isSecret
 * @returns {Message}
 */
export function redacted(message, isSecret) {
  /** @type {any} */
  const copy = [...message];
  if (copy[0] === "h") copy[1] = { ...copy[1], token: copy[1].token && REDACTED, page: withoutQuery(copy[1].page) };
  if (copy[0] === "w" && copy[1].token) copy[1] = { ...copy[1], token: REDACTED };
  if (copy[0] === "a") copy[3] = payloadOf(copy[2], copy[3], isSecret(copy[1]));
  const extras = copy[4];
  if ((copy[0] === "s" || copy[0] === "d") && extras) copy[4] = withoutSecrets(extras, isSecret);
  return copy;
}

/**
 * @param {import("../wire.js").Extras} extras
 * @param {(seq: number) => boolean} isSecret
 */
function withoutSecrets(extras, isSecret) {
  const { r, e } = extras;
  return {
    ...extras,
    ...(r && { r: r.map((outcome) => (isSecret(outcome[0]) && outcome.length > 2 ? [...outcome.slice(0, -1), REDACTED] : outcome)) }),
    ...(e && { e: e.map(([epoch, n, kind, body]) => [epoch, n, kind, "url" in body ? { ...body, url: withoutQuery(body.url) } : body]) }),
  };
}

/**
 * The payload of an action as it may be kept.
 *
 * @param {string} name
 * @param {Json | undefined} payload
 * @param {boolean} secret
 * @returns {Json}
 */
export function payloadOf(name, payload, secret) {
  if (secret) return REDACTED;
  return name === "$navigate" ? withoutQuery(payload) : payload ?? null;
}

/** @param {unknown} url */
export function withoutQuery(url) {
  return String(url ?? "").replace(/[?#].*$/s, "");
}

/**
 * @param {unknown} value
 * @returns {value is { [key: string]: any }}
 */
function isObject(value) {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

// What may hold anything; whatever else is in an entry is a text or a number.
const OPEN = new Set(["message", "payload", "detail", "reason"]);
const KINDS = new Set(["connect", "open", "close", "status", "queued", "ended", "told", "out", "in"]);

export const FORMAT = "windlass-recording";
export const VERSION = 1;
/** Characters of a file that is opened: a recording is of 4 MB at most, and its start may be as large as a state. */
export const FILE_MAX = 64 * 1024 * 1024;
/** In the place of what is not kept. */
export const REDACTED = "[redacted]";
