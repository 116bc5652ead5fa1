/**
 * What a tab keeps so that a reload goes on where it was: the client's id, its session and tokens, the cursor of its
 * events, its outbox, and the last document it saw.
 *
 * Storage that is absent, full or forbidden is no error: the tab then lives in memory, and a reload starts afresh.
 *
 * @module
 */

import { Outbox } from "./outbox.js";

/** @import { JsonObject } from "./patch.js" */
/** @import { Declared, EventId } from "./wire.js" */

/** @typedef {{ epoch: number, n: number, document: JsonObject }} Kept the document, and the frame it is of */

export class Tab {
  client = randomHex(12);
  /** @type {string | null} */
  session = null;
  /** The newest first; the one before is kept as long as the server may have forgotten the newest. */
  tokens = /** @type {string[]} */ ([]);
  /** The highest epoch seen of the session. */
  epoch = 0;
  /** @type {EventId} the last event handled */
  event = [0, 0];
  outbox = new Outbox();
  /** @type {Declared} what the server has said of actions, which holds until it says something else */
  actions = {};
  /** True while another page speaks for this client: what is stored may be that page's, and is left alone. */
  yielded = false;

  #key;
  #storage;

  /**
   * @param {string} key
   * @param {Storage | null} storage
   */
  constructor(key, storage) {
    this.#key = key;
    this.#storage = storage;
    try {
      this.#load(storage?.getItem(key) ?? null);
    } catch {
      // Half a record is none: its numbers could not be trusted.
      this.forget();
    }
  }

  /** Writes everything but the document. Call it in the task that changed something. */
  save() {
    const { client, session, tokens, epoch, event, actions, outbox } = this;
    const entries = outbox.entries.map(({ seq, sent, answered, pending }) => [seq, sent, answered, pending]);
    // The messages follow as they are, a line each: JSON has no line breaks of its own, and none is quoted again.
    const record = JSON.stringify({ version: VERSION, client, session, tokens, epoch, event, actions, seq: outbox.seq, entries });
    this.#write(this.#key, [record, ...outbox.entries.map(({ kept }) => kept)].join("\n"));
  }

  /** @param {Kept | null} kept null forgets it */
  keep(kept) {
    const text = kept && JSON.stringify({ session: this.session, ...kept });
    if (text !== null && text.length <= DOCUMENT_LENGTH_MAX) this.#write(this.#key + DOCUMENT, text);
    else this.#remove(this.#key + DOCUMENT);
  }

  /** @returns {Kept | null} the document of this session that an earlier page kept */
  kept() {
    try {
      const kept = JSON.parse(this.#storage?.getItem(this.#key + DOCUMENT) ?? "null");
      return kept?.session === this.session ? kept : null;
    } catch {
      return null;
    }
  }

  /** Becomes a client without past, under a new id. */
  renew() {
    this.client = randomHex(12);
    this.leaveSession();
  }

  /** Forgets all that belongs to the session but for the outbox, which its owner has answers to give for. */
  leaveSession() {
    this.session = null;
    this.tokens = [];
    this.epoch = 0;
    this.event = [0, 0];
    this.keep(null);
  }

  forget() {
    this.#remove(this.#key);
    this.keep(null);
  }

  /** @param {string | null} text */
  #load(text) {
    if (text === null) return;
    const [record, ...lines] = text.split("\n");
    const { version, client, session, tokens, epoch, event, actions, seq, entries } = JSON.parse(record);
    if (version !== VERSION || lines.length !== entries.length) throw new Error("version");
    const outbox = new Outbox();
    entries.forEach((/** @type {[number, boolean, "applied" | null, boolean]} */ entry, /** @type {number} */ at) => {
      const [seq, sent, answered, pending] = entry;
      outbox.restore({ seq, sent, answered, pending, text: lines[at] });
    });
    outbox.seq = seq;
    Object.assign(this, { client, session, tokens, epoch, event, actions, outbox });
  }

  /**
   * @param {string} key
   * @param {string} text
   */
  #write(key, text) {
    if (this.yielded) return;
    try {
      this.#storage?.setItem(key, text);
    } catch {
      // An old record must not outlive this moment: its numbers would be given out twice after a reload.
      this.forget();
      this.#storage = null;
      warnStorage();
    }
  }

  /** @param {string} key */
  #remove(key) {
    if (this.yielded) return;
    try {
      this.#storage?.removeItem(key);
    } catch {
      this.#storage = null;
    }
  }
}

export function warnStorage() {
  console.warn("windlass[no_storage]: a reload starts afresh");
}

/**
 * @param {number} bytes
 * @returns {string} two lower-case digits a byte
 */
export function randomHex(bytes) {
  return Array.from(crypto.getRandomValues(new Uint8Array(bytes)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

const VERSION = 2;
const DOCUMENT = ":document";
// Of the 5 MiB or so that an origin has; a larger document comes faster from the server than from storage.
const DOCUMENT_LENGTH_MAX = 512 * 1024;
