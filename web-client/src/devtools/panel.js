/**
 * `<windlass-devtools>`: the panel at the page's edge that holds the views, and what opens and closes it.
 *
 * It lies over the page in a shadow root beside `<body>`: nothing of the page moves, no rule of its style sheet
 * reaches in, and no key that is pressed in here is heard out there.
 *
 * @module
 */

import { Base, adopt, drawing, h } from "../dom.js";
import { button, write } from "./list.js";
import { NetworkView } from "./network-view.js";
import { Probe } from "./probe.js";
import { Replay } from "./replay.js";
import { SessionView } from "./session-view.js";
import { StateView } from "./state-view.js";
import { STYLE } from "./style.js";
import { TimelineView } from "./timeline-view.js";
import { timelineOf } from "./timeline.js";

/** @import { Inspectable } from "./probe.js" */
/** @import { Recording } from "./recording.js" */

/** @typedef {{ element: HTMLElement, focus: () => void, draw: () => void }} View */
/** @typedef {"bottom" | "right"} Dock */

export class Panel extends Base {
  /** @type {Panel | null} the one that is open */
  static #open = null;

  /**
   * @param {Inspectable} app
   * @param {boolean} focus whether it gets the focus
   * @returns {boolean} whether it is open now
   */
  static toggle(app, focus) {
    if (!customElements.get(NAME)) customElements.define(NAME, Panel);
    const open = Panel.#open;
    if (open?.isConnected) {
      open.close();
      if (open.#app === app) return false;
    }
    const panel = new Panel(app);
    Panel.#open = panel;
    document.documentElement.append(panel);
    panel.#opened(focus);
    return true;
  }

  #app;
  #probe;
  /** @type {Replay | null} */
  replay = null;
  /** @type {Map<string, { tab: HTMLButtonElement, body: HTMLElement, view: View }>} */
  #views = new Map();
  #timelineView;
  #network;
  #kept = keptSettings();
  #framed = false;
  /** @type {Element | null} */
  #before = null;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #tick;
  #uncommit;
  #leave = new AbortController();
  #dot = h("i", { class: "dot" });
  #status = h("span");
  #simulated = h("span", { class: "badge warning", hidden: "" });
  #replayed = h("span", { class: "badge warning", hidden: "" }, "Replay: nothing is sent");
  #grip = h("div", { class: "grip", role: "separator", tabindex: "0", "aria-label": "Size of the devtools" });
  #dock = button("", () => this.#setDock(this.#kept.dock === "bottom" ? "right" : "bottom"), { class: "icon" });

  /** @param {Inspectable} app */
  constructor(app) {
    super();
    this.#app = app;
    this.#probe = new Probe(app, () => this.#changed());
    const again = () => this.#changed();
    const state = new StateView(app, again);
    this.#timelineView = new TimelineView(this.#probe.timeline, () => this.#probe.clear(), again);
    this.#network = new NetworkView(this.#probe.link, this.#probe.timeline);
    const root = this.attachShadow({ mode: "open" });
    adopt(root, STYLE);
    const tabs = h("div", { class: "tabs", role: "tablist", "aria-label": "Devtools" });
    const close = button("", () => this.close(), { class: "icon", "aria-label": "Close the devtools", title: "Close (Alt+Shift+W)" });
    close.append(drawing("M5 5l10 10M15 5L5 15"));
    const header = h("header", {}, drawing("M10 4v13M4 11c0 8 12 8 12 0M7 7h6M10 4a1 1 0 1 0 0-2 1 1 0 0 0 0 2"), tabs,
      h("div", { class: "chips", role: "status" }, this.#replayed, this.#simulated, h("span", { class: "connection" }, this.#dot, this.#status)), this.#dock, close);
    root.append(h("aside", { class: "panel", "aria-label": "Windlass devtools" }, this.#grip, header));
    const session = new SessionView(this.#probe, /** @type {ConstructorParameters<typeof SessionView>[1]} */ (/** @type {unknown} */ (this)));
    for (const [name, view] of /** @type {[string, View][]} */ ([["State", state], ["Timeline", this.#timelineView], ["Network", this.#network], ["Recording", session]])) {
      const tab = button(name, () => this.#show(name), { role: "tab", id: `tab-${name}`, "aria-controls": `body-${name}` });
      const body = h("div", { class: "body", role: "tabpanel", id: `body-${name}`, "aria-labelledby": `tab-${name}` }, view.element);
      tabs.append(tab);
      root.querySelector("aside")?.append(body);
      this.#views.set(name, { tab, body, view });
    }
    tabs.addEventListener("keydown", (event) => this.#moveTab(event));
    this.#uncommit = app.onCommit((commit) => {
      state.committed(commit);
      this.#changed();
    });
    this.#resizable();
    this.#setDock(this.#kept.dock);
    this.#show(this.#views.has(this.#kept.tab) ? this.#kept.tab : "State");
  }

  /** @param {boolean} focus */
  #opened(focus) {
    const { signal } = this.#leave;
    // The page's own shortcuts are not for what is typed in here.
    for (const type of ["keydown", "keyup", "keypress"]) {
      this.addEventListener(type, (event) => {
        const { altKey, shiftKey, code, type } = /** @type {KeyboardEvent} */ (event);
        if (type === "keydown" && altKey && shiftKey && code === "KeyW") this.close();
        event.stopPropagation();
      }, { signal });
    }
    this.#app.addEventListener("connection", () => this.#changed(), { signal });
    this.#before = document.activeElement;
    if (focus) this.#views.get(this.#kept.tab)?.view.focus();
    this.#changed();
  }

  close() {
    const hadFocus = this.shadowRoot?.activeElement;
    this.end();
    this.#leave.abort();
    this.#uncommit();
    this.#probe.release();
    clearTimeout(this.#tick);
    makeRoom("bottom", 0);
    this.remove();
    Panel.#open = null;
    if (hadFocus && this.#before?.isConnected) /** @type {HTMLElement} */ (this.#before).focus();
  }

  /** @param {Recording} recording takes the page over */
  begin(recording) {
    this.end();
    // Of what is in the file, all at once; what the page itself lives through is another timeline. Before the page is
    // taken over: a file that cannot be told leaves it alone.
    const timeline = timelineOf(recording);
    this.replay = new Replay(this.#app, this.#probe, recording, () => this.#changed());
    this.#timelineView.timeline = timeline;
    this.#changed();
  }

  /** Gives the page back. */
  end() {
    if (!this.replay) return;
    this.replay.end();
    this.replay = null;
    this.#timelineView.timeline = this.#probe.timeline;
    this.#changed();
  }

  /** Draws in the next frame, and nothing while nobody sees it. */
  #changed() {
    if (this.#framed) return;
    this.#framed = true;
    requestAnimationFrame(() => {
      this.#framed = false;
      if (this.isConnected) this.#draw();
    });
  }

  #draw() {
    const { state, code } = this.#app.connection;
    const { n } = this.#app.inspect();
    this.#dot.className = `dot ${this.replay ? "" : state}`;
    write(this.#status, this.replay ? "replay" : state === "live" ? `live, n ${n}` : code ? `${state}: ${code}` : state);
    this.#replayed.hidden = !this.replay;
    const { summary } = this.#network;
    const { replay } = this;
    this.#timelineView.now_ms = replay?.player.at_ms ?? Infinity;
    this.#timelineView.goTo = replay && ((at_ms) => replay.seek(replay.player.indexAt(at_ms)));
    this.#simulated.hidden = !summary;
    write(this.#simulated, summary && `Simulated: ${summary}`);
    this.#views.get(this.#kept.tab)?.view.draw();
    clearTimeout(this.#tick);
    if (this.#probe.link.isOffline) this.#tick = setTimeout(() => this.#changed(), TICK_MS);
  }

  /** @param {string} name */
  #show(name) {
    this.#kept.tab = name;
    for (const [other, { tab, body }] of this.#views) {
      tab.setAttribute("aria-selected", String(other === name));
      tab.tabIndex = other === name ? 0 : -1;
      body.hidden = other !== name;
    }
    this.#keep();
    this.#changed();
  }

  /** @param {KeyboardEvent} event */
  #moveTab(event) {
    const names = [...this.#views.keys()];
    const at = names.indexOf(this.#kept.tab);
    const to = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: names.length - 1 }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    const name = names[(to + names.length) % names.length] ?? "State";
    this.#show(name);
    this.#views.get(name)?.tab.focus();
  }

  /** @param {Dock} dock */
  #setDock(dock) {
    this.#kept.dock = dock;
    this.dataset.dock = dock;
    const other = dock === "bottom" ? "right" : "bottom";
    this.#dock.setAttribute("aria-label", `Move the devtools to the ${other}`);
    this.#dock.title = `Move to the ${other}`;
    this.#dock.replaceChildren(drawing(other === "right" ? "M3 4h14v12H3zM12 4v12" : "M3 4h14v12H3zM3 11h14"));
    this.#grip.setAttribute("aria-orientation", dock === "bottom" ? "horizontal" : "vertical");
    this.#resize(this.#kept[dock]);
  }

  #resizable() {
    const grip = this.#grip;
    /** @param {PointerEvent} event */
    const move = ({ clientX, clientY }) => this.#resize(this.#kept.dock === "bottom" ? innerHeight - clientY : innerWidth - clientX);
    grip.addEventListener("pointerdown", (event) => {
      event.preventDefault();
      grip.focus();
      grip.setPointerCapture(event.pointerId);
      grip.addEventListener("pointermove", move);
    });
    grip.addEventListener("lostpointercapture", () => {
      grip.removeEventListener("pointermove", move);
      this.#keep();
    });
    grip.addEventListener("keydown", (event) => {
      const way = { ArrowUp: 1, ArrowLeft: 1, ArrowDown: -1, ArrowRight: -1 }[event.key];
      if (!way) return;
      event.preventDefault();
      this.#resize(this.#kept[this.#kept.dock] + way * STEP_PX);
      this.#keep();
    });
  }

  /** @param {number} wanted in pixels */
  #resize(wanted) {
    const { dock } = this.#kept;
    const max = Math.max(SIZE_MIN_PX, (dock === "bottom" ? innerHeight : innerWidth) - LEFT_PX);
    const size = Math.round(Math.min(Math.max(SIZE_MIN_PX, wanted), max));
    this.#kept[dock] = size;
    this.style.setProperty("--size", `${size}px`);
    makeRoom(dock, size);
    for (const [name, value] of [["now", size], ["min", SIZE_MIN_PX], ["max", max]]) this.#grip.setAttribute(`aria-value${name}`, String(value));
  }

  #keep() {
    try {
      localStorage.setItem(KEY, JSON.stringify(this.#kept));
    } catch {
      // Then it is as it was the first time.
    }
  }
}

/**
 * Notifications lie over all else, so they stand beside the panel.
 *
 * @param {Dock} dock
 * @param {number} size in pixels
 */
function makeRoom(dock, size) {
  const toasts = /** @type {HTMLElement | null} */ (document.querySelector("windlass-toasts"));
  toasts?.style.setProperty("margin", dock === "bottom" ? `0 0 ${size}px` : `0 ${size}px 0 0`);
  if (!size) toasts?.style.removeProperty("margin");
}

/** @returns {{ dock: Dock, bottom: number, right: number, tab: string }} */
function keptSettings() {
  const settings = { dock: /** @type {Dock} */ ("bottom"), bottom: 320, right: 460, tab: "State" };
  try {
    const { dock, bottom, right, tab } = JSON.parse(localStorage.getItem(KEY) ?? "{}");
    if (dock === "right") settings.dock = dock;
    if (Number.isFinite(bottom)) settings.bottom = bottom;
    if (Number.isFinite(right)) settings.right = right;
    if (typeof tab === "string") settings.tab = tab;
  } catch {
    // Forbidden, or another's: the defaults.
  }
  return settings;
}

const NAME = "windlass-devtools";
const KEY = "windlass-devtools";
const SIZE_MIN_PX = 160;
// What stays of the page.
const LEFT_PX = 80;
const STEP_PX = 20;
const TICK_MS = 500;
