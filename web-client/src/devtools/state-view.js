/**
 * The document as a tree: searched, opened, copied, and lit up where it has just changed.
 *
 * @module
 */

import { drawing, h } from "../dom.js";
import { List, button, copy, write } from "./list.js";
import { opPath, pathText, pretty, preview } from "./text.js";
import { FOUND_MAX, allContainers, idsOf, pathOf, rowsOf, search } from "./tree.js";

/** @import { Commit } from "../document.js" */
/** @import { Json } from "../patch.js" */
/** @import { Inspectable } from "./probe.js" */
/** @import { Found, Row } from "./tree.js" */

export class StateView {
  element;
  #app;
  #changed;
  #list;
  /** @type {Row[]} */
  #rows = [];
  /** @type {Set<string>} */
  #open = new Set();
  /** @type {Found | null} */
  #found = null;
  /** @type {{ root: Json | undefined, query: string, where: string } | null} what was looked through */
  #searched = null;
  /** The id of the selected row, which stays selected when rows come and go above it. */
  #selected = "";
  /** Until when a place is lit, how often it was, and whether it has been drawn so. @type {Map<string, { until: number, times: number, drawn: boolean }>} */
  #lit = new Map();
  #search = h("input", { type: "search", placeholder: "Search", "aria-label": "Search the state", spellcheck: "false" });
  #where = h("select", { "aria-label": "Search in" }, ...["keys and values", "keys", "values"].map((text, at) => h("option", { value: WHERE[at] ?? "" }, text)));
  #count = h("span", { class: "dim", role: "status" });
  #path = h("code", { class: "path" });
  #type = h("span", { class: "dim" });
  #value = h("pre", { class: "value", tabindex: "0", "aria-label": "Value", hidden: "" });
  #copyPath = button("Copy path", () => this.#row && copy(pathText(pathOf(this.#row)), this.#copyPath));
  #copyValue = button("Copy value", () => this.#row && copy(JSON.stringify(this.#row.value, null, 2), this.#copyValue));

  /**
   * @param {Inspectable} app
   * @param {() => void} changed asks for a draw
   */
  constructor(app, changed) {
    this.#app = app;
    this.#changed = changed;
    this.#list = new List({
      name: "state",
      role: "tree",
      label: "State",
      make: () => h("div", {}, drawing("M7 5l6 5-6 5"), h("span", { class: "key" }), h("span", { class: "value" })),
      draw: (element, index) => this.#drawRow(element, /** @type {Row} */ (this.#rows[index])),
      chosen: (index) => {
        this.#selected = this.#rows[index]?.id ?? "";
        this.#drawSelected();
      },
      key: (event, index) => this.#key(event.key, index),
      clicked: (event, index) => {
        // The arrow opens at once, a double click anywhere does too.
        if (event.detail === 2 || /** @type {Element} */ (event.target).closest("svg")) this.#toggle(index);
      },
    });
    this.#search.addEventListener("input", changed);
    this.#where.addEventListener("change", changed);
    const toolbar = h("div", { class: "toolbar" }, this.#search, this.#where, this.#count, h("span", { class: "space" }),
      button("Expand all", () => this.#expand(true)), button("Collapse all", () => this.#expand(false)));
    const footer = h("div", { class: "footer" }, h("div", { class: "line" }, this.#path, this.#type, this.#copyPath, this.#copyValue), this.#value);
    this.element = h("div", { class: "view" }, toolbar, this.#list.element, footer);
    this.#drawSelected();
  }

  focus() {
    this.#search.focus();
  }

  /** @param {Commit} commit */
  committed({ before, after, ops }) {
    const paths = ops ? ops.map(opPath) : before ? Object.keys(after).filter((key) => before[key] !== after[key]).map((key) => [key]) : [];
    const until = performance.now() + LIT_MS;
    // A delta of thousands of ops lights what can be seen of it: its outer places.
    for (const path of paths.slice(0, LIT_MAX)) {
      for (const id of idsOf(path)) this.#lit.set(id, { until, times: (this.#lit.get(id)?.times ?? 0) + 1, drawn: false });
    }
  }

  draw() {
    const root = /** @type {Json | undefined} */ (this.#app.document ?? undefined);
    const query = this.#search.value;
    const where = /** @type {"both" | "keys" | "values"} */ (this.#where.value);
    const last = this.#searched;
    if (!last || last.root !== root || last.query !== query || last.where !== where) {
      this.#found = search(root, query, where);
      this.#searched = { root, query, where };
    }
    this.#light(performance.now());
    this.#rows = rowsOf(root, this.#open, this.#found);
    if (this.#selected) this.#list.selected = this.#rows.findIndex(({ id }) => id === this.#selected);
    this.#list.refresh(this.#rows.length);
    write(this.#count, this.#told(root));
    this.#drawSelected();
  }

  /**
   * The time of a light counts from its first drawing, so that a page with no time to draw skips none; what changed long
   * before this view was opened stays dark.
   * @param {number} now
   */
  #light(now) {
    let first = false;
    for (const [id, lit] of this.#lit) {
      if (now > lit.until + (lit.drawn ? 0 : LIT_LATE_MS)) this.#lit.delete(id);
      else if (!lit.drawn) {
        Object.assign(lit, { until: now + LIT_MS, drawn: true });
        first = true;
      }
    }
    if (first) setTimeout(this.#changed, LIT_MS + 20);
  }

  /** @param {Json | undefined} root */
  #told(root) {
    if (this.#found) {
      const { ids, more } = this.#found;
      if (more) return `more than ${FOUND_MAX} matches`;
      return ids.size === 1 ? "1 match" : `${ids.size} matches`;
    }
    return root === undefined ? "No document has come yet" : "";
  }

  get #row() {
    return this.#rows[this.#list.selected];
  }

  /**
   * @param {HTMLElement} element
   * @param {Row} row
   */
  #drawRow(element, { id, key, value, depth, size, open, found, at, of }) {
    const [arrow, name, shown] = /** @type {[SVGElement, HTMLElement, HTMLElement]} */ (/** @type {unknown} */ ([...element.children]));
    element.setAttribute("aria-level", String(depth + 1));
    element.setAttribute("aria-posinset", String(at));
    element.setAttribute("aria-setsize", String(of));
    if (size > 0) element.setAttribute("aria-expanded", String(open));
    else element.removeAttribute("aria-expanded");
    arrow.classList.toggle("leaf", size <= 0);
    element.style.paddingInlineStart = `${8 + depth * 14}px`;
    write(name, String(key));
    // How many it holds: of a list, and where what it holds is not in the same line.
    const told = size >= 0 && (open || Array.isArray(value)) ? sizeText(value, size) : "";
    write(shown, open ? told : [told, preview(value, VALUE_LENGTH)].filter(Boolean).join(" "));
    shown.className = `value ${typeOf(value)}`;
    const lit = this.#lit.get(id);
    // Of a container that is open, what it holds is lit.
    const shines = lit && !(open && size > 0);
    element.className = `row${found ? " found" : ""}${shines ? ` lit lit-${lit.times % 2}` : ""}`;
  }

  #drawSelected() {
    const row = this.#row;
    for (const element of [this.#copyPath, this.#copyValue]) element.disabled = !row;
    write(this.#path, row ? pathText(pathOf(row)) : "Nothing is selected");
    write(this.#type, row ? (row.size < 0 ? typeOf(row.value) : sizeText(row.value, row.size)) : "");
    // What does not fit a line is shown whole.
    const isLong = row && typeof row.value === "string" && row.value.length > VALUE_LENGTH;
    this.#value.hidden = !isLong;
    if (isLong) write(this.#value, String(row.value).slice(0, LONG_LENGTH));
    else if (!row) write(this.#value, pretty(null));
  }

  /**
   * @param {string} key
   * @param {number} index
   */
  #key(key, index) {
    const row = this.#rows[index];
    if (!row) return false;
    if (key === "Enter" || key === " ") this.#toggle(index);
    else if (key === "ArrowRight" && row.size > 0) {
      if (row.open) this.#list.select(index + 1);
      else this.#toggle(index);
    } else if (key === "ArrowLeft") {
      if (row.open && this.#open.has(row.id)) this.#toggle(index);
      else if (row.parent) this.#list.select(this.#rows.indexOf(row.parent));
    } else return false;
    return true;
  }

  /** @param {number} index */
  #toggle(index) {
    const row = this.#rows[index];
    if (!row || row.size <= 0) return;
    if (this.#open.has(row.id)) this.#open.delete(row.id);
    else this.#open.add(row.id);
    this.draw();
  }

  /** @param {boolean} all */
  #expand(all) {
    this.#open = all ? allContainers(/** @type {Json | undefined} */ (this.#app.document ?? undefined)) : new Set();
    this.draw();
  }
}

/** @param {Json} value */
function typeOf(value) {
  if (value === null) return "null";
  return Array.isArray(value) ? "list" : typeof value;
}

/**
 * @param {Json} value
 * @param {number} size
 */
function sizeText(value, size) {
  return Array.isArray(value) ? `[${size.toLocaleString("en")}]` : `{${size.toLocaleString("en")}}`;
}

const WHERE = ["both", "keys", "values"];
const LIT_MS = 900;
/** A change that waits longer than this for its drawing, because another view was open, is no news. */
const LIT_LATE_MS = 5_000;
const LIT_MAX = 1_000;
const VALUE_LENGTH = 120;
const LONG_LENGTH = 20_000;
