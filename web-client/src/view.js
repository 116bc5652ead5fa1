/**
 * A compiled template at work: the bindings of one tree, its lists and conditions, and what must be let go with it.
 *
 * `grow` finds the nodes of a clone (or of the page itself) and makes one small object for each part. Lists and
 * conditions change nodes at once, all else waits for the page's next frame. Bindings of a row that read only that row
 * hang on the row; the others subscribe to the spots of outer rows and of the page, and are the ones that must let go.
 *
 * @module
 */

import { outer } from "./expression.js";
import { Spot } from "./spots.js";

/** @typedef {import("./expression.js").Dependency} Dependency */
/** @typedef {import("./expression.js").Expression} Expression */
/** @typedef {import("./expression.js").Scope} Scope */
/** @typedef {import("./spots.js").List} List */
/** @typedef {import("./spots.js").Watcher} Watcher */
/** @typedef {import("./actions.js").SendOptions} SendOptions */
/** @typedef {import("./model.js").Path} Path */
/** @typedef {import("./template.js").ActionPart} ActionPart */
/** @typedef {import("./template.js").BlockPart} BlockPart */
/** @typedef {import("./template.js").Part} Part */
/** @typedef {import("./template.js").ShowPart} ShowPart */
/** @typedef {import("./template.js").Template} Template */

/**
 * What a view needs of the page it is in.
 *
 * @typedef {object} Page
 * @property {boolean} ready the first document has come
 * @property {Watcher[]} waiting for the first document
 * @property {(watcher: Watcher, on: boolean) => void} time watches or ceases to watch what changes as time goes by
 * @property {(watcher: Watcher) => void} mark
 * @property {(part: ActionPart, element: Element, scope: Scope) => void} listen
 * @property {(part: import("./template.js").ModelPart, control: import("./model.js").AnyControl, scope: Scope) => Watcher & Tie} model
 * @property {Set<{ send: () => void }>} models with an edit that is not sent
 * @property {(path: Path, value: unknown, options: SendOptions) => Promise<unknown>} set
 * @property {import("./actions.js").Actions} actions
 * @property {typeof unsubscribe} unsubscribe
 * @property {(element: Element) => void} appeared a condition holds now
 * @property {(element: HTMLElement) => void} refocus gives it the focus as soon as it can have it
 * @property {import("./ahead.js").Ahead | undefined} ahead there when models are
 */

/** @typedef {{ release: () => void, node?: Node }} Tie */

/**
 * Makes the parts of a template live at the nodes of `root`, which has the template's shape.
 *
 * @param {Template} template
 * @param {Element} root
 * @param {Scope} scope
 * @param {Page} page
 * @param {Row | null} row the row that `root` is; null in a condition and in the page
 * @returns {Tie[]} what to release with it
 */
export function grow(template, root, scope, page, row) {
  const { parts } = template;
  /** @type {Tie[]} */
  let ties = NO_TIES;
  // The last first: a list adds nodes only after those that are still to be found, and a select has its options before
  // it is given its value.
  for (let at = parts.length - 1; at >= 0; at--) {
    const part = /** @type {Part} */ (parts[at]);
    const node = find(root, part.path);
    if (part.kind === "on") {
      page.listen(part, /** @type {Element} */ (node), scope);
      continue;
    }
    const made =
      part.kind === "show"
        ? new Binding(part, node, scope, page)
        : part.kind === "model"
        ? page.model(part, /** @type {import("./model.js").AnyControl} */ (node), scope)
        : new (part.kind === "each" ? Each : Condition)(part, /** @type {Comment} */ (node), scope, page);
    // A list of a plain path is told by its spot, with the ops that led there.
    if (!(part.kind === "each" && part.expression.plain)) {
      if (part.inside && row) row.watching.push(made);
      for (const use of part.outside) (spotOf(use, scope).watchers ??= new Set()).add(made);
    }
    if (part.kind !== "show" || part.outside.length || part.expression.timed) {
      if (ties === NO_TIES) ties = [];
      ties.push(made);
    }
    if (part.kind === "show" && part.expression.timed) page.time(made, true);
    if (part.late && !page.ready) page.waiting.push(made);
    else made.refresh();
  }
  return ties;
}

/**
 * @param {Node} root
 * @param {number[]} path
 * @returns {Node}
 */
function find(root, path) {
  let node = root;
  for (let at = 0; at < path.length; at++) {
    // The tree was cloned from the one that the path was read from.
    node = /** @type {Node} */ (node.firstChild);
    for (let steps = Number(path[at]); steps > 0; steps--) node = /** @type {Node} */ (node.nextSibling);
  }
  return node;
}

/**
 * @param {Dependency[]} outside
 * @param {Watcher} watcher
 * @param {Scope} scope
 */
export function unsubscribe(outside, watcher, scope) {
  for (const use of outside) spotOf(use, scope).watchers?.delete(watcher);
}

/**
 * @param {Dependency} use
 * @param {Scope} scope
 * @returns {Spot}
 */
function spotOf({ base, hops, path }, scope) {
  const at = /** @type {Scope & Spot & { local: Spot, connection: Spot, location: Spot }} */ (outer(scope, hops));
  if (base === "local" || base === "connection" || base === "location") return at[base].at(path);
  return base === "index" ? at : at.at(path);
}

/** Marks what was grown from a template, which other scripts may move about. */
export const GROWN = Symbol("grown");

/**
 * @param {Template} template
 * @returns {Element}
 */
function cloneOf({ root }) {
  return Object.assign(/** @type {Element} */ (root.cloneNode(true)), { [GROWN]: true });
}

/** True while nodes are taken out: a blur that comes of that is no act of a person. */
export let removing = false;

/** @param {Element | null} element */
function takeOut(element) {
  removing = true;
  element?.remove();
  removing = false;
}

/** One value shown at one node. */
class Binding {
  queued = false;
  /** @type {unknown} */
  #shown = NOTHING;

  /**
   * @param {ShowPart} part
   * @param {Node} node
   * @param {Scope} scope
   * @param {Page} page
   */
  constructor(part, node, scope, page) {
    this.part = part;
    this.node = node;
    this.scope = scope;
    if (part.expression.timed) this.page = page;
  }

  refresh() {
    const { expression, write, name } = this.part;
    const value = expression.read(this.scope);
    if (value === this.#shown) return;
    write(this.node, value, name, this.#shown === NOTHING ? undefined : this.#shown);
    this.#shown = value;
  }

  release() {
    unsubscribe(this.part.outside, this, this.scope);
    this.page?.time(this, false);
  }
}

/** `<template w-if>`: its one element is there or not. */
class Condition {
  queued = false;
  structural = true;
  #released = false;
  /** @type {Element | null} */
  #element = null;
  /** @type {Element | null} what had the focus when this appeared */
  #before = null;
  /** @type {Tie[]} */
  #ties = [];

  /**
   * @param {BlockPart} part
   * @param {Comment} node marks the place
   * @param {Scope} scope
   * @param {Page} page
   */
  constructor(part, node, scope, page) {
    this.part = part;
    this.node = node;
    this.scope = scope;
    this.page = page;
  }

  refresh() {
    if (this.#released) return;
    const { template, expression } = this.part;
    const wanted = !!expression.read(this.scope);
    if (wanted === !!this.#element) return;
    if (wanted) {
      this.#element = cloneOf(template);
      this.#ties = grow(template, this.#element, this.scope, this.page, null);
      this.node.before(this.#element);
      this.#before = this.node.ownerDocument.activeElement;
      this.page.appeared(this.#element);
    } else {
      this.#clear();
    }
  }

  #clear() {
    for (const tie of this.#ties) tie.release();
    const focused = this.#element?.contains(this.#element.ownerDocument.activeElement);
    takeOut(this.#element);
    // Whoever was in it goes on where they came from.
    if (focused && this.#before?.isConnected) this.page.refocus(/** @type {HTMLElement} */ (this.#before));
    this.#element = null;
    this.#ties = [];
  }

  release() {
    this.#released = true;
    unsubscribe(this.part.outside, this, this.scope);
    this.#clear();
  }

  /** Puts the template back where it was found. */
  restore() {
    this.node.replaceWith(this.part.source);
  }
}

/** One element of a list, and the spot of its value. */
class Row extends Spot {
  index = 0;
  /** @type {Element | null} */
  element = null;
  /** Not where it belongs: new or moved. */
  loose = true;
  /** @type {Watcher[]} read this row and are inside it, so they are never let go */
  watching = [];
  /** @type {Tie[]} */
  ties = NO_TIES;

  /**
   * @param {unknown} value
   * @param {Scope} parent
   */
  constructor(value, parent) {
    super(value);
    this.parent = parent;
  }

  /**
   * @override
   * @param {unknown} value
   * @param {import("./spots.js").Mark} mark
   */
  settle(value, mark) {
    if (value === this.value) return;
    super.settle(value, mark);
    for (const watcher of this.watching) mark(watcher);
  }

  /**
   * @param {number} index
   * @param {import("./spots.js").Mark} mark
   */
  renumber(index, mark) {
    if (index === this.index) return;
    this.index = index;
    for (const watcher of this.watching) mark(watcher);
    for (const watcher of this.watchers ?? []) mark(watcher);
  }

  release() {
    for (const tie of this.ties) tie.release();
  }
}

/**
 * `<template w-each>`: one element for each item of a list.
 *
 * @implements {List}
 */
class Each {
  queued = false;
  structural = true;
  /** @type {Row[]} parallel to the data */
  #rows = [];
  /** @type {Map<Row, number> | null} what ops reached, with the index that they named */
  #reached = null;
  /** The indexes above no longer hold. */
  #edited = false;
  /** What ops said no longer holds. */
  #lost = false;
  #released = false;
  #warned = false;
  /** @type {unknown} */
  #value = NOTHING;

  /**
   * @param {BlockPart} part
   * @param {Comment} node marks the place
   * @param {Scope} scope
   * @param {Page} page
   */
  constructor(part, node, scope, page) {
    this.part = part;
    this.node = node;
    this.scope = scope;
    this.page = page;
    if (part.expression.plain) (this.#spot().lists ??= new Set()).add(this);
  }

  #spot() {
    return spotOf(/** @type {Dependency} */ (this.part.expression.uses[0]), this.scope);
  }

  refresh() {
    if (!this.#released) this.settle(this.part.expression.read(this.scope));
  }

  /** @param {number} index */
  reach(index) {
    const row = this.#rows[index];
    if (!row || this.#lost) return undefined;
    (this.#reached ??= new Map()).set(row, index);
    return row;
  }

  /**
   * @param {number} code
   * @param {number} argument
   * @param {unknown} last
   */
  edit(code, argument, last) {
    if (this.#lost) return;
    this.#edited = true;
    this.#reached ??= new Map();
    const rows = this.#rows;
    if (code === 1) this.#insert(argument, [last]);
    else if (code === 2) for (const row of rows.splice(argument, Number(last))) this.#drop(row);
    else if (code === 3) {
      for (const row of rows.splice(argument, 1)) {
        rows.splice(Number(last), 0, row);
        this.#loosen(row);
      }
    } else if (code === 7) this.#insert(argument, /** @type {unknown[]} */ (last));
    else if (code === 8) {
      const from = /** @type {number[]} */ (last);
      const old = rows.slice();
      const stays = longestRise(from);
      from.forEach((was, at) => {
        const row = /** @type {Row} */ (old[was]);
        rows[at] = row;
        if (!stays.has(at)) this.#loosen(row);
      });
    }
  }

  lose() {
    this.#lost = true;
  }

  forget() {
    this.#lost = this.#edited = false;
    this.#reached = null;
  }

  /** @param {unknown} value */
  settle(value) {
    if (value === this.#value || this.#released) return;
    this.#value = value;
    if (!Array.isArray(value) && value != null) {
      this.part.report("not_a_list", typeof value);
    }
    const items = Array.isArray(value) ? value : [];
    const focused = this.node.ownerDocument.activeElement;
    const reached = this.#reached;
    if (!reached || this.#lost || this.#rows.length !== items.length) {
      this.#match(items);
      this.#placeAll(items);
    } else if (!this.#edited) {
      for (const [row, index] of reached) row.settle(items[index], this.page.mark);
    } else if (this.part.template.indexed || reached.size > FEW) {
      this.#placeAll(items);
    } else {
      const indexes = [...reached.keys()].map((row) => this.#rows.indexOf(row)).filter((index) => index >= 0);
      for (const index of indexes.sort((a, b) => b - a)) this.#place(index, items[index]);
    }
    // Where nodes cannot be moved without being taken out, the one with the focus has lost it.
    if (focused !== this.node.ownerDocument.activeElement && focused?.isConnected) {
      /** @type {HTMLElement} */ (focused).focus({ preventScroll: true });
    }
  }

  /** @param {unknown[]} items */
  #placeAll(items) {
    for (let index = items.length - 1; index >= 0; index--) this.#place(index, items[index]);
  }

  /**
   * Gives a row its value and, when it is loose, its place. Called from the last to the first: the row after it is
   * in place.
   *
   * @param {number} index
   * @param {unknown} value
   */
  #place(index, value) {
    const row = /** @type {Row} */ (this.#rows[index]);
    const kept = row.element;
    if (this.part.template.indexed) row.renumber(index, this.page.mark);
    if (kept) row.settle(value, this.page.mark);
    const element = kept ?? this.#build(row, value);
    if (row.loose) {
      const next = this.#rows[index + 1]?.element ?? this.node;
      move(/** @type {Node} */ (this.node.parentNode), element, next, !!kept);
      row.loose = false;
    }
  }

  /**
   * @param {Row} row
   * @param {unknown} value
   */
  #build(row, value) {
    const { template } = this.part;
    row.value = value;
    const element = cloneOf(template);
    row.element = element;
    row.ties = grow(template, element, row, this.page, row);
    return element;
  }

  /**
   * Rows for a list of which nothing is known: by key where there is one, else by place.
   *
   * @param {unknown[]} items
   */
  #match(items) {
    const old = this.#rows;
    const { key } = this.part;
    if (!key) {
      for (const row of old.splice(items.length)) this.#drop(row);
      for (const item of items.slice(old.length)) old.push(new Row(item, this.scope));
      return;
    }
    /** @type {Map<unknown, number>} */
    const places = new Map();
    old.forEach((row, at) => places.set(key.read(row), at));
    const probe = new Row(null, this.scope);
    /** @type {Set<unknown>} */
    const seen = new Set();
    /** @type {number[]} where the kept ones were, in their new order */
    const was = [];
    this.#rows = items.map((item) => {
      probe.value = item;
      const name = key.read(probe);
      if (seen.has(name) && !this.#warned) {
        this.#warned = true;
        this.part.report("duplicate_key", name);
      }
      seen.add(name);
      const at = places.get(name);
      if (at === undefined) return new Row(item, this.scope);
      places.delete(name);
      was.push(at);
      return /** @type {Row} */ (old[at]);
    });
    const kept = new Set(was);
    old.forEach((row, at) => kept.has(at) || this.#drop(row));
    const stays = longestRise(was);
    was.forEach((at, order) => stays.has(order) || (/** @type {Row} */ (old[at]).loose = true));
  }

  /**
   * @param {number} index
   * @param {unknown[]} items
   */
  #insert(index, items) {
    const rows = items.map((item) => new Row(item, this.scope));
    for (const row of rows) this.#loosen(row);
    const tail = this.#rows.splice(index);
    // Not `splice(index, 0, ...rows)`: 100,000 rows are more arguments than an engine takes.
    this.#rows = this.#rows.concat(rows, tail);
  }

  /** @param {Row} row */
  #loosen(row) {
    row.loose = true;
    this.#reached?.set(row, 0);
  }

  /** @param {Row} row */
  #drop(row) {
    takeOut(row.element);
    row.release();
  }

  release() {
    this.#released = true;
    if (this.part.expression.plain) this.#spot().lists?.delete(this);
    else unsubscribe(this.part.outside, this, this.scope);
    for (const row of this.#rows) this.#drop(row);
    this.#rows = [];
  }

  /** Puts the template back where it was found. */
  restore() {
    this.node.replaceWith(this.part.source);
  }
}

/**
 * @param {Node} parent
 * @param {Element} element
 * @param {Node} next
 * @param {boolean} kept
 */
function move(parent, element, next, kept) {
  if (kept && element.isConnected && "moveBefore" in parent) {
    // Keeps focus, scroll places, running videos and animations; not every engine has it.
    /** @type {{ moveBefore: (node: Node, child: Node) => void }} */ (/** @type {unknown} */ (parent)).moveBefore(element, next);
  } else {
    parent.insertBefore(element, next);
  }
}

/**
 * The positions of a longest rising subsequence: the rows that may stay where they are while all others move.
 *
 * @param {number[]} numbers
 * @returns {{ has: (position: number) => boolean }}
 */
function longestRise(numbers) {
  if (numbers.every((number, at) => at === 0 || number > Number(numbers[at - 1]))) return ALL;
  /** @type {number[]} position of the smallest number that ends a rise of each length */
  const ends = [];
  /** @type {(number | undefined)[]} */
  const before = [];
  numbers.forEach((number, at) => {
    let [low, high] = [0, ends.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (Number(numbers[Number(ends[middle])]) < number) low = middle + 1;
      else high = middle;
    }
    before.push(ends[low - 1]);
    ends[low] = at;
  });
  /** @type {Set<number>} */
  const positions = new Set();
  for (let at = ends.at(-1); at !== undefined; at = before[at]) positions.add(at);
  return positions;
}

const ALL = { has: () => true };
const NOTHING = Symbol();
/** @type {Tie[]} */
const NO_TIES = [];
// So many rows are looked up in the list one by one; for more, one walk over all of them is cheaper.
const FEW = 16;
