/**
 * Events of the page become actions of the session, and what becomes of an action is shown on its element.
 *
 * One listener a kind of event, on the bound root, whatever the number of rows. While its action is under way an
 * element has `aria-busy`, and `w-state` says how far it came: queued, sent, applied, saved, refused or failed. What
 * was refused or failed is told by a `w-refused` event that bubbles from the element; nothing is silent.
 *
 * @module
 */

import { empty, fieldsOf } from "./fields.js";
import { labels } from "./labels.js";
import { later, parts } from "./later.js";
import { HELD, KEYS } from "./template.js";
import { removing } from "./view.js";

/** @typedef {import("./expression.js").Scope} Scope */
/** @typedef {import("./template.js").ActionPart} ActionPart */
/** @typedef {import("./template.js").Handler} Handler */

/**
 * @typedef {object} Sender what this needs of a session
 * @property {(name: string, payload: unknown, options: SendOptions) => Promise<unknown>} action
 * @property {(job: string) => Promise<unknown> | unknown} cancel
 * @property {(job: string | null) => Promise<unknown> | unknown} dismiss
 * @property {(path: import("./model.js").Path, value: unknown, options: SendOptions) => Promise<unknown>} set
 */

/** @typedef {{ secret?: boolean | undefined, onState?: (state: string) => void }} SendOptions */

/**
 * An element with `w-on`.
 *
 * @typedef {object} Bound
 * @property {Actions} owner another tree may be bound around this one
 * @property {ActionPart} part
 * @property {Scope} scope
 * @property {Map<Handler, number>} fired when, by the event's own clock
 * @property {ReturnType<typeof setTimeout>} [rest] until the last of what was throttled is sent
 * @property {number} running
 */

/**
 * What a person had filled in, in a form or a control, when an action was asked for.
 *
 * @typedef {object} Filled
 * @property {import("./fields.js").Field[]} fields
 * @property {() => void} empty what `w-reset` does, once
 * @property {() => void} [restore] puts back what was there
 */

/**
 * The detail of a `w-refused` event; shown when an element with `w-error` tells it.
 *
 * @typedef {{ action: string, code: string, text: string, shown?: boolean }} Refusal
 */

/**
 * The detail of a `w-files` event: an action went out from a form or control with these files, of which it told only
 * names, sizes and types; what carries them over listens here, and learns from the outcome where they are wanted.
 *
 * @typedef {{ action: string, files: { [name: string]: File[] }, outcome: Promise<unknown> }} Files
 */

export class Actions {
  /** @type {Set<string>} */
  #types = new Set();
  /** @type {WeakSet<ActionPart>} those whose types are listened for */
  #parts = new WeakSet();

  /**
   * @param {Element} root
   * @param {Sender} app
   * @param {object} page
   * @param {(event: Event | null) => void} page.during makes `$event` known
   * @param {(name: string, value: unknown) => void} page.assign
   * @param {(text: string) => boolean} page.confirm
   * @param {() => void} page.moved an action went out, or has its outcome
   * @param {() => void} page.settle sends what was typed and not sent, which an action may be about
   */
  constructor(root, app, page) {
    this.root = root;
    this.app = app;
    this.page = page;
  }

  /**
   * @param {ActionPart} part
   * @param {Element} element
   * @param {Scope} scope
   */
  listen(part, element, scope) {
    if (!this.#parts.has(part)) {
      this.#parts.add(part);
      for (const { type } of part.handlers) {
        this.#types.add(type);
        // Adding the same listener again does nothing.
        this.root.addEventListener(type, this.#handle, { capture: STAYS.test(type) });
      }
    }
    /** @type {Bound} */
    const bound = { owner: this, part, scope, fired: NONE_FIRED, running: 0 };
    // On the element itself, so that both go together; a WeakMap of 10,000 rows costs more and slows the collector.
    /** @type {BoundElement} */ (element)[BOUND] = bound;
  }

  release() {
    for (const type of this.#types) this.root.removeEventListener(type, this.#handle, { capture: STAYS.test(type) });
    this.#types.clear();
  }

  /** @param {Event} event */
  #handle = (event) => {
    if (removing) return;
    // The path as it was: a handler may change the tree.
    for (const at of event.composedPath()) {
      const element = /** @type {BoundElement} */ (at);
      const bound = element[BOUND];
      for (const handler of bound?.owner === this ? bound.part.handlers : []) {
        if (!bound || handler.type !== event.type || !passes(handler, element, event)) continue;
        const { modifiers } = handler;
        if (event.type === "submit" || modifiers.has("prevent")) event.preventDefault();
        if (modifiers.has("stop")) event.stopPropagation();
        this.#run(handler, bound, element, event);
      }
      if (at === this.root || !event.bubbles || event.cancelBubble) return;
    }
  };

  /**
   * @param {Handler} handler
   * @param {Bound} bound
   * @param {BoundElement} element
   * @param {Event} event
   * @param {number} [now] later than the event when it was kept back
   */
  #run(handler, bound, element, event, now = event.timeStamp) {
    const { part, scope } = bound;
    const last = bound.fired.get(handler);
    if (event.type === "input") clearTimeout(bound.rest);
    if (last !== undefined) {
      if (handler.modifiers.has("once")) return;
      const wait = last + handler.throttle_ms - now;
      // What a person drags comes to rest somewhere, and that value is the one that counts; a click too many is dropped.
      if (wait > 0 && event.type === "input") bound.rest = setTimeout(() => element.isConnected && this.#run(handler, bound, element, event, now + wait), wait);
      if (wait > 0) return;
    }
    if (part.disable && bound.running) return;
    if (part.confirm !== null && !this.page.confirm(part.confirm)) return;
    if (handler.throttle_ms || handler.modifiers.has("once")) {
      bound.fired = new Map(bound.fired).set(handler, now);
    }
    const sends = handler.steps.some((step) => "action" in step);
    const isForm = element.localName === "form";
    const all = part.forms && sends ? fieldsOf(element, part.reset || isForm) : [];
    /** @type {Filled} */
    const filled = {
      fields: isForm ? all : all.filter(({ control }) => control === element),
      empty: () => (filled.restore ??= empty(element, all)),
    };
    const act = () => {
      this.page.during(event);
      try {
        for (const step of handler.steps) {
          if ("local" in step) this.page.assign(step.local, step.expression.read(scope));
          else {
            this.page.settle();
            void this.#send(step.action, payload(part, scope, element, event, filled.fields), bound, element, filled);
          }
        }
      } finally {
        this.page.during(null);
      }
    };
    if (!part.forms || !sends || parts.forms) return act();
    // On a page that does not hide itself until its first values are there, somebody may be that quick, and type on.
    if (part.reset) {
      this.page.settle();
      filled.empty();
    }
    bound.running++;
    later("forms")
      .finally(() => bound.running--)
      .then(act, () => {
        filled.restore?.();
        this.refuse(nameOf(handler), { code: "not_loaded", text: labels.not_loaded }, element);
      });
  }

  /**
   * @param {string} action
   * @param {unknown} value
   * @param {Bound} bound
   * @param {Element} element
   * @param {Filled} filled
   */
  async #send(action, value, bound, element, filled) {
    const { part } = bound;
    const { forms } = part.forms ? parts : NO_PARTS;
    const enable = part.disable && forms?.disable(element);
    bound.running++;
    // With `w-busy` it tells of a job, which goes on when the action is through.
    const tells = !element.hasAttribute("w-busy");
    if (tells) element.setAttribute("aria-busy", "true");
    this.mend(element, action);
    const secret = part.secret || (element.localName === "form" && forms?.hasPassword(element));
    /** @param {string} state */
    const onState = (state) => element.setAttribute("w-state", state);
    try {
      const outcome =
        action === "$cancel" ? this.app.cancel(String(value))
        : action === "$dismiss" ? this.app.dismiss(value === undefined || value === null ? null : String(value))
        : this.app.action(action, value, { secret, onState });
      this.page.moved();
      const files = forms?.filesOf(filled.fields);
      if (files) {
        const detail = /** @type {Files} */ ({ action, files, outcome });
        element.dispatchEvent(new CustomEvent("w-files", { bubbles: true, detail }));
      }
      // Now, and not with the outcome: whoever types on at once does so into an empty field.
      if (part.reset) filled.empty();
      await outcome;
    } catch (error) {
      filled.restore?.();
      this.refuse(action, error, element);
    } finally {
      bound.running--;
      if (bound.running === 0 && tells) element.removeAttribute("aria-busy");
      if (enable) enable();
      this.page.moved();
    }
  }

  /**
   * A new try: what was said of the last one holds no more.
   *
   * @param {Element} element
   * @param {string} name of the action, or the field as its `w-model` says it
   */
  mend(element, name) {
    const place = parts.forms?.placeOf(element, this.root, name);
    if (place?.textContent) place.textContent = "";
  }

  /**
   * @param {string} action
   * @param {unknown} error
   * @param {Element} element
   * @param {string} [name] of the field, when it is one that was refused
   */
  refuse(action, error, element, name = action) {
    const { code = "error", text, message } = /** @type {{ code?: string, text?: string, message?: string }} */ (error);
    /** @type {Refusal} */
    const detail = { action, code, text: text || message || code };
    if (parts.forms?.explain(element, this.root, name, detail.text)) detail.shown = true;
    if (!/^(refused|failed)$/.test(element.getAttribute("w-state") ?? "")) element.setAttribute("w-state", "refused");
    // A row that is gone by now bubbles to nobody.
    const from = element.isConnected ? element : this.root;
    from.dispatchEvent(new CustomEvent("w-refused", { bubbles: true, cancelable: true, detail }));
  }
}

/**
 * @param {Handler} handler
 * @param {Element} element
 * @param {Event} event
 */
function passes({ modifiers }, element, event) {
  const { key, isComposing } = /** @type {KeyboardEvent} */ (event);
  if (modifiers.has("self") && event.target !== element) return false;
  if (HELD.some((name) => modifiers.has(name) && !(/** @type {KeyboardEvent} */ (event)[`${name}Key`]))) return false;
  const keys = [...modifiers].filter((modifier) => KEYS[modifier]);
  // Enter that ends a composition (Japanese, Chinese, Korean input) belongs to the input method.
  return !keys.length || (!isComposing && keys.some((modifier) => KEYS[modifier] === key));
}

/**
 * `w-arg` is the payload; a form sends its fields, a control its value; `w-arg:name` adds a member.
 *
 * @param {ActionPart} part
 * @param {Scope} scope
 * @param {Element} element
 * @param {Event} event
 * @param {import("./fields.js").Field[]} fields
 */
function payload(part, scope, element, event, fields) {
  const { forms } = part.forms ? parts : NO_PARTS;
  const named = part.named.map(([name, expression]) => [name, expression.read(scope) ?? null]);
  let base = part.whole ? part.whole.read(scope) ?? null : null;
  if (forms && event.type === "submit" && element.localName === "form") {
    const { submitter } = /** @type {SubmitEvent} */ (event);
    const values = forms.formValues(fields, submitter);
    base = isObject(base) ? { ...base, ...values } : values;
  } else if (!part.whole && !named.length && forms?.isFilledIn(element)) {
    return forms.controlValue(fields[0] ?? element);
  }
  if (!named.length) return base;
  return { ...(isObject(base) ? base : {}), ...Object.fromEntries(named) };
}

/** @param {Handler} handler */
function nameOf({ steps }) {
  return steps.map((step) => ("action" in step ? step.action : step.local)).join();
}

/**
 * @param {unknown} value
 * @returns {value is object}
 */
function isObject(value) {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** @type {import("./later.js").Parts} */
const NO_PARTS = {};
const BOUND = Symbol("windlass");
/** @typedef {Element & { [BOUND]?: Bound }} BoundElement */

/** @type {Map<Handler, number>} */
const NONE_FIRED = new Map();

/** Events that do not bubble, which the root sees on their way down only. */
const STAYS = /^(focus|blur|mouseenter|mouseleave|pointerenter|pointerleave|load|error|toggle|beforetoggle|scroll|scrollend|invalid|close|cancel|play|pause|ended|timeupdate)$/;
