/**
 * The outbox holds actions not yet answered and saved, in the order of their numbers.
 *
 * An action that was answered stays until it is on the server's disk: a crash may undo it, and then it is sent again.
 * Knows neither socket nor storage; each action is kept as the text that goes over the wire, so that what is sent
 * again is the same to the byte.
 *
 * @module
 */

import { byteLength, encode } from "./wire.js";

/** @import { Outcome, Pending } from "./wire.js" */

/** @typedef {"queued" | "sent" | "applied" | "saved" | "refused" | "failed"} ActionState */

/**
 * @typedef {object} Entry
 * @property {number} seq
 * @property {string} text the message; a `void` when its content is not to be kept
 * @property {string} kept what storage gets: the text, or a `void` for a secret one
 * @property {boolean} sent whether it may have reached a server
 * @property {"applied" | "refused" | "failed" | null} answered
 * @property {boolean} pending it is consumed, and its outcome is to come
 * @property {number} sentAt when it was last sent, for liveness
 * @property {Outcome | Pending} [outcome] as it was told, until the ack covers it
 * @property {string} [replaces] names what it is about: while it is the last and not sent, a later one takes its place
 * @property {Waiter} [waiter] absent when the page that asked is gone
 */

/**
 * Who waits for an action; a promise may be settled more than once, the first time counts.
 *
 * @typedef {object} Waiter
 * @property {"applied" | "saved"} until
 * @property {(state: ActionState) => void} state
 * @property {(value: unknown) => void} resolve
 * @property {(error: unknown) => void} reject
 * @property {unknown} [value] the reply, while it waits to be saved
 */

export class Outbox {
  /** @type {Entry[]} */
  entries = [];
  /** The last number given out. */
  seq = 0;
  #bytes = 0;

  /** How many have no outcome. */
  get pending() {
    return this.entries.filter(({ answered }) => !answered).length;
  }

  /** The first number without an outcome, as hello tells it. */
  get firstPending() {
    return this.entries.find((entry) => entry.answered === null)?.seq ?? this.seq + 1;
  }

  /**
   * With `replaces` it takes the place, the number and the waiter of the last one, when that was not sent and is about
   * the same; the last one stays when there is no room for it.
   *
   * @param {string} name
   * @param {unknown} payload
   * @param {{ secret?: boolean, seen?: [epoch: number, n: number], replaces?: string }} [options]
   * @returns {Entry | null} null when the outbox is full
   * @throws {TypeError} when the payload is no JSON
   */
  add(name, payload, { secret = false, seen, replaces } = {}) {
    const last = this.entries.at(-1);
    const before = replaces !== undefined && last && !last.sent && last.replaces === replaces ? last : undefined;
    const seq = before?.seq ?? this.seq + 1;
    const value = payload === undefined ? null : payload;
    const text = encode(seen ? ["a", seq, name, value, seen] : ["a", seq, name, value]);
    const kept = secret ? encode(["v", seq]) : text;
    /** @type {Entry} */
    const entry = { seq, text, kept, sent: false, answered: null, pending: false, sentAt: 0, replaces, waiter: before?.waiter };
    if (before) this.#drop((other) => other === before);
    if (this.#take(entry)) return entry;
    if (before) this.#take(before);
    return null;
  }

  /**
   * Puts back what storage kept.
   *
   * @param {Pick<Entry, "seq" | "text" | "sent" | "answered" | "pending">} entry
   */
  restore({ seq, text, sent, answered, pending }) {
    this.#take({ seq, text, kept: text, sent, answered, pending, sentAt: 0 });
  }

  /** @param {number} seq */
  get(seq) {
    const { entries } = this;
    // Without a gap from here on, but for those that have left before one that is pending.
    for (let at = Math.min(seq - (entries[0]?.seq ?? seq), entries.length - 1); at >= 0; at--) {
      const entry = /** @type {Entry} */ (entries[at]);
      if (entry.seq <= seq) return entry.seq === seq ? entry : undefined;
    }
    return undefined;
  }

  /**
   * Forgets the content but not the number, which would be a gap; nobody is told of its outcome any more.
   *
   * @param {Entry} entry
   */
  void(entry) {
    this.#bytes -= byteLength(entry.text);
    entry.text = entry.kept = encode(["v", entry.seq]);
    this.#bytes += byteLength(entry.text);
    entry.waiter = NOBODY;
  }

  /**
   * Takes note of outcomes; they count when the ack covers them.
   *
   * @param {(Outcome | Pending)[]} outcomes
   */
  note(outcomes) {
    for (const outcome of outcomes) {
      const entry = this.get(outcome[0]);
      if (entry) entry.outcome = outcome;
    }
  }

  /**
   * @param {number} ack the highest number that has its outcome; what was not told was applied, with null
   * @returns {[Entry, Outcome, again: boolean][]} what is newly known; again: it had been applied, a crash undid it, and
   *   this time it was not
   */
  settle(ack) {
    /** @type {[Entry, Outcome, boolean][]} */
    const settled = [];
    for (const entry of this.entries) {
      if (entry.seq > ack) break;
      // [PENDING-2] No ack ends it, only its outcome does.
      if (entry.outcome?.[1] === "pending") {
        entry.pending = true;
        entry.outcome = undefined;
      }
      if (entry.pending && !entry.outcome) continue;
      entry.pending = false;
      const again = entry.answered === "applied" && entry.outcome !== undefined && entry.outcome[1] !== "applied";
      if (entry.answered === null || again) {
        /** @type {Outcome} */
        const outcome = /** @type {Outcome | undefined} */ (entry.outcome) ?? [entry.seq, "applied", null];
        settled.push([entry, outcome, again]);
        entry.answered = outcome[1];
      }
      entry.outcome = undefined;
    }
    return settled;
  }

  /**
   * @param {number | null} saved the highest number on disk, null when the server keeps no durable store
   * @returns {Entry[]} those that left
   */
  release(saved) {
    return this.#drop((entry) => entry.answered !== null && (saved === null || entry.seq <= saved));
  }

  /**
   * Drops what is pending, though consumed, and not among those listed. What is above the ack of a welcome is not
   * consumed, or not any more: a crash has undone it, and its outcome is to come like that of any other.
   *
   * @param {number} ack
   * @param {number[]} listed
   * @returns {Entry[]}
   */
  losePending(ack, listed) {
    for (const entry of this.entries) {
      if (entry.seq > ack) [entry.pending, entry.outcome] = [false, undefined];
    }
    return this.#drop(({ seq, pending }) => pending && !listed.includes(seq));
  }

  /**
   * Empties it; the next number follows `seq`.
   *
   * @param {number} seq
   * @returns {Entry[]} those that had no outcome, or were not saved for who waits for that
   */
  clear(seq) {
    const gone = this.entries.filter(({ answered, waiter }) => answered === null || waiter?.until === "saved");
    this.entries = [];
    this.#bytes = 0;
    this.seq = seq;
    return gone;
  }

  /**
   * @param {(entry: Entry) => boolean} goes
   * @returns {Entry[]} those that left
   */
  #drop(goes) {
    const gone = this.entries.filter(goes);
    if (gone.length === 0) return gone;
    this.entries = this.entries.filter((entry) => !goes(entry));
    for (const entry of gone) this.#bytes -= byteLength(entry.text);
    return gone;
  }

  /** @param {Entry} entry */
  #take(entry) {
    const bytes = byteLength(entry.text);
    if (this.entries.length >= ENTRIES_MAX || this.#bytes + bytes > BYTES_MAX) return false;
    this.entries.push(entry);
    this.seq = entry.seq;
    this.#bytes += bytes;
    return true;
  }
}

/** @type {Waiter} */
export const NOBODY = { until: "applied", state() {}, resolve() {}, reject() {} };

// sessionStorage holds about 5 MiB an origin, shared by all that the page keeps there.
const BYTES_MAX = 1024 * 1024;
const ENTRIES_MAX = 1_000;
