/**
 * Values, paths, ops, times and sizes as a person reads them in a line.
 *
 * @module
 */

/** @import { Json, Op } from "../patch.js" */

/**
 * A value in at most so many letters, whatever its size: only as much of it is looked at as is shown.
 *
 * @param {unknown} value
 * @param {number} [max]
 * @returns {string}
 */
export function preview(value, max = 80) {
  if (typeof value === "string") return JSON.stringify(value.length > max ? `${value.slice(0, max - 1)}…` : value);
  if (typeof value !== "object" || value === null) return String(value);
  const isList = Array.isArray(value);
  let text = isList ? "[" : "{";
  let first = true;
  for (const key in value) {
    if (!Object.hasOwn(value, key)) continue;
    if (!first) text += ", ";
    if (text.length > max - 2) {
      text += "…";
      break;
    }
    first = false;
    const inner = preview(/** @type {{ [key: string]: unknown }} */ (value)[key], Math.max(8, max - text.length - key.length - 4));
    text += isList ? inner : `${key}: ${inner}`;
  }
  return text + (isList ? "]" : "}");
}

/**
 * `rows[3].name`; what is no plain name is quoted: `["a b"]`.
 *
 * @param {readonly (string | number | Json)[]} path
 */
export function pathText(path) {
  let text = "";
  for (const step of path) {
    if (typeof step === "number") text += `[${step}]`;
    else if (/^[$\p{L}_][$\p{L}\p{N}_]*$/u.test(String(step))) text += text ? `.${step}` : String(step);
    else text += `[${JSON.stringify(step)}]`;
  }
  return text || "(all)";
}

/**
 * One op of a delta; section 7 of protocol.md has what the numbers mean.
 *
 * @param {Op} op
 */
export function opText(op) {
  const [code] = op;
  if (typeof code === "string") return `${pathText(op.slice(0, -1))} = ${preview(op.at(-1))}`;
  const [at, last] = op.slice(-2);
  const path = op.slice(1, -1);
  const list = op.slice(1, -2);
  switch (code) {
    case 0:
      return `(all) = ${preview(last)}`;
    case 1:
      return `${pathText(path)} inserted: ${preview(last)}`;
    case 2:
      return last === 1 ? `${pathText(path)} removed` : `${pathText(path)} and ${Number(last) - 1} more removed`;
    case 3:
      return `${pathText(path)} moved to [${last}]`;
    case 4:
      return `${pathText(path)} += ${preview(last)}`;
    case 5:
      return `${pathText(op.slice(1))} deleted`;
    case 7:
      return `${pathText(list)} ${Array.isArray(last) ? last.length : 0} inserted at [${at}]: ${preview(last)}`;
    case 8:
      return `${pathText(path)} put in another order`;
    default:
      return preview(op);
  }
}

/**
 * Where an op has changed something: what to look at, after it was applied.
 *
 * @param {Op} op
 * @returns {Json[]} the steps
 */
export function opPath(op) {
  const code = op[0];
  if (typeof code === "string") return op.slice(0, -1);
  if (code === 1 || code === 4) return op.slice(1, -1);
  if (code === 3) return [...op.slice(1, -2), /** @type {Json} */ (op.at(-1))];
  if (code === 2 || code === 7) return op.slice(1, -2);
  // Of what was deleted or put in order, the container.
  return op.slice(1, -1);
}

/** @param {number} bytes */
export function bytesText(bytes) {
  if (bytes < 1000) return `${bytes} B`;
  return bytes < 1e6 ? `${(bytes / 1000).toFixed(1)} kB` : `${(bytes / 1e6).toFixed(2)} MB`;
}

/** @param {number} ms how long something took */
export function tookText(ms) {
  if (ms < 10) return `${ms.toFixed(1)} ms`;
  return ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(2)} s`;
}

/** @param {number} ms since the beginning */
export function timeText(ms) {
  const seconds = ms / 1000;
  if (seconds < 60) return `${seconds.toFixed(3)} s`;
  return `${Math.floor(seconds / 60)}:${(seconds % 60).toFixed(1).padStart(4, "0")} min`;
}

/**
 * Several lines, indented; what is very long is cut.
 *
 * @param {unknown} value
 */
export function pretty(value) {
  const text = JSON.stringify(value, null, 2) ?? "undefined";
  return text.length > PRETTY_MAX ? `${text.slice(0, PRETTY_MAX)}\n… ${text.length - PRETTY_MAX} more letters` : text;
}

// As much as anybody reads; a text of megabytes would stop the page.
const PRETTY_MAX = 20_000;
