/**
 * A tree shaped like the part of the document that the page shows, with a spot for each path that something depends on.
 *
 * A commit comes in two steps. {@link route} walks the ops down to the lists they concern, so that a list knows which
 * of its rows were reached, added, removed or moved without looking at the others. Then `settle` hands the new values
 * down: what kept its reference did not change, and nobody below is asked. A list's rows are spots of their own, held
 * in an array parallel to the data; a row knows neither its index nor its path.
 *
 * @module
 */

import { own } from "./own.js";

/** @typedef {import("./patch.js").Op} Op */

/**
 * Something that must be written again when a value has changed.
 *
 * @typedef {object} Watcher
 * @property {boolean} queued
 * @property {boolean} [structural] adds or removes nodes, so it is not put off to the next frame
 * @property {() => void} refresh
 */

/**
 * A list of the page, told by {@link route} what happened to its rows.
 *
 * @typedef {object} List
 * @property {(index: number) => Spot | undefined} reach the row, about to change; none when the list has lost track
 * @property {(code: number, argument: number, last: unknown) => void} edit
 * @property {() => void} lose the list was replaced: its rows are to be matched by key
 * @property {() => void} forget what it was told; the commit is over
 * @property {(value: unknown) => void} settle
 */

/** @typedef {(watcher: Watcher) => void} Mark */

/** The lists that were told something in this commit. */
/** @typedef {Set<List>} Told */

export class Spot {
  /** @type {Map<string, Spot> | null} */
  children = null;
  /** @type {Set<Watcher> | null} */
  watchers = null;
  /** @type {Set<List> | null} */
  lists = null;

  /** @param {unknown} value */
  constructor(value) {
    this.value = value;
  }

  /**
   * @param {readonly string[]} path
   * @returns {Spot}
   */
  at(path) {
    /** @type {Spot} */
    let spot = this;
    for (const key of path) {
      spot.children ??= new Map();
      let child = spot.children.get(key);
      if (!child) spot.children.set(key, (child = new Spot(own(spot.value, key))));
      spot = child;
    }
    return spot;
  }

  /**
   * @param {unknown} value
   * @param {Mark} mark
   */
  settle(value, mark) {
    if (value === this.value) return;
    this.value = value;
    if (this.watchers) for (const watcher of this.watchers) mark(watcher);
    if (this.children) for (const [key, child] of this.children) child.settle(own(value, key), mark);
    if (this.lists) for (const list of this.lists) list.settle(value);
  }

  /**
   * The value here was set whole, so what ops said about lists below no longer holds.
   *
   * @param {Told} told
   */
  lose(told) {
    for (const list of this.lists ?? []) told.add(list);
    // A list inside a row of a lost list is not found from here: all that were told something start again.
    if (this.lists) for (const list of told) list.lose();
    for (const child of this.children?.values() ?? []) child.lose(told);
  }
}

/**
 * @param {Spot} root
 * @param {readonly Op[]} ops
 * @returns {Told} to be told to forget when the new values are settled
 */
export function route(root, ops) {
  /** @type {Told} */
  const told = new Set();
  for (const op of ops) {
    const code = typeof op[0] === "number" ? op[0] : SET;
    walk(root, op, code === SET ? 0 : 1, op.length - (BEHIND[code] ?? 0), code, told);
  }
  return told;
}

/**
 * @param {Spot} spot
 * @param {Op} op
 * @param {number} at
 * @param {number} end where the path ends in the op
 * @param {number} code
 * @param {Told} told
 */
function walk(spot, op, at, end, code, told) {
  for (; at < end; at++) {
    const step = op[at];
    if (typeof step === "number") {
      for (const list of spot.lists ?? []) {
        told.add(list);
        const row = list.reach(step);
        if (row) walk(row, op, at + 1, end, code, told);
      }
      return;
    }
    const child = spot.children?.get(/** @type {string} */ (step));
    if (!child) return;
    spot = child;
  }
  if (code === SET || code === ROOT || code === DELETE) return spot.lose(told);
  for (const list of spot.lists ?? []) {
    told.add(list);
    list.edit(code, Number(op[end]), op[op.length - 1]);
  }
}

// The op numbers of protocol.md that are named here; a set has none on the wire.
const SET = -1;
const ROOT = 0;
const APPEND = 4;
const DELETE = 5;

/** @type {{ [code: number]: number }} how many items follow the path */
const BEHIND = { [SET]: 1, [ROOT]: 1, 1: 2, 2: 2, 3: 2, [APPEND]: 1, [DELETE]: 0, 7: 2, 8: 1 };
