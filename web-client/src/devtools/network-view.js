/**
 * A worse network for this page: delay, jitter, cuts, no network; and what has gone over it.
 *
 * @module
 */

import { h } from "../dom.js";
import { button, write } from "./list.js";
import { bytesText, tookText } from "./text.js";
import { latency } from "./timeline.js";

/** @import { Link } from "./link.js" */
/** @import { Timeline } from "./timeline.js" */

export class NetworkView {
  element;
  #link;
  #timeline;
  #delay = h("input", { type: "number", min: "0", max: "60000", step: "10", value: "0" });
  #jitter = h("input", { type: "number", min: "0", max: "60000", step: "10", value: "0" });
  #seconds = h("input", { type: "number", min: "1", max: "3600", value: "10" });
  #frames = h("input", { type: "number", min: "1", max: "100000", value: "10" });
  #preset = h("select", {}, ...PRESETS.map(([name], at) => h("option", { value: String(at) }, name)));
  #offline = button("Go offline", () => this.#toggleOffline());
  #arm = button("Cut after", () => this.#toggleCut());
  #left = h("span", { class: "dim", role: "status" });
  #numbers = h("dl", { class: "numbers" });

  /**
   * @param {Link} link
   * @param {Timeline} timeline
   */
  constructor(link, timeline) {
    this.#link = link;
    this.#timeline = timeline;
    const set = () => {
      link.delay_ms = amount(this.#delay);
      link.jitter_ms = amount(this.#jitter);
      this.#preset.value = String(PRESETS.findIndex(([, delay, jitter]) => delay === link.delay_ms && jitter === link.jitter_ms));
      link.listener.changed();
    };
    for (const input of [this.#delay, this.#jitter]) input.addEventListener("input", set);
    this.#preset.addEventListener("change", () => {
      const [, delay, jitter] = PRESETS[Number(this.#preset.value)] ?? ["", 0, 0];
      this.#delay.value = String(delay);
      this.#jitter.value = String(jitter);
      set();
    });
    const label = (/** @type {string} */ text, /** @type {HTMLElement} */ control, unit = "") => h("label", {}, h("span", {}, text), control, h("span", { class: "dim" }, unit));
    this.element = h("div", { class: "view scroll", tabindex: "0", role: "group", "aria-label": "Network" },
      h("div", { class: "cards" },
        h("fieldset", {}, h("legend", {}, "Delay"),
          label("Like", this.#preset), label("Each way", this.#delay, "ms"), label("Jitter up to", this.#jitter, "ms")),
        h("fieldset", {}, h("legend", {}, "Losses"),
          h("div", { class: "line" }, button("Cut the connection now", () => link.cut())),
          h("div", { class: "line" }, this.#offline, label("for", this.#seconds, "s")),
          h("div", { class: "line" }, this.#arm, label("", this.#frames, "frames")),
          this.#left),
        h("fieldset", {}, h("legend", {}, "So far"), this.#numbers)),
      h("p", { class: "dim note" }, "Only this page's own socket is held up, in this browser. It ends when devtools are closed."));
    this.#frames.setAttribute("aria-label", "Frames until the cut");
  }

  focus() {
    this.#preset.focus();
  }

  /** What is simulated, in a few words; nothing when the network is as it is. */
  get summary() {
    const { delay_ms, jitter_ms, cutAfter, offlineUntil, isOffline, clock } = this.#link;
    return [
      isOffline && (offlineUntil === Infinity ? "offline" : `offline ${Math.ceil((offlineUntil - clock.now()) / 1000)} s`),
      (delay_ms > 0 || jitter_ms > 0) && `${delay_ms}${jitter_ms > 0 ? `–${delay_ms + jitter_ms}` : ""} ms each way`,
      cutAfter !== null && `cut in ${cutAfter} ${cutAfter === 1 ? "frame" : "frames"}`,
    ].filter(Boolean).join(", ");
  }

  draw() {
    const { counts, isOffline } = this.#link;
    write(this.#offline, isOffline ? "Back online" : "Go offline");
    write(this.#arm, this.#link.cutAfter === null ? "Cut after" : "Do not cut");
    write(this.#left, this.summary);
    const took = latency(this.#timeline.items);
    const facts = [
      ["Sent", `${counts.out} frames, ${bytesText(counts.bytes_out)}`],
      ["Received", `${counts.in} frames, ${bytesText(counts.bytes_in)}`],
      ["Simulated cuts", String(counts.cuts)],
      ["Actions took", took ? `${tookText(took.median_ms)} in the middle, ${tookText(took.max_ms)} at most, of the last ${took.count}` : "–"],
    ];
    if (!this.#numbers.firstChild) this.#numbers.append(...facts.flatMap(([name]) => [h("dt", {}, name ?? ""), h("dd")]));
    facts.forEach(([, text], at) => write(/** @type {Element} */ (this.#numbers.children[at * 2 + 1]), text ?? ""));
  }

  #toggleOffline() {
    if (this.#link.isOffline) this.#link.online();
    else this.#link.offline(Math.max(1, amount(this.#seconds)) * 1000);
  }

  #toggleCut() {
    this.#link.cutAfter = this.#link.cutAfter === null ? Math.max(1, amount(this.#frames)) : null;
    this.#link.listener.changed();
  }
}

/** @param {HTMLInputElement} input */
function amount(input) {
  const { valueAsNumber } = input;
  return Number.isFinite(valueAsNumber) ? Math.min(Math.max(0, valueAsNumber), Number(input.max)) : 0;
}

/** Round figures of what each feels like, one way. @type {[name: string, delay_ms: number, jitter_ms: number][]} */
const PRESETS = [
  ["the network there is", 0, 0],
  ["another city", 20, 10],
  ["another continent", 80, 20],
  ["a phone on the move", 150, 200],
  ["a satellite", 300, 50],
];
