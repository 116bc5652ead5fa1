/**
 * Keeps the last of what happened, within a bound, together with what the page held before it.
 *
 * What falls out at the old end is folded into the start, so that a recording of an hour is one of its last minutes
 * that can be replayed as well as any.
 *
 * @module
 */

import { NOTHING, fold } from "./fold.js";
import { FORMAT, VERSION, withoutQuery } from "./recording.js";

/** @import { Held } from "./fold.js" */
/** @import { Entry, Recording } from "./recording.js" */

/** An {@link Entry} without its time. @typedef {Entry extends infer One ? One extends Entry ? Omit<One, "at_ms"> : never : never} Happening */

export class Recorder {
  /** @type {Entry[]} */
  entries = [];
  /** Of all frames that are kept. */
  bytes = 0;
  /** What the page held before the first entry. */
  #start;
  /** What it holds after the last. */
  #held;
  /** When that was. */
  #since = 0;
  #now;
  #began;
  #date;
  /** @type {(entry: Entry, held: Held) => void} */
  #heard;

  /**
   * @param {object} options
   * @param {Held} [options.held] at the start
   * @param {() => number} options.now in milliseconds
   * @param {() => number} [options.date] the same since 1970
   * @param {(entry: Entry, held: Held) => void} [options.heard] told of each entry, and of what the page holds after it
   */
  constructor({ held = NOTHING, now, date = Date.now, heard = () => {} }) {
    this.#start = this.#held = held;
    this.#now = now;
    this.#began = now();
    this.#date = date() - this.#began;
    this.#heard = heard;
  }

  /** @param {Happening} happening */
  add(happening) {
    const entry = /** @type {Entry} */ ({ at_ms: this.now, ...happening });
    this.entries.push(entry);
    this.bytes += bytesOf(entry);
    if (entry.kind === "in") this.#held = fold(this.#held, entry.message);
    let first;
    while ((this.entries.length > ENTRIES_MAX || this.bytes > BYTES_MAX) && (first = this.entries.shift())) {
      this.bytes -= bytesOf(first);
      this.#since = first.at_ms;
      if (first.kind === "in") this.#start = fold(this.#start, first.message);
    }
    this.#heard(entry, this.#held);
  }

  /** Milliseconds since it began, to a tenth. */
  get now() {
    return Math.round((this.#now() - this.#began) * 10) / 10;
  }

  /** Forgets all entries: it begins here. */
  clear() {
    this.#start = this.#held;
    this.#since = this.now;
    this.entries = [];
    this.bytes = 0;
  }

  /**
   * @param {string} page
   * @returns {Recording}
   */
  recording(page) {
    const { epoch, n, stale, document } = this.#start;
    const since = this.#since;
    return {
      format: FORMAT,
      version: VERSION,
      recorded_at: new Date(this.#date + this.#began + since).toISOString(),
      page: withoutQuery(page),
      start: { epoch, n, stale, document },
      entries: this.entries.map((entry) => ({ ...entry, at_ms: Math.round((entry.at_ms - since) * 10) / 10 })),
    };
  }
}

/** @param {Entry} entry */
function bytesOf(entry) {
  return "bytes" in entry ? entry.bytes : SMALL_BYTES;
}

/** How many entries are kept, */
export const ENTRIES_MAX = 5_000;
/** and how many bytes of frames; the oldest go first. */
export const BYTES_MAX = 2_000_000;
// About what an entry without a frame takes.
const SMALL_BYTES = 100;
