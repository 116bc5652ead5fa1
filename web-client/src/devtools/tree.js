/**
 * A value as rows of a tree: what is open, what is found, and nothing of what it looks like.
 *
 * Every place has an id, its JSON Pointer, so that what is open stays so while values change.
 *
 * @module
 */

/** @import { Json } from "../patch.js" */

/**
 * @typedef {object} Row
 * @property {string} id
 * @property {string | number} key
 * @property {Json} value
 * @property {number} depth from 0
 * @property {number} size of a container, how many it holds; -1 for other values
 * @property {boolean} open
 * @property {boolean} found
 * @property {number} at from 1, among its parent's
 * @property {number} of how many its parent shows
 * @property {Row | null} parent
 */

/**
 * @typedef {object} Found
 * @property {Set<string>} ids of what matches
 * @property {Set<string>} within of what holds something that matches
 * @property {boolean} more there are more than are told
 */

/**
 * @param {Json | undefined} root
 * @param {ReadonlySet<string>} open ids
 * @param {Found | null} found shows only these, and what leads to them
 * @returns {Row[]}
 */
export function rowsOf(root, open, found) {
  /** @type {Row[]} */
  const rows = [];
  /**
   * @param {Json} container
   * @param {string} id
   * @param {Row | null} parent
   * @param {boolean} inFound all beneath something found is shown
   */
  const walk = (container, id, parent, inFound) => {
    const keys = keysOf(container);
    const isList = Array.isArray(container);
    const depth = parent ? parent.depth + 1 : 0;
    const first = rows.length;
    let count = 0;
    for (const key of keys) {
      const inner = `${id}/${isList ? key : escaped(key)}`;
      const isFound = found?.ids.has(inner) ?? false;
      const leads = found?.within.has(inner) ?? false;
      if (found && !isFound && !leads && !inFound) continue;
      const value = /** @type {{ [key: string]: Json }} */ (container)[key];
      if (value === undefined) continue;
      const size = sizeOf(value);
      const isOpen = size > 0 && (open.has(inner) || leads);
      /** @type {Row} */
      const row = { id: inner, key: isList ? Number(key) : key, value, depth, size, open: isOpen, found: isFound, at: ++count, of: 0, parent };
      rows.push(row);
      if (isOpen) walk(value, inner, row, inFound || (isFound && !leads));
    }
    for (let at = first; at < rows.length; at++) {
      const row = /** @type {Row} */ (rows[at]);
      if (row.depth === depth) row.of = count;
    }
  };
  if (sizeOf(root ?? null) > 0) walk(/** @type {Json} */ (root), "", null, false);
  return rows;
}

/**
 * @param {Json | undefined} root
 * @param {string} query letters of a key or a value, whatever the case
 * @param {"both" | "keys" | "values"} [where]
 * @param {number} [max]
 * @returns {Found | null} null when the query is empty
 */
export function search(root, query, where = "both", max = FOUND_MAX) {
  const wanted = query.trim().toLowerCase();
  if (!wanted) return null;
  /** @type {Found} */
  const found = { ids: new Set(), within: new Set(), more: false };
  /** @type {string[]} */
  const above = [];
  /**
   * @param {Json} container
   * @param {string} id
   */
  const walk = (container, id) => {
    const isList = Array.isArray(container);
    for (const key of keysOf(container)) {
      const value = /** @type {{ [key: string]: Json }} */ (container)[key];
      if (value === undefined) continue;
      const isContainer = sizeOf(value) >= 0;
      const inKey = where !== "values" && !isList && key.toLowerCase().includes(wanted);
      const inValue = where !== "keys" && !isContainer && String(value).toLowerCase().includes(wanted);
      const inner = `${id}/${isList ? key : escaped(key)}`;
      if (inKey || inValue) {
        if (found.ids.size >= max) {
          found.more = true;
          return;
        }
        found.ids.add(inner);
        for (const outer of above) found.within.add(outer);
      }
      if (!isContainer) continue;
      above.push(inner);
      walk(value, inner);
      above.pop();
      if (found.more) return;
    }
  };
  if (sizeOf(root ?? null) > 0) walk(/** @type {Json} */ (root), "");
  return found;
}

/**
 * The ids of all containers, outer ones first, up to a bound.
 *
 * @param {Json | undefined} root
 * @param {number} [max]
 */
export function allContainers(root, max = OPEN_MAX) {
  /** @type {Set<string>} */
  const ids = new Set();
  /** @type {[Json, string][]} */
  const next = [[root ?? null, ""]];
  for (let place; (place = next.shift()) && ids.size < max; ) {
    const [container, id] = place;
    if (id) ids.add(id);
    const isList = Array.isArray(container);
    for (const key of keysOf(container)) {
      const value = /** @type {{ [key: string]: Json }} */ (container)[key] ?? null;
      if (sizeOf(value) > 0 && next.length + ids.size < max) next.push([value, `${id}/${isList ? key : escaped(key)}`]);
    }
  }
  return ids;
}

/**
 * The steps to a row.
 *
 * @param {Row} row
 * @returns {(string | number)[]}
 */
export function pathOf(row) {
  return row.parent ? [...pathOf(row.parent), row.key] : [row.key];
}

/**
 * The id of a place, and those of all that hold it, the outermost first.
 *
 * @param {readonly Json[]} path
 */
export function idsOf(path) {
  let id = "";
  return path.map((step) => (id += `/${typeof step === "number" ? step : escaped(String(step))}`));
}

/** @param {Json} value */
export function sizeOf(value) {
  if (typeof value !== "object" || value === null) return -1;
  return Array.isArray(value) ? value.length : Object.keys(value).length;
}

/** @param {Json} value */
function keysOf(value) {
  return typeof value === "object" && value !== null ? Object.keys(value) : [];
}

/** @param {string} key a step of a JSON Pointer, RFC 6901 */
function escaped(key) {
  return key.replaceAll("~", "~0").replaceAll("/", "~1");
}

/** How many matches a search tells. */
export const FOUND_MAX = 1_000;
// More than anybody opens by hand; all of ten thousand rows would be a list without an end.
const OPEN_MAX = 2_000;
