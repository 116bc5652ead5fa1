/**
 * The document as this page holds it, and who is told when it changes.
 *
 * The root keeps its reference until something in it changes, and so does every container in it: a delta copies only
 * what it touches, and of a snapshot every part that is equal to what was there is replaced by what was there.
 *
 * @module
 */

import { apply } from "./patch.js";

/** @import { Json, JsonObject, Op } from "./patch.js" */

/**
 * @typedef {object} Commit
 * @property {JsonObject | undefined} before undefined at the first snapshot
 * @property {JsonObject} after
 * @property {Op[] | null} ops null for a snapshot
 */

export class SyncedDocument {
  /** @type {JsonObject | undefined} */
  root;

  /** @type {Set<(commit: Commit) => void>} */
  #committed = new Set();
  /** @type {Set<() => void>} */
  #changed = new Set();

  /**
   * @param {Op[]} ops
   * @throws {import("./patch.js").PatchError} and then nothing has changed
   */
  patch(ops) {
    if (ops.length > 0) this.#commit(apply(this.root ?? {}, ops), ops);
  }

  /** @param {JsonObject} root */
  replace(root) {
    this.#commit(/** @type {JsonObject} */ (share(this.root, root)), null);
  }

  /**
   * @param {(commit: Commit) => void} listener runs before all subscribers, with the ops
   * @returns {() => void} stops it
   */
  onCommit(listener) {
    return add(this.#committed, listener);
  }

  /**
   * @param {string | (string | number)[]} path `"rows.0.name"`, or its steps; `""` is the root
   * @param {(value: unknown) => void} listener runs when the value there is another one than before
   * @returns {() => void} stops it
   */
  subscribe(path, listener) {
    let last = valueAt(this.root, path);
    return add(this.#changed, () => {
      const value = valueAt(this.root, path);
      if (Object.is(value, last)) return;
      last = value;
      listener(value);
    });
  }

  /**
   * @param {JsonObject} after
   * @param {Op[] | null} ops
   */
  #commit(after, ops) {
    const before = this.root;
    this.root = after;
    // Over copies: a listener may remove itself or add another one.
    for (const listener of [...this.#committed]) guard(() => listener({ before, after, ops }));
    for (const listener of [...this.#changed]) guard(listener);
  }
}

/**
 * Runs what someone else wrote: its error is theirs and is reported, and what comes after it still runs.
 *
 * @param {() => void} run
 */
export function guard(run) {
  try {
    run();
  } catch (error) {
    if (typeof reportError === "function") reportError(error);
    else console.error(error);
  }
}

/**
 * @template T
 * @param {Set<T>} set
 * @param {T} item
 */
function add(set, item) {
  set.add(item);
  return () => void set.delete(item);
}

/**
 * @param {Json | undefined} value
 * @param {string | (string | number)[]} path `"rows.0.name"`, or its steps
 * @returns {Json | undefined}
 */
export function valueAt(value, path) {
  const steps = typeof path === "string" ? path.split(".").filter((step) => step !== "") : path;
  for (const step of steps) {
    if (typeof value !== "object" || value === null || !Object.hasOwn(value, step)) return undefined;
    value = /** @type {JsonObject} */ (value)[step];
  }
  return value;
}

/**
 * The new value with all that is equal in the old one taken from there: the old one itself when the two are equal.
 * Writes into `after`, which nobody else holds yet.
 *
 * @param {Json | undefined} before
 * @param {Json} after
 * @returns {Json}
 */
export function share(before, after) {
  if (typeof before !== "object" || typeof after !== "object" || before === null || after === null) return after;
  if (Array.isArray(before) !== Array.isArray(after)) return after;
  const [from, into] = [/** @type {JsonObject} */ (before), /** @type {JsonObject} */ (after)];
  const keys = Object.keys(into);
  // In a list of another length what was inserted or removed is mostly in one place: rows also keep their distance
  // from the end.
  const shift = Array.isArray(before) && Array.isArray(after) ? before.length - after.length : 0;
  let equal = Object.keys(from).length === keys.length;
  for (const key of keys) {
    const old = Object.hasOwn(from, key) ? from[key] : undefined;
    let value = share(old, into[key]);
    if (value !== old && shift !== 0) {
      value = share(from[Number(key) + shift], into[key]);
    }
    // Own members all, so that an assignment to `__proto__` is one to data.
    into[key] = value;
    equal &&= value === old && Object.hasOwn(from, key);
  }
  return equal ? before : after;
}
