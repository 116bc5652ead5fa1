/**
 * The recording of this page as a file, and the replay of one.
 *
 * @module
 */

import { h } from "../dom.js";
import { button, copy, write } from "./list.js";
import { RecordingError, read, write as fileOf } from "./recording.js";
import { BYTES_MAX, ENTRIES_MAX } from "./recorder.js";
import { bytesText, timeText } from "./text.js";

/** @import { Probe } from "./probe.js" */
/** @import { Recording } from "./recording.js" */
/** @import { Replay } from "./replay.js" */

export class SessionView {
  element;
  #probe;
  #owner;
  #summary = h("p");
  #error = h("p", { class: "error", role: "alert", hidden: "" });
  #file = h("input", { type: "file", accept: ".json,application/json", class: "unseen", tabindex: "-1", "aria-hidden": "true" });
  #choose = button("Open a file…", () => this.#file.click());
  #copy = button("Copy", () => copy(fileOf(this.#probe.recording), this.#copy));
  #player = h("fieldset", { hidden: "" });
  #play = button("Play", () => this.#toggle());
  #seek = h("input", { type: "range", min: "0", value: "0", "aria-label": "Position" });
  #speed = h("select", { "aria-label": "Speed" }, ...SPEEDS.map((speed) => h("option", { value: String(speed) }, speed === Infinity ? "as fast as can be" : `${speed} ×`)));
  #position = h("span", { class: "dim numbers" });
  #about = h("p", { class: "dim" });

  /**
   * @param {Probe} probe
   * @param {{ replay: Replay | null, begin: (recording: Recording) => void, end: () => void }} owner
   */
  constructor(probe, owner) {
    this.#probe = probe;
    this.#owner = owner;
    this.#file.addEventListener("change", () => this.#open(this.#file.files?.[0]));
    this.#speed.value = "1";
    this.#speed.addEventListener("change", () => owner.replay?.pace(Number(this.#speed.value)));
    this.#seek.addEventListener("input", () => owner.replay?.seek(Number(this.#seek.value)));
    this.#player.append(h("legend", {}, "Replay"), this.#about,
      h("div", { class: "line" }, button("Back", () => owner.replay?.step(-1), { "aria-label": "One step back" }), this.#play,
        button("Forward", () => owner.replay?.step(1), { "aria-label": "One step forward" }), this.#speed, this.#position),
      this.#seek,
      h("div", { class: "line" }, button("Leave the replay", () => owner.end(), { class: "primary" }),
        h("span", { class: "dim" }, "The page goes back to its server, where it was.")));
    this.element = h("div", { class: "view scroll", tabindex: "0", role: "group", "aria-label": "Session" },
      this.#player,
      h("div", { class: "cards" },
        h("fieldset", {}, h("legend", {}, "Recording"), this.#summary,
          h("div", { class: "line" }, button("Download", () => this.#download(), { class: "primary" }), this.#copy),
          h("p", { class: "dim note" }, `All frames of this page, with the state before them: the last ${ENTRIES_MAX.toLocaleString("en")} entries or ${bytesText(BYTES_MAX)}. Tokens, queries of addresses and what secret actions hold are not in it; the state is, all of it.`)),
        h("fieldset", {}, h("legend", {}, "Replay a recording"),
          h("p", { class: "dim note" }, "This page shows what the file says, without its server. Nothing is sent meanwhile."),
          h("div", { class: "line" }, this.#choose, this.#file), this.#error)));
    // A file that is dropped here is opened.
    this.element.addEventListener("dragover", (event) => event.preventDefault());
    this.element.addEventListener("drop", (event) => {
      event.preventDefault();
      this.#open(event.dataTransfer?.files[0]);
    });
  }

  focus() {
    this.#choose.focus();
  }

  draw() {
    const { entries, bytes, now } = this.#probe.recorder;
    const since = now - (entries[0]?.at_ms ?? now);
    write(this.#summary, `${entries.length.toLocaleString("en")} ${entries.length === 1 ? "entry" : "entries"}, ${bytesText(bytes)} of frames, ${timeText(since)}`);
    const { replay } = this.#owner;
    this.#player.hidden = !replay;
    if (!replay) return;
    const { player } = replay;
    write(this.#play, replay.isPlaying ? "Pause" : "Play");
    this.#seek.min = String(replay.first);
    this.#seek.max = String(player.length);
    this.#seek.value = String(player.at);
    const position = `${timeText(player.at_ms)} of ${timeText(player.duration_ms)}, entry ${player.at} of ${player.length}`;
    this.#seek.setAttribute("aria-valuetext", position);
    write(this.#position, position);
    const { page, recorded_at } = player.recording;
    const other = page && page !== this.#probe.page ? ` It was recorded on ${page}, and this page is ${this.#probe.page}: its bindings may look for other names.` : "";
    write(this.#about, `Recorded ${recorded_at}.${other}`);
  }

  #toggle() {
    const { replay } = this.#owner;
    if (replay?.isPlaying) replay.pause();
    else replay?.play();
  }

  #download() {
    const url = URL.createObjectURL(new Blob([fileOf(this.#probe.recording)], { type: "application/json" }));
    const name = `windlass${this.#probe.page.replaceAll(/\W+/g, "-").replace(/-$/, "")}-${new Date().toISOString().slice(0, 19).replaceAll(":", "")}.json`;
    h("a", { href: url, download: name }).click();
    // The browser has taken it by then.
    setTimeout(() => URL.revokeObjectURL(url), REVOKE_MS);
  }

  /** @param {File | undefined} file */
  async #open(file) {
    this.#file.value = "";
    if (!file) return;
    this.#error.hidden = true;
    try {
      this.#owner.begin(read(await file.text()));
    } catch (error) {
      if (!(error instanceof RecordingError)) throw error;
      this.#error.hidden = false;
      write(this.#error, `${file.name}: ${error.message} [${error.code}]`);
    }
  }
}

const SPEEDS = [0.25, 0.5, 1, 2, 5, 10, Infinity];
const REVOKE_MS = 60_000;
