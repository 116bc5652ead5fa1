/**
 * A list of which only the rows are made that can be seen, so that ten thousand are as quick as ten.
 *
 * It has one tab stop; arrows, page keys, Home and End move the selection, which screen readers follow by
 * `aria-activedescendant`. What a row looks like is its owner's business.
 *
 * @module
 */

import { h } from "../dom.js";

/**
 * @typedef {object} ListOptions
 * @property {string} name of this list, for ids
 * @property {"tree" | "listbox"} role
 * @property {string} label
 * @property {() => HTMLElement} make a row, without content
 * @property {(row: HTMLElement, index: number) => void} draw its content
 * @property {(index: number) => void} chosen the selection has moved
 * @property {(event: KeyboardEvent, index: number) => boolean} [key] true when it was for the owner
 * @property {(event: MouseEvent, index: number) => void} [clicked]
 */

export class List {
  element;
  selected = -1;
  #options;
  #ground = h("div", { class: "ground", role: "none" });
  /** @type {Map<number, HTMLElement>} what is made, by index */
  #rows = new Map();
  /** @type {HTMLElement[]} rows that nothing is shown in */
  #spare = [];
  #count = 0;

  /** @param {ListOptions} options */
  constructor(options) {
    this.#options = options;
    const { role, label } = options;
    this.element = h("div", { class: `list ${role}`, role, "aria-label": label, tabindex: "0" }, this.#ground);
    this.element.addEventListener("scroll", () => this.#draw(), { passive: true });
    this.element.addEventListener("keydown", (event) => this.#keydown(event));
    // A double click opens; it should not also mark a word.
    this.element.addEventListener("mousedown", (event) => event.detail > 1 && event.preventDefault());
    this.element.addEventListener("click", (event) => {
      const row = /** @type {Element} */ (event.target).closest(".row");
      if (!row) return;
      const index = Number(/** @type {HTMLElement} */ (row).dataset.index);
      this.select(index);
      options.clicked?.(event, index);
    });
    new ResizeObserver(() => this.#draw()).observe(this.element);
  }

  /** Whether the end can be seen, so that what is added should be. */
  get isAtEnd() {
    const { scrollTop, scrollHeight, clientHeight } = this.element;
    return scrollTop + clientHeight >= scrollHeight - ROW_PX;
  }

  /** @param {number} count of rows, all of which may be others than before */
  refresh(count) {
    if (count !== this.#count) this.#ground.style.height = `${count * ROW_PX}px`;
    this.#count = count;
    if (this.selected >= count) this.selected = count - 1;
    this.#draw();
  }

  /** @param {number} index @param {boolean} [tell] */
  select(index, tell = true) {
    if (index < 0 || index >= this.#count) return;
    this.selected = index;
    this.show(index);
    this.#draw();
    if (tell) this.#options.chosen(index);
  }

  /** @param {number} index scrolled into sight */
  show(index) {
    const { scrollTop, clientHeight } = this.element;
    const top = index * ROW_PX;
    if (top < scrollTop) this.element.scrollTop = top;
    else if (top + ROW_PX > scrollTop + clientHeight) this.element.scrollTop = top + ROW_PX - clientHeight;
  }

  showEnd() {
    this.element.scrollTop = this.element.scrollHeight;
  }

  #draw() {
    const { scrollTop, clientHeight } = this.element;
    if (!clientHeight) return;
    const from = Math.max(0, Math.floor(scrollTop / ROW_PX) - SPARE_ROWS);
    const to = Math.min(this.#count, Math.ceil((scrollTop + clientHeight) / ROW_PX) + SPARE_ROWS);
    for (const [index, row] of this.#rows) {
      if (index >= from && index < to) continue;
      this.#rows.delete(index);
      this.#spare.push(row);
      row.remove();
    }
    for (let index = from; index < to; index++) {
      let row = this.#rows.get(index);
      if (!row) {
        row = this.#spare.pop() ?? this.#make();
        row.dataset.index = String(index);
        row.id = `${this.#options.name}-${index}`;
        row.style.transform = `translateY(${index * ROW_PX}px)`;
        this.#rows.set(index, row);
        this.#ground.append(row);
      }
      row.setAttribute("aria-selected", String(index === this.selected));
      this.#options.draw(row, index);
    }
    if (this.#rows.has(this.selected)) this.element.setAttribute("aria-activedescendant", `${this.#options.name}-${this.selected}`);
    else this.element.removeAttribute("aria-activedescendant");
  }

  #make() {
    const row = this.#options.make();
    row.classList.add("row");
    row.setAttribute("role", this.#options.role === "tree" ? "treeitem" : "option");
    return row;
  }

  /** @param {KeyboardEvent} event */
  #keydown(event) {
    const { key, ctrlKey, metaKey, altKey } = event;
    if (event.target !== this.element || ctrlKey || metaKey || altKey) return;
    if (this.#options.key?.(event, this.selected)) {
      event.preventDefault();
      return;
    }
    const page = Math.max(1, Math.floor(this.element.clientHeight / ROW_PX) - 1);
    const moves = /** @type {{ [key: string]: number }} */ ({
      ArrowDown: this.selected + 1,
      ArrowUp: this.selected - 1,
      PageDown: this.selected + page,
      PageUp: this.selected - page,
      Home: 0,
      End: this.#count - 1,
    });
    const to = moves[key];
    if (to === undefined) return;
    event.preventDefault();
    this.select(Math.min(Math.max(0, to), this.#count - 1));
  }
}

/**
 * The same text put in again would cost the browser a layout.
 *
 * @param {Element} element
 * @param {string} text
 */
export function write(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/**
 * @param {string} text
 * @param {() => void} clicked
 * @param {{ [attribute: string]: string }} [attributes]
 */
export function button(text, clicked, attributes = {}) {
  const element = h("button", { type: "button", ...attributes }, text);
  element.addEventListener("click", clicked);
  return element;
}

/**
 * Puts a text on the clipboard, also where only a secure page may, and says so on the button for a moment.
 *
 * @param {string} text
 * @param {HTMLElement} told
 */
export async function copy(text, told) {
  let done = true;
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    const area = h("textarea", { "aria-hidden": "true" });
    area.value = text;
    told.after(area);
    area.select();
    done = document.execCommand("copy");
    area.remove();
    told.focus();
  }
  const before = told.dataset.text ?? told.textContent ?? "";
  told.dataset.text = before;
  write(told, done ? "Copied" : "Not allowed");
  setTimeout(() => write(told, before), COPIED_MS);
}

/** As the style says it. */
export const ROW_PX = 24;
// Beyond what is seen, so that a slow scroll shows no gap.
const SPARE_ROWS = 6;
const COPIED_MS = 1_200;
