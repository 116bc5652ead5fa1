/**
 * Drives a page by a recording instead of its server: the page's document becomes what the recording says, at its own
 * pace or step by step, and its bindings show it. Nothing is sent, and nothing of it is stored.
 *
 * @module
 */

import { WindlassError } from "../error.js";
import { Player } from "./player.js";

/** @import { JsonObject } from "../patch.js" */
/** @import { Inspectable, Probe } from "./probe.js" */
/** @import { Entry, Recording } from "./recording.js" */

export class Replay {
  player;
  /** The first position at which there is something to see. */
  first;
  /** How many times as fast as it was; Infinity shows each entry as soon as the one before is shown. */
  speed = 1;
  #app;
  #inspected;
  #probe;
  #changed;
  #undo;
  /** @type {number | undefined} */
  #timer;
  /** Where playing began, in the recording's time and the clock's. @type {{ at_ms: number, now: number } | null} */
  #playing = null;

  /**
   * Takes the page over, at the recording's start.
   *
   * @param {Inspectable} app
   * @param {Probe} probe
   * @param {Recording} recording
   * @param {() => void} changed hears of each move
   */
  constructor(app, probe, recording, changed) {
    this.#app = app;
    this.#probe = probe;
    this.#changed = changed;
    this.#inspected = app.inspect();
    this.player = new Player(recording);
    this.#undo = this.#takeOver();
    this.first = firstShown(recording);
    this.seek(this.first);
  }

  get isPlaying() {
    return this.#playing !== null;
  }

  play() {
    if (this.isPlaying) return;
    if (this.player.at >= this.player.length) this.seek(0);
    this.#playing = { at_ms: this.player.at_ms, now: this.#now };
    this.#plan();
    this.#changed();
  }

  pause() {
    this.#inspected.environment.clock.clearTimeout(this.#timer);
    this.#playing = null;
    this.#changed();
  }

  /** @param {number} speed */
  pace(speed) {
    const was = this.isPlaying;
    this.pause();
    this.speed = speed;
    if (was) this.play();
  }

  /**
   * To the next entry that changes what the page shows, or the one before it.
   *
   * @param {1 | -1} way
   */
  step(way) {
    this.pause();
    const { player } = this;
    if (way > 0) {
      const before = player.held.document;
      while (player.at < player.length && player.held.document === before) this.#next();
    } else {
      // The start of what is shown now, and one before that.
      const { entries } = player.recording;
      let at = player.at;
      const isShown = (/** @type {number} */ at) => entries[at]?.kind === "in" && /^[sd]$/.test(entries[at].message[0]);
      while (at > 0 && !isShown(at - 1)) at--;
      this.seek(Math.max(0, at - 1));
    }
    this.#changed();
  }

  /** @param {number} at how many entries are to have been played; no fewer than {@link first} */
  seek(at) {
    this.pause();
    this.player.seek(Math.max(at, this.first));
    this.#show();
    this.#changed();
  }

  /** Gives the page back to its server, with the document that it had. */
  end() {
    this.pause();
    this.#undo();
  }

  #next() {
    const { player } = this;
    const before = player.held;
    const entry = player.step();
    if (entry?.kind !== "in" || player.held === before) return;
    const { message } = entry;
    if (message[0] === "d" && player.held.document !== before.document) {
      this.#inspected.document.patch(message[3]);
      this.#tell(message[4]?.e ?? []);
    } else if (message[0] === "s") {
      this.#show();
      this.#tell(message[4]?.e ?? []);
    }
  }

  /** @param {import("../wire.js").Event[]} events those that a page shows; none leads away from it */
  #tell(events) {
    for (const [, , kind, detail] of events) {
      if (SHOWN.has(kind)) this.#app.dispatchEvent(new CustomEvent(kind, { detail, cancelable: true }));
    }
  }

  #show() {
    const { document } = this.player.held;
    // A copy, as the page shares into it what it holds already.
    if (document) this.#inspected.document.replace(copyOf(document));
  }

  #plan() {
    const { player, speed } = this;
    const { clock } = this.#inspected.environment;
    const next = player.recording.entries[player.at];
    const playing = this.#playing;
    if (!playing) return;
    if (!next) {
      this.pause();
      return;
    }
    const due = speed === Infinity ? 0 : (next.at_ms - playing.at_ms) / speed - (this.#now - playing.now);
    this.#timer = clock.setTimeout(() => {
      const until = speed === Infinity ? next.at_ms : playing.at_ms + (this.#now - playing.now) * speed;
      for (let entry; (entry = player.recording.entries[player.at]) && entry.at_ms <= until; ) this.#next();
      this.#changed();
      this.#plan();
    }, Math.max(0, due));
  }

  get #now() {
    return this.#inspected.environment.clock.now();
  }

  #takeOver() {
    const app = this.#app;
    const { connection, document, environment } = this.#inspected;
    const { keepDocument, WebSocket } = environment;
    const own = Object.getOwnPropertyDescriptor(app, "action");
    const live = document.root;
    this.#probe.paused = true;
    // What is shown is no document of the session's: a reload must not find it.
    environment.keepDocument = false;
    environment.WebSocket = /** @type {typeof globalThis.WebSocket} */ (/** @type {unknown} */ (
      class {
        constructor() {
          throw new Error("a recording is replayed");
        }
      }
    ));
    // Lost first, so that the session knows that it must be welcomed again.
    this.#probe.link.lose();
    connection.stop("closed");
    const refuse = async () => {
      throw new WindlassError("replayed", "a recording is replayed: nothing is sent");
    };
    Object.defineProperty(app, "action", { value: refuse, configurable: true, writable: true });
    return () => {
      if (own) Object.defineProperty(app, "action", own);
      else Reflect.deleteProperty(app, "action");
      if (live) document.replace(copyOf(live));
      Object.assign(environment, { keepDocument, WebSocket });
      this.#probe.paused = false;
      connection.open();
    };
  }
}

/** @param {Recording} recording */
function firstShown({ start, entries }) {
  if (start.document) return 0;
  return entries.findIndex((entry) => entry.kind === "in" && entry.message[0] === "s") + 1;
}

/**
 * @param {JsonObject} document
 * @returns {JsonObject} with every key as data, `__proto__` too
 */
function copyOf(document) {
  return JSON.parse(JSON.stringify(document));
}

const SHOWN = new Set(["notify", "close_notify", "emit"]);
