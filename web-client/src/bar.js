/**
 * What a person should know of the connection: `<windlass-bar>`, a line at the top that is there only when it has
 * something to say.
 *
 * A blip shows nothing. After a second without a connection the bar says so, counts down to the next attempt, offers to
 * try now and tells how many changes wait; then, that the connection is back. A fresh start is said until it is closed:
 * what stood on the page before is gone.
 *
 * @module
 */

import { Base, fill, h, mount, write } from "./dom.js";
import { words } from "./words.js";

/**
 * What the bar needs of a session.
 *
 * @typedef {EventTarget & {
 *   connection: { state: string, retryAt: number | null, code: string | null },
 *   pending: number,
 *   retry: () => void,
 * }} Connected
 */

/**
 * @param {Connected} app
 * @returns {Bar}
 */
export function bar(app) {
  const element = mount("windlass-bar", Bar);
  element.watch(app);
  for (const type of ["fresh", "restored"]) {
    app.addEventListener(type, (event) => element.tell(type, /** @type {CustomEvent} */ (event).detail));
  }
  return element;
}

export class Bar extends Base {
  /** @type {Connected | null} */
  #app = null;
  /** The connection is lost for so long that it is no blip. */
  #late = false;
  /** Once live, a page reconnects; before, it connects. */
  #was = false;
  /** @type {string} said until it is closed */
  #notice = "";
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #tick;
  #text = h("span", { role: "status", part: "text" });
  /** Beside the live region: a countdown read aloud each second helps nobody. */
  #count = h("span", { part: "count" });
  #button = h("button", { type: "button", part: "button", class: "action" });
  #close = h("button", { type: "button", part: "close", class: "close" }, "×");
  #card = h("section", { class: "card", part: "bar", hidden: "" }, h("i", { part: "dot" }), h("div", {}, this.#text, this.#count), this.#button, this.#close);

  constructor() {
    super();
    fill(this, RULES, this.#card);
    this.#close.addEventListener("click", () => {
      this.#notice = "";
      this.#draw();
    });
    this.#button.addEventListener("click", () => {
      const { state, code } = this.#app?.connection ?? {};
      if (state === "stopped" && code !== "taken_over") location.reload();
      else this.#app?.retry();
    });
  }

  /** @param {Connected} app */
  watch(app) {
    this.#app = app;
    app.addEventListener("connection", () => this.#changed());
    this.#changed();
  }

  /**
   * @param {string} type of an event of the session; of one that is not the bar's nothing is said
   * @param {{ reason: string, rejected: number }} detail
   */
  tell(type, { reason, rejected }) {
    const { fresh, rejected: lost, restored } = words();
    if (type === "fresh") this.#say([fresh[reason] ?? fresh.session_gone, rejected && lost(rejected)].filter(Boolean).join(" "));
    if (type === "restored") this.#say(restored);
  }

  /** @param {string} notice */
  #say(notice) {
    this.#notice = notice;
    this.#draw();
  }

  #changed() {
    const { state } = /** @type {Connected} */ (this.#app).connection;
    if (state === "live") {
      const shown = this.#late && this.#was;
      this.#late = false;
      this.#was = true;
      this.#after(shown ? CONNECTED_MS : null);
      this.#draw(shown ? words().connected : "");
      return;
    }
    // The second counts from the loss, through all attempts that follow.
    if (!this.#late && this.#timer === undefined) this.#after(BLIP_MS);
    if (state === "stopped") this.#late = true;
    this.#draw();
  }

  /** @param {number | null} ms */
  #after(ms) {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (ms === null) return;
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.#late = this.#app?.connection.state !== "live";
      this.#draw();
    }, ms);
  }

  /** @param {string} [passing] said for a moment */
  #draw(passing = "") {
    const app = /** @type {Connected} */ (this.#app);
    const { state, retryAt, code } = app.connection;
    const said = words();
    clearTimeout(this.#tick);
    let [text, count, button] = [passing || this.#notice, "", ""];
    if (this.#late && state === "stopped") {
      text = said.stopped[code ?? ""] ?? said.stopped.any ?? "";
      button = code === "taken_over" ? said.useHere : said.reload;
      // Closed by the page itself, which then says what it wants said.
      if (code === "closed") [text, button] = [this.#notice, ""];
    } else if (this.#late) {
      text = this.#was ? said.reconnecting : said.connecting;
      if (app.pending) count = said.pending(app.pending);
      if (state === "waiting" && retryAt !== null) {
        const left_ms = retryAt - Date.now();
        if (left_ms > 0) count = [said.retryIn(Math.ceil(left_ms / 1000)), count].filter(Boolean).join(" · ");
        button = said.tryNow;
      }
      this.#tick = setTimeout(() => this.#draw(), TICK_MS);
    }
    const tone = passing ? "success" : this.#late ? "warning" : "info";
    this.#card.className = `card ${tone}`;
    this.#card.hidden = !text;
    this.#card.setAttribute("aria-label", said.connection);
    write(this.#text, text);
    write(this.#count, count);
    write(this.#button, button);
    this.#button.hidden = !button;
    this.#close.hidden = !text || text !== this.#notice;
    this.#close.setAttribute("aria-label", said.close);
  }

  disconnectedCallback() {
    clearTimeout(this.#timer);
    clearTimeout(this.#tick);
  }
}

// A reconnect to a healthy server takes less, and what is over before it is read only frightens.
const BLIP_MS = 1000;
const CONNECTED_MS = 2500;
const TICK_MS = 250;

const RULES = /* css */ `
:host {
  inset-block-start: 0.75rem;
  inset-inline: 0;
  display: flex;
  justify-content: center;
  padding-inline: 1rem;
}
.card { display: flex; align-items: center; gap: 0.625rem; padding: 0.5rem 0.875rem; border-radius: var(--windlass-radius, 1.25rem); }
i { width: 0.625rem; height: 0.625rem; border-radius: 50%; background: var(--accent); flex: none; }
section div { display: flex; flex-wrap: wrap; gap: 0 0.625rem; min-width: 0; overflow-wrap: anywhere; }
[part=count] { color: var(--dim); font-variant-numeric: tabular-nums; }
[part=count]:empty { display: none; }
.action { font-weight: 600; }
.close { margin-inline-end: -0.375rem; }
@keyframes pulse { 50% { opacity: 0.35; } }
@media (prefers-reduced-motion: no-preference) { .warning i { animation: pulse 1.4s ease-in-out infinite; } }
`;
