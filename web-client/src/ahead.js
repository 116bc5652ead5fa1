/**
 * What was written on this page and has no outcome yet, shown ahead of the server's answer.
 *
 * A control's last value stands over the document wherever its field is shown: a label beside it, a class, a filter.
 * With the outcome it goes, and the page shows what the server has, be that the same, a tidied one, or after a refusal
 * the one from before. The document itself is never touched.
 *
 * @module
 */

import { own } from "./own.js";
/** @import { Json, Op } from "./patch.js" */
/** @import { Path } from "./model.js" */

export class Ahead {
  /** @type {Map<object, { path: Path, value: unknown }>} by who wrote; what was written last is last, and stands */
  #writes = new Map();
  #changed;

  /**
   * @param {(opsOf: (document: object) => Op[]) => void} changed what stands over a path is another value, or nothing any
   *   more; the ops set there what a document has
   */
  constructor(changed) {
    this.#changed = changed;
  }

  /**
   * @param {object} who
   * @param {Path} path
   * @param {unknown} value
   */
  put(who, path, value) {
    this.#writes.delete(who);
    this.#writes.set(who, { path, value });
    this.#changed((document) => setOf(document, path));
  }

  /** @param {object} who */
  drop(who) {
    const write = this.#writes.get(who);
    if (!write) return;
    this.#writes.delete(who);
    this.#changed((document) => setOf(document, write.path));
  }

  /**
   * @param {object} document
   * @returns {Op[]} sets, which lead from the document to what is shown
   */
  ops(document) {
    return [...this.#writes.values()].flatMap(({ path, value }) => setOf(document, path, value));
  }
}

/**
 * The op that sets a field, none where there is no such field.
 *
 * @param {object} document
 * @param {Path} path
 * @param {unknown} [value] what the field has, when there is none
 * @returns {Op[]}
 */
export function setOf(document, path, value) {
  /** @type {unknown} */
  let at = document;
  /** @type {Json[]} */
  const op = [];
  for (const step of path) {
    let key = /** @type {string | number} */ (step);
    if (typeof step === "object") {
      const [[name, wanted] = []] = Object.entries(step);
      key = Array.isArray(at) ? at.findIndex((row) => own(row, String(name)) === wanted) : -1;
    }
    if (typeof at !== "object" || at === null || !Object.hasOwn(at, key)) return [];
    at = /** @type {{ [key: string | number]: unknown }} */ (at)[key];
    op.push(key);
  }
  return [[...op, /** @type {Json} */ (value === undefined ? at : value)]];
}
