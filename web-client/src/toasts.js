/**
 * Notifications: `<windlass-toasts>`, a stack of cards in the corner.
 *
 * Each is told to screen readers once, politely, or at once when it is a warning or an error; an update of a card that
 * keeps its level is not told again, so a progress text does not chatter. Time stands still while the pointer or the
 * focus is on the stack and while nobody sees the page; errors stay until they are closed.
 *
 * @module
 */

import { Base, fill, h, mount } from "./dom.js";
import { words } from "./words.js";

/**
 * The body of a `notify` event.
 *
 * @typedef {object} Notify
 * @property {string} text
 * @property {string} [level] info, success, warning or error
 * @property {string} [title]
 * @property {string} [id] a later one with the same id updates the first
 * @property {number} [duration_ms] 0: until it is closed
 */

/**
 * @typedef {object} Toast
 * @property {HTMLElement} card
 * @property {string} level
 * @property {string | undefined} id
 * @property {number} remaining_ms of the time that it is shown; Infinity: until it is closed
 * @property {number} since when it began to run down
 * @property {ReturnType<typeof setTimeout> | undefined} timer
 */

/**
 * Shows what the session notifies.
 *
 * @param {EventTarget} app
 * @returns {Toasts}
 */
export function toasts(app) {
  const stack = mount("windlass-toasts", Toasts);
  for (const type of ["notify", "close_notify", "events_lost"]) {
    app.addEventListener(type, (event) => stack.tell(type, /** @type {CustomEvent} */ (event).detail));
  }
  return stack;
}

export class Toasts extends Base {
  /** @type {Toast[]} oldest first */
  #toasts = [];
  #held = false;
  #list = h("ol", { part: "list" });
  #region = h("section", {}, this.#list);
  #polite = h("div", { class: "unseen", role: "status" });
  #assertive = h("div", { class: "unseen", role: "alert" });
  /** @type {Element | null} where the focus was before it came here */
  #before = null;
  #leave = new AbortController();

  constructor() {
    super();
    fill(this, RULES, this.#polite, this.#assertive, this.#region);
  }

  connectedCallback() {
    this.#leave = new AbortController();
    const { signal } = this.#leave;
    for (const type of ["pointerover", "pointerout", "focusin", "focusout"]) {
      this.#list.addEventListener(type, (event) => this.#point(/** @type {FocusEvent} */ (event)), { signal });
    }
    document.addEventListener("visibilitychange", () => this.#hold(this.#held), { signal });
  }

  disconnectedCallback() {
    this.#leave.abort();
    for (const toast of this.#toasts) clearTimeout(toast.timer);
  }

  /**
   * @param {string} type of an event of the session; of one that is no toast's nothing is shown
   * @param {{ id: string, count: number } & Notify} detail
   */
  tell(type, detail) {
    if (type === "notify") this.show(detail);
    else if (type === "close_notify") this.close(detail.id);
    else if (type === "events_lost") this.show({ level: "warning", text: words().events_lost(detail.count), id: type });
  }

  /** @param {Notify} notify */
  show({ text, level = "info", title = "", id, duration_ms }) {
    if (!Object.hasOwn(ICONS, level)) level = "info";
    const old = id === undefined ? undefined : this.#toasts.find((toast) => toast.id === id);
    const shown = duration_ms ?? DURATION_MS[level] ?? 0;
    /** @type {Toast} */
    const toast = old ?? { card: h("li"), level, id, remaining_ms: 0, since: 0, timer: undefined };
    const told = old?.level === level;
    toast.level = level;
    toast.remaining_ms = shown > 0 ? shown : Infinity;
    this.#region.setAttribute("aria-label", words().notifications);
    this.#draw(toast, title, text);
    if (!old) {
      this.#toasts.push(toast);
      this.#list.append(toast.card);
      this.#raise();
    }
    this.#run(toast);
    // A card in the way of a full stack: the oldest that is no error, or the oldest.
    while (this.#toasts.length > TOASTS_MAX) {
      const spare = this.#toasts.find((other) => other.level !== "error" && other !== toast);
      this.#remove(/** @type {Toast} */ (spare ?? this.#toasts[0]));
    }
    if (!told) this.#tell(level, [words().levels[level], title, text].filter(Boolean).join(": "));
  }

  /** @param {string} id */
  close(id) {
    const toast = this.#toasts.find((other) => other.id === id);
    if (toast) this.#remove(toast);
  }

  /**
   * @param {Toast} toast
   * @param {string} title
   * @param {string} text
   */
  #draw(toast, title, text) {
    const { card, level } = toast;
    card.className = `card ${level}`;
    card.setAttribute("part", `toast ${level}`);
    const icon = h("i", { part: "icon", "aria-hidden": "true" }, ICONS[level] ?? "");
    const body = h("div", { class: "body", part: "body" });
    if (title) body.append(h("strong", { part: "title" }, title));
    body.append(h("span", { part: "text" }, text));
    // The button stays: it may have the focus.
    let button = card.lastElementChild;
    if (!button) {
      button = h("button", { type: "button", part: "close", class: "close", "aria-label": words().close }, "×");
      button.addEventListener("click", () => this.#remove(toast));
      card.addEventListener("keydown", (event) => event.key === "Escape" && this.#remove(toast));
    }
    card.replaceChildren(icon, body, button);
  }

  /** @param {Toast} toast */
  #remove(toast) {
    const at = this.#toasts.indexOf(toast);
    if (at < 0) return;
    clearTimeout(toast.timer);
    const focused = toast.card.contains(/** @type {ShadowRoot} */ (this.shadowRoot).activeElement);
    this.#toasts.splice(at, 1);
    toast.card.remove();
    if (focused) {
      // To the next card, and after the last back to where the person came from.
      const next = this.#toasts[at] ?? this.#toasts[at - 1];
      const target = next ? next.card.querySelector("button") : this.#before;
      /** @type {HTMLElement | null} */ (target)?.focus();
    }
    // No event tells that the pointer is no longer on what was under it; if another card is there now, one does.
    this.#hold(this.#list.matches(":focus-within"));
    if (!this.#toasts.length && this.popover) this.hidePopover?.();
  }

  /** @param {FocusEvent} event */
  #point({ type, relatedTarget }) {
    if (type === "focusin" && !this.#list.contains(/** @type {Node | null} */ (relatedTarget))) {
      this.#before = /** @type {Element | null} */ (relatedTarget);
    }
    this.#hold(this.#list.matches(":hover, :focus-within"));
  }

  /** @param {boolean} held */
  #hold(held) {
    this.#held = held;
    for (const toast of this.#toasts) {
      if (held || document.hidden) this.#stop(toast);
      else if (toast.timer === undefined) this.#run(toast);
    }
  }

  /** @param {Toast} toast */
  #run(toast) {
    clearTimeout(toast.timer);
    toast.timer = undefined;
    if (this.#held || document.hidden || toast.remaining_ms === Infinity) return;
    toast.since = Date.now();
    toast.timer = setTimeout(() => this.#remove(toast), toast.remaining_ms);
  }

  /** @param {Toast} toast */
  #stop(toast) {
    if (toast.timer === undefined) return;
    clearTimeout(toast.timer);
    toast.timer = undefined;
    toast.remaining_ms = Math.max(toast.remaining_ms - (Date.now() - toast.since), LEAST_MS);
  }

  /**
   * Adds to a live region: what is put there a second time in the same words is said again only when it is another node.
   *
   * @param {string} level
   * @param {string} text
   */
  #tell(level, text) {
    const region = level === "error" || level === "warning" ? this.#assertive : this.#polite;
    region.append(h("div", {}, text));
    while (region.childElementCount > TOASTS_MAX) region.firstElementChild?.remove();
  }

  /** Into the top layer, above a dialog that opened meanwhile. */
  #raise() {
    if (!this.showPopover || this.matches(":focus-within")) return;
    this.popover = "manual";
    if (this.matches(":popover-open")) this.hidePopover();
    this.showPopover();
  }
}

/** @type {{ [level: string]: string }} */
const ICONS = { info: "i", success: "✓", warning: "!", error: "×" };

// More cover the page, and nobody reads six at once.
const TOASTS_MAX = 5;
// Time to find and read a sentence; what went wrong waits for the person.
/** @type {{ [level: string]: number }} */
const DURATION_MS = { info: 6000, success: 6000, warning: 12000, error: 0 };
// After a pause a card does not vanish under the pointer that has just left it.
const LEAST_MS = 1500;

const RULES = /* css */ `
:host {
  inset: auto;
  inset-block-end: 1rem;
  inset-inline-end: 1rem;
  width: min(24rem, calc(100vw - 2rem));
  height: auto;
  display: block;
}
ol { list-style: none; margin: 0; padding: 0; display: flex; flex-direction: column; gap: 0.5rem; }
.card { display: flex; gap: 0.625rem; align-items: flex-start; padding: 0.75rem 0.5rem 0.75rem 0.875rem; border-inline-start: 4px solid var(--accent); }
i {
  flex: none;
  width: 1.25rem;
  border-radius: 50%;
  background: var(--accent);
  color: var(--surface);
  text-align: center;
  font: 700 0.8125rem/1.25rem system-ui, sans-serif;
}
.body { flex: 1; min-width: 0; display: flex; flex-direction: column; overflow-wrap: anywhere; white-space: pre-line; max-height: 40vh; overflow-y: auto; }
strong { font-weight: 600; }
.close { margin-block: -0.25rem; }
`;
