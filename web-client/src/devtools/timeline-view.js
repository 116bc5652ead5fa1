/**
 * The timeline as a list with filters, and all there is to know of the item that is selected.
 *
 * @module
 */

import { h } from "../dom.js";
import { List, button, copy, write } from "./list.js";
import { bytesText, pretty, timeText, tookText } from "./text.js";
import { KINDS, filtered, itemText } from "./timeline.js";

/** @import { Item, Kind, Timeline } from "./timeline.js" */

export class TimelineView {
  element;
  /** @type {Timeline} */
  timeline;
  /** Where a replay is, in its own time: what comes later is dimmed. */
  now_ms = Infinity;
  /** Takes a replay to a moment. @type {((at_ms: number) => void) | null} */
  goTo = null;
  #changed;
  #list;
  /** @type {Item[]} what the filter lets through */
  #items = [];
  /** What was there when it was paused. @type {Item[] | null} */
  #paused = null;
  /** @type {Set<Kind>} */
  #kinds = new Set(KINDS.filter((kind) => kind !== "control"));
  /** @type {Item | undefined} */
  #selected;
  /** What was drawn. */
  #drawn = "";
  #filter = h("input", { type: "search", placeholder: "Filter", "aria-label": "Filter the timeline", spellcheck: "false" });
  /** @type {Map<Kind, HTMLButtonElement>} */
  #toggles = new Map();
  #pause = button("Pause", () => this.#setPaused(!this.#paused), { "aria-pressed": "false" });
  #count = h("span", { class: "dim", role: "status" });
  #details = h("section", { class: "details", tabindex: "0", "aria-label": "Details" });
  /** What the details are of, and how much of it there was. */
  #shown = "";

  /**
   * @param {Timeline} timeline
   * @param {() => void} cleared
   * @param {() => void} changed asks for a draw
   */
  constructor(timeline, cleared, changed) {
    this.timeline = timeline;
    this.#changed = changed;
    this.#list = new List({
      name: "timeline",
      role: "listbox",
      label: "Timeline",
      make: () => h("div", {}, ...CELLS.map((name) => h("span", { class: name }))),
      draw: (row, index) => drawItem(row, /** @type {Item} */ (this.#items[index]), this.now_ms),
      chosen: (index) => {
        this.#selected = this.#items[index];
        this.#drawDetails();
      },
    });
    this.#filter.addEventListener("input", () => this.#again());
    for (const kind of KINDS) {
      const toggle = button(`${LABELS[kind]}`, () => {
        if (!this.#kinds.delete(kind)) this.#kinds.add(kind);
        toggle.setAttribute("aria-pressed", String(this.#kinds.has(kind)));
        this.#again();
      }, { class: `toggle ${kind}`, "aria-pressed": String(this.#kinds.has(kind)) });
      this.#toggles.set(kind, toggle);
    }
    const clear = button("Clear", () => {
      this.#selected = undefined;
      if (this.#paused) this.#setPaused(false);
      cleared();
      this.#again();
    });
    const toolbar = h("div", { class: "toolbar" }, this.#filter, h("div", { class: "toggles", role: "group", "aria-label": "Kinds" }, ...this.#toggles.values()),
      this.#count, h("span", { class: "space" }), this.#pause, clear);
    this.element = h("div", { class: "view" }, toolbar, h("div", { class: "split" }, this.#list.element, this.#details));
    this.#drawDetails();
  }

  focus() {
    this.#filter.focus();
  }

  draw() {
    const { revision } = this.timeline;
    if (this.#drawn === `${revision} ${this.now_ms}`) return;
    this.#drawn = `${revision} ${this.now_ms}`;
    const all = this.#paused ?? this.timeline.items;
    // Before there are more: one who looks at the end goes on doing so, one who reads above is left alone.
    const follows = !this.#paused && this.#list.isAtEnd;
    this.#items = filtered(all, this.#kinds, this.#filter.value);
    this.#list.selected = this.#selected ? this.#items.indexOf(this.#selected) : -1;
    this.#list.refresh(this.#items.length);
    if (this.now_ms < Infinity) this.#list.show(Math.max(0, this.#items.findLastIndex(({ at_ms }) => at_ms <= this.now_ms)));
    else if (follows) this.#list.showEnd();
    const fresh = this.#paused ? this.timeline.items.filter(({ id }) => id > (this.#paused?.at(-1)?.id ?? 0)).length : 0;
    const hidden = all.length - this.#items.length;
    write(this.#count, [this.#paused && `paused, ${fresh} more`, hidden && `${hidden} hidden`].filter(Boolean).join(" · "));
    this.#drawDetails();
  }

  /** @param {boolean} paused */
  #setPaused(paused) {
    this.#paused = paused ? [...this.timeline.items] : null;
    this.#pause.setAttribute("aria-pressed", String(paused));
    write(this.#pause, paused ? "Go on" : "Pause");
    this.#again();
  }

  #again() {
    this.#drawn = "";
    this.#changed();
  }

  #drawDetails() {
    const item = this.#selected;
    const { goTo } = this;
    const state = item ? `${goTo ? "replay" : ""} ${item.id} ${item.life.length} ${item.lines.length} ${item.raw.length} ${item.badge} ${item.detail}` : "";
    if (state === this.#shown && this.#details.firstChild) return;
    this.#shown = state;
    if (!item) {
      this.#details.replaceChildren(h("p", { class: "dim" }, "Select a line to see what it is made of."));
      return;
    }
    const first = item.life[0]?.at_ms ?? 0;
    const copied = button("Copy", () => copy(itemText(item), copied));
    const facts = [timeText(item.at_ms), item.bytes ? bytesText(item.bytes) : "", item.latency_ms === null ? "" : tookText(item.latency_ms)];
    this.#details.replaceChildren(
      h("div", { class: "line" }, h("strong", {}, item.title), h("span", { class: `badge ${item.tone}` }, item.badge), h("span", { class: "space" }),
        ...(goTo ? [button("Show this moment", () => goTo(item.at_ms))] : []), copied),
      h("p", { class: "dim" }, facts.filter(Boolean).join(" · ")),
      ...(item.life.length ? [h("ol", { class: "life" }, ...item.life.map(({ state, at_ms }) => h("li", {}, h("span", {}, state), h("span", { class: "dim" }, `+${tookText(at_ms - first)}`))))] : []),
      ...(item.lines.length ? [h("pre", {}, item.lines.join("\n"))] : item.detail ? [h("pre", {}, item.detail)] : []),
      ...item.raw.map((message) => this.#message(message)),
    );
  }

  /** @param {unknown} message */
  #message(message) {
    const text = h("pre");
    const details = h("details", {}, h("summary", {}, Array.isArray(message) && typeof message[0] === "string" ? `Message "${message[0]}"` : "As it came"), text);
    // A snapshot may be large, and mostly nobody looks at it.
    details.addEventListener("toggle", () => write(text, details.open ? pretty(message) : ""));
    return details;
  }
}

/**
 * @param {HTMLElement} row
 * @param {Item} item
 * @param {number} now_ms
 */
function drawItem(row, { kind, at_ms, title, detail, badge, tone, bytes, latency_ms }, now_ms) {
  const texts = [timeText(at_ms), kind, title, detail, badge, bytes ? bytesText(bytes) : "", latency_ms === null ? "" : tookText(latency_ms)];
  texts.forEach((text, at) => write(/** @type {Element} */ (row.children[at]), text));
  row.className = `row ${kind}${at_ms > now_ms ? " later" : ""}`;
  /** @type {Element} */ (row.children[4]).className = `badge ${tone}`;
}

const CELLS = ["time", "kind", "title", "detail", "badge", "bytes", "latency"];

/** @type {{ [kind in Kind]: string }} */
const LABELS = { action: "Actions", delta: "Deltas", event: "Events", job: "Jobs", connection: "Connection", control: "Control" };
