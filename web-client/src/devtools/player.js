/**
 * Goes through a recording: the document at any of its entries, forwards and backwards. No page is needed.
 *
 *     const player = new Player(read(text));
 *     for (const { entry, held } of player.all()) console.log(entry.at_ms, held.document);
 *
 * @module
 */

import { NOTHING, fold } from "./fold.js";

/** @import { Held } from "./fold.js" */
/** @import { Entry, Recording } from "./recording.js" */

export class Player {
  recording;
  /** How many entries have been played. */
  at = 0;
  /** @type {Held} what the page held then */
  held;
  /** @type {Held[]} before every {@link CHECKPOINT_ENTRIES}th entry, as far as it has been */
  #checkpoints;

  /** @param {Recording} recording */
  constructor(recording) {
    this.recording = recording;
    const { start } = recording;
    // Copied: whoever gets a document of this may write into it.
    const document = start.document && JSON.parse(JSON.stringify(start.document));
    this.held = { ...NOTHING, ...start, document, stream: start.epoch };
    this.#checkpoints = [this.held];
  }

  get length() {
    return this.recording.entries.length;
  }

  /** How long it is. */
  get duration_ms() {
    return this.recording.entries.at(-1)?.at_ms ?? 0;
  }

  /** When the last entry that was played happened. */
  get at_ms() {
    return this.recording.entries[this.at - 1]?.at_ms ?? 0;
  }

  /** @returns {Entry | null} the one that was played, null at the end */
  step() {
    const entry = this.recording.entries[this.at];
    if (!entry) return null;
    if (entry.kind === "in") this.held = fold(this.held, entry.message);
    this.at++;
    if (this.at % CHECKPOINT_ENTRIES === 0) this.#checkpoints[this.at / CHECKPOINT_ENTRIES] ??= this.held;
    return entry;
  }

  /**
   * @param {number} at how many entries are to have been played; taken to the nearest that there is
   */
  seek(at) {
    const target = Math.min(Math.max(0, Math.trunc(at)), this.length);
    const checkpoint = Math.min(Math.floor(target / CHECKPOINT_ENTRIES), this.#checkpoints.length - 1);
    if (target < this.at || checkpoint * CHECKPOINT_ENTRIES > this.at) {
      this.at = checkpoint * CHECKPOINT_ENTRIES;
      this.held = /** @type {Held} */ (this.#checkpoints[checkpoint]);
    }
    while (this.at < target) this.step();
  }

  /**
   * How many entries had happened by then.
   *
   * @param {number} ms
   */
  indexAt(ms) {
    const { entries } = this.recording;
    let [from, to] = [0, entries.length];
    while (from < to) {
      const middle = (from + to) >> 1;
      if (/** @type {Entry} */ (entries[middle]).at_ms <= ms) from = middle + 1;
      else to = middle;
    }
    return from;
  }

  /** From the beginning to the end, each entry with what the page held after it. */
  *all() {
    this.seek(0);
    for (let entry; (entry = this.step()); ) yield { entry, held: this.held };
  }
}

// Going back costs at most so many steps; a checkpoint of a long list costs a copy of the list.
const CHECKPOINT_ENTRIES = 64;
