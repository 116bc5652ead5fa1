/**
 * Applies a delta's ops to a document: `apply(document, ops)` returns the next document and leaves the old one alone.
 *
 * A container is copied when an op first reaches into it, at most once a call; all the rest keeps its reference, so
 * `===` says what changed. All ops apply or none: an op that does not fit throws a {@link PatchError}.
 * The grammar is section 7 of protocol.md.
 *
 * @module
 */

/** @typedef {null | boolean | number | string | Json[] | { [key: string]: Json }} Json */
/** @typedef {{ [key: string]: Json }} JsonObject */
/** @typedef {Json[]} Op a flat array: a number first names the op, a string first is a set */

/**
 * @typedef {"malformed" | "unknown_op" | "wrong_container" | "missing_parent" | "out_of_range"
 *   | "not_a_permutation" | "not_a_string" | "absent_key"} PatchReason
 */

/** An op that does not apply: the peer's document is another one than ours, or the op is none. */
export class PatchError extends Error {
  /**
   * @param {PatchReason} reason
   * @param {Op} op
   */
  constructor(reason, op) {
    super(`${reason} in ${JSON.stringify(op).slice(0, 200)}`);
    this.name = "PatchError";
    this.reason = reason;
  }
}

/**
 * @param {JsonObject} document
 * @param {readonly Op[]} ops
 * @returns {JsonObject} the document itself when there are no ops
 */
export function apply(document, ops) {
  const draft = new Draft(document);
  for (const op of ops) draft.apply(op);
  return draft.root;
}

/** A document while it is edited: what has been copied may be written to. */
class Draft {
  /**
   * The containers made in this call. Values that arrive in an op are not among them: whoever reads the ops after us
   * still finds what the server sent.
   *
   * @type {Set<Json>}
   */
  #owned = new Set();

  /** @param {JsonObject} document */
  constructor(document) {
    this.root = document;
  }

  /** @param {Op} op */
  apply(op) {
    const code = op[0];
    const end = op.length - 1;
    // Every op ends with an argument; one that takes two has the other, here called `at`, before it.
    const [at, last] = [op[end - 1], op[end]];
    if (typeof code === "string") {
      check(end > 0, "malformed", op);
      put(this.#reach(op, 0, end - 1), at, last, op);
      return;
    }
    const items = ITEMS_MIN.get(code);
    check(items !== undefined, "unknown_op", op);
    check(op.length >= items, "malformed", op);
    if (code === 0) {
      check(isMap(last), "wrong_container", op);
      this.root = last;
    } else if (code === 4) {
      const parent = this.#reach(op, 1, end - 1);
      const text = child(parent, at, op);
      check(typeof text === "string" && typeof last === "string", "not_a_string", op);
      put(parent, at, text + last, op);
    } else if (code === 5) {
      const parent = this.#reach(op, 1, end);
      check(isMap(parent) && typeof last === "string", "wrong_container", op);
      check(Object.hasOwn(parent, last), "absent_key", op);
      delete parent[last];
    } else {
      const list = this.#reach(op, 1, code === 8 ? end : end - 1);
      check(Array.isArray(list), "wrong_container", op);
      edit(list, op, at, last);
    }
  }

  /**
   * The container at the steps `op[from..to)`, ready to be written to.
   *
   * @param {Op} op
   * @param {number} from
   * @param {number} to
   */
  #reach(op, from, to) {
    let container = this.#own(this.root, op);
    this.root = /** @type {JsonObject} */ (container);
    for (let i = from; i < to; i++) {
      const inner = this.#own(child(container, op[i], op), op);
      put(container, op[i], inner, op);
      container = inner;
    }
    return container;
  }

  /**
   * @param {Json} value
   * @param {Op} op
   * @returns {Json[] | JsonObject}
   */
  #own(value, op) {
    check(typeof value === "object" && value !== null, "wrong_container", op);
    if (this.#owned.has(value)) return value;
    // A spread defines each member, so an own `__proto__` stays one.
    const copy = Array.isArray(value) ? value.slice() : { ...value };
    this.#owned.add(copy);
    return copy;
  }
}

/**
 * One edit of a list, in place.
 *
 * @param {Json[]} list
 * @param {Op} op
 * @param {Json} at
 * @param {Json} last
 */
function edit(list, op, at, last) {
  const length = list.length;
  switch (op[0]) {
    case 1:
      check(isIndex(at, length), "out_of_range", op);
      list.splice(at, 0, last);
      break;
    case 2:
      check(isIndex(at, length) && isIndex(last, length - at) && last > 0, "out_of_range", op);
      list.splice(at, last);
      break;
    case 3:
      check(isIndex(at, length - 1) && isIndex(last, length - 1), "out_of_range", op);
      list.splice(last, 0, ...list.splice(at, 1));
      break;
    case 7: {
      check(Array.isArray(last), "malformed", op);
      check(isIndex(at, length), "out_of_range", op);
      const tail = list.splice(at);
      // Not `splice(at, 0, ...last)`: 100,000 rows are more arguments than an engine takes.
      for (const run of [last, tail]) for (const item of run) list.push(item);
      break;
    }
    case 8: {
      check(Array.isArray(last), "malformed", op);
      check(last.length === length && new Set(last).size === length, "not_a_permutation", op);
      const old = list.slice();
      last.forEach((from, to) => {
        check(isIndex(from, length - 1), "not_a_permutation", op);
        list[to] = old[from];
      });
    }
  }
}

/**
 * @param {Json[] | JsonObject} container
 * @param {Json} step
 * @param {Op} op
 */
function child(container, step, op) {
  if (Array.isArray(container)) {
    check(typeof step === "number", "wrong_container", op);
    check(isIndex(step, container.length - 1), "missing_parent", op);
    return container[step];
  }
  check(typeof step === "string", "wrong_container", op);
  check(Object.hasOwn(container, step), "missing_parent", op);
  return container[step];
}

/**
 * @param {Json[] | JsonObject} container
 * @param {Json} step
 * @param {Json} value
 * @param {Op} op
 */
function put(container, step, value, op) {
  if (Array.isArray(container)) {
    check(typeof step === "number", "wrong_container", op);
    check(isIndex(step, container.length - 1), "out_of_range", op);
    container[step] = value;
    return;
  }
  check(typeof step === "string", "wrong_container", op);
  // An assignment to `__proto__`, or to any inherited name where prototypes are frozen, would not make a member.
  if (step in container && !Object.hasOwn(container, step)) {
    Object.defineProperty(container, step, { value, writable: true, enumerable: true, configurable: true });
  } else {
    container[step] = value;
  }
}

/**
 * @param {Json} value
 * @param {number} max
 * @returns {value is number}
 */
function isIndex(value, max) {
  return Number.isInteger(value) && /** @type {number} */ (value) >= 0 && /** @type {number} */ (value) <= max;
}

/**
 * @param {Json} value
 * @returns {value is JsonObject}
 */
function isMap(value) {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/**
 * @param {boolean} condition
 * @param {PatchReason} reason
 * @param {Op} op
 * @returns {asserts condition}
 */
function check(condition, reason, op) {
  if (!condition) throw new PatchError(reason, op);
}

/**
 * How many items an op has at least; 6 is reserved. A path may be empty here: that the root is no list is found later.
 *
 * @type {Map<Json, number>}
 */
const ITEMS_MIN = new Map([[0, 2], [1, 3], [2, 3], [3, 3], [4, 3], [5, 2], [7, 3], [8, 2]]);
