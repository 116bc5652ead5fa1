/**
 * `w-model`: a control and a field of the state that follow each other.
 *
 * A control is *open* from the first edit until its last write has its outcome, and while an input method composes.
 * What comes from the server meanwhile is not shown, since it is older than what the person has typed; when the control
 * closes it shows what the server has then. Of what is typed while a write is on its way only the last is sent. [SET-3]
 *
 * @module
 */

import { Ahead } from "./ahead.js";
import { outer } from "./expression.js";
import { controlValue, isControl } from "./forms.js";
import { own } from "./own.js";
import { BindError } from "./report.js";

/** @typedef {import("./expression.js").Dependency} Dependency */
/** @typedef {import("./expression.js").Scope} Scope */
/** @typedef {import("./template.js").ModelPart} ModelPart */
/** @typedef {import("./template.js").RowPlace} RowPlace */
/** @typedef {import("./view.js").Page} Page */
/** @typedef {(string | { [key: string]: unknown })[]} Path */

/** Loaded by pages that have one. @param {import("./later.js").Kit} kit */
export default function install({ parts }) {
  Object.assign(parts, { Ahead, Model, readModel });
}

/** A control of the page, with all that those there are have. */
/** @typedef {HTMLInputElement & { options: HTMLOptionsCollection }} AnyControl */

export class Model {
  queued = false;
  /** An edit that is not sent. */
  #edited = false;
  /** How many writes have no outcome. */
  #running = 0;
  #composing = false;
  /** The value that the field had when the control last took it. */
  #shown = /** @type {unknown} */ (NOTHING);
  #listeners = new AbortController();

  /**
   * @param {ModelPart} part
   * @param {AnyControl} control
   * @param {Scope} scope
   * @param {Page} page
   */
  constructor(part, control, scope, page) {
    this.part = part;
    this.node = this.control = control;
    this.scope = scope;
    this.page = page;
    const { signal } = this.#listeners;
    /** @type {(type: string, listener: (event: Event) => void) => void} */
    const on = (type, listener) => control.addEventListener(type, listener, { signal });
    on("input", () => this.edit());
    on("change", () => this.send());
    on("blur", () => this.send());
    on("keydown", (event) => {
      const { key, isComposing } = /** @type {KeyboardEvent} */ (event);
      if (part.lazy && key === "Escape" && !isComposing) this.#takeBack();
    });
    on("compositionstart", () => (this.#composing = true));
    on("compositionend", () => {
      this.#composing = false;
      // Chromium tells of the input before, others after; what has not changed is not sent again.
      this.edit();
    });
  }

  /** Shows what the field has, unless the person has something newer. */
  refresh() {
    if (this.#edited || this.#running || this.#composing) return;
    const value = this.part.expression.read(this.scope);
    if (value === this.#shown) return;
    this.#shown = value;
    this.control.removeAttribute("aria-invalid");
    show(this.control, value);
  }

  /** The person has typed or chosen something. */
  edit() {
    if (this.#composing) return;
    this.#edited = true;
    const { part, page } = this;
    page.models.add(this);
    if (part.lazy) return;
    page.ahead?.put(this, this.#path(), this.#value());
    if (part.debounce_ms) {
      clearTimeout(this.#pause);
      this.#pause = setTimeout(() => this.send(), part.debounce_ms);
    } else if (!this.#running) this.send();
  }

  /** Escape before anything was written: the field's value is there again. */
  #takeBack() {
    if (!this.#edited) return;
    this.#edited = false;
    this.page.models.delete(this);
    show(this.control, this.part.expression.read(this.scope));
  }

  #path() {
    return addressOf(this.part.address, this.part.rows, this.scope);
  }

  /** Sends an edit that waits; before an action, say, which may be about it. */
  send() {
    clearTimeout(this.#pause);
    this.page.models.delete(this);
    if (!this.#edited || this.#composing) return;
    this.#edited = false;
    const value = this.#value();
    if (value === this.#sending) return;
    void this.#write(value);
  }

  /** @type {ReturnType<typeof setTimeout> | undefined} until the person pauses */
  #pause;
  /** What the last write says that has no outcome. */
  #sending = /** @type {unknown} */ (NOTHING);

  #value() {
    const { control } = this;
    const value = controlValue(control);
    const now = this.part.expression.read(this.scope);
    if (control.type === "checkbox" && Array.isArray(now)) {
      const others = now.filter((item) => String(item) !== control.value);
      return control.checked ? [...others, control.value] : others;
    }
    // The values of options and radios are text; in a field that holds a number they mean one.
    const isNumber = typeof now === "number" && typeof value === "string" && value.trim() !== "" && !Number.isNaN(Number(value));
    return isNumber && (control.type === "radio" || control.localName === "select") ? Number(value) : value;
  }

  /** @param {unknown} value */
  async #write(value) {
    const { control, page } = this;
    const path = this.#path();
    /** @param {string} state */
    const onState = (state) => control.setAttribute("w-state", state);
    this.#running++;
    this.#sending = value;
    page.ahead?.put(this, path, value);
    page.actions.mend(control, this.part.name);
    let refused = false;
    try {
      await page.set(path, value, { secret: control.type === "password", onState });
      control.removeAttribute("aria-invalid");
    } catch (error) {
      refused = true;
      control.setAttribute("aria-invalid", "true");
      page.actions.refuse("$set", error, control, this.part.name);
    }
    this.#running--;
    if (this.#running) return;
    // What was typed meanwhile goes now, unless it is the same again.
    if (this.#edited && !this.part.lazy && !this.part.debounce_ms) this.send();
    if (this.#running) return;
    this.#sending = NOTHING;
    if (!this.#edited || this.part.lazy) page.ahead?.drop(this);
    if (this.#edited) return;
    // What was refused stays, so that it can be mended.
    if (refused) this.#shown = this.part.expression.read(this.scope);
    else {
      this.#shown = NOTHING;
      this.refresh();
    }
  }

  release() {
    this.send();
    this.#listeners.abort();
    this.page.unsubscribe(this.part.outside, this, this.scope);
  }
}

/**
 * What a `w-model` writes to, and when.
 *
 * @param {ModelPart} part as it was found, to be filled in
 * @throws {BindError} when it is wrong
 */
export function readModel(part) {
  const { attribute, element, expression, lists } = part;
  if (!isControl(element) || /^(file|button|submit|reset|image|hidden)$/.test(element.type)) throw new BindError("not_a_control");
  const [, mode, ms] = /^w-model(?:\.(blur|debounce)(?:\.(\d+))?)?$/.exec(attribute) ?? [];
  if (!mode && attribute !== "w-model") throw new BindError("unknown_attribute", "model");
  const [address] = expression.uses;
  if (!expression.plain || address?.base !== "value") throw new BindError("expression", "model");
  const rows = lists.map(placeOf);
  if (rows.slice(0, rows.length - address.hops).includes(null)) throw new BindError("no_key");
  const debounce_ms = mode === "debounce" ? Number(ms ?? DEBOUNCE_MS) : 0;
  Object.assign(part, { address, rows: rows.map((row) => row ?? NOWHERE), lazy: mode === "blur", debounce_ms });
}

/**
 * @param {import("./template.js").ListAround} around
 * @returns {RowPlace | null} null when the list is no plain path, or the key no field of the row
 */
function placeOf({ list, key }) {
  const [of, by] = [list.uses[0], key?.uses[0]];
  const isField = key?.plain && by?.base === "value" && by.hops === 0 && by.path.length === 1;
  return list.plain && of?.base === "value" && isField ? { list: of, key: String(by.path[0]) } : null;
}

/**
 * The way from the document to a field: rows by their keys, never by their places. [SET-2]
 *
 * @param {Dependency} use
 * @param {RowPlace[]} rows the rows around it, outermost first
 * @param {Scope} scope
 * @returns {Path}
 */
function addressOf({ hops, path }, rows, scope) {
  const at = rows.length - 1 - hops;
  const row = rows[at];
  if (!row) return path;
  const of = outer(scope, hops);
  const outside = rows.slice(0, at);
  const list = addressOf(row.list, outside, /** @type {Scope} */ (of.parent));
  return [...list, { [row.key]: own(of.value, row.key) ?? null }, ...path];
}

/**
 * @param {AnyControl} control
 * @param {unknown} value
 */
function show(control, value) {
  const text = value == null ? "" : String(value);
  if (control.type === "checkbox") {
    control.checked = Array.isArray(value) ? value.some((item) => String(item) === control.value) : !!value;
  } else if (control.type === "radio") {
    control.checked = value != null && control.value === text;
  } else if (control.type === "select-multiple") {
    const chosen = Array.isArray(value) ? value.map(String) : [];
    for (const option of control.options) option.selected = chosen.includes(option.value);
  } else if (control.value !== text && controlValue(control) !== value) {
    write(control, text);
  }
}

/**
 * Puts a text into a control and leaves the caret where it was.
 *
 * @param {AnyControl} control
 * @param {string} text
 */
function write(control, text) {
  const focused = control.ownerDocument.activeElement === control;
  // Not all kinds have a caret, and those throw or say null.
  const place = focused && /^(text|search|url|tel|password|textarea)$/.test(control.type);
  const [start, end] = [control.selectionStart, control.selectionEnd];
  control.value = text;
  if (place) control.setSelectionRange(start, end);
}

/** Stands for a row that no address goes through. */
const NOWHERE = { list: { base: /** @type {const} */ ("value"), hops: 0, path: [] }, key: "" };
// A pause between two words, not between two letters.
const DEBOUNCE_MS = 300;
const NOTHING = Symbol();
