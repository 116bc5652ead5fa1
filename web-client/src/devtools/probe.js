/**
 * Looks into a session: all that passes its socket and all that is asked of it goes into a recorder and a timeline.
 *
 * What it puts in the session's way it takes out again in {@link Probe.release}.
 *
 * @module
 */

import { decode } from "../wire.js";
import { Link } from "./link.js";
import { Recorder } from "./recorder.js";
import { REDACTED, payloadOf, redacted, withoutQuery } from "./recording.js";
import { Timeline } from "./timeline.js";

/** @import { Connection, ConnectionStatus } from "../connection.js" */
/** @import { SyncedDocument } from "../document.js" */
/** @import { Environment } from "../environment.js" */
/** @import { Json, JsonObject } from "../patch.js" */
/** @import { Tab } from "../tab.js" */
/** @import { ClientMessage, ServerMessage } from "../wire.js" */
/** @import { Held } from "./fold.js" */

/**
 * What `Session.inspect` gives.
 *
 * @typedef {object} Inspected
 * @property {Connection} connection
 * @property {SyncedDocument} document
 * @property {Environment} environment
 * @property {Tab} tab
 * @property {number} epoch
 * @property {number} n
 */

/**
 * What devtools need of a session.
 *
 * @typedef {EventTarget & {
 *   document: object | null | undefined,
 *   connection: ConnectionStatus,
 *   inspect: () => Inspected,
 *   onCommit: (listener: (commit: import("../document.js").Commit) => void) => () => void,
 *   action: Function,
 * }} Inspectable
 */

export class Probe {
  recorder;
  timeline = new Timeline();
  link;
  /** @type {() => void} hears that something was added, or that the simulation has changed */
  #changed;
  #inspected;
  #app;
  #leave = new AbortController();
  #restore;
  /** Actions whose content is not kept, by seq; as many as an outbox holds. @type {Set<number>} */
  #secrets = new Set();
  /** True while what happens is a replay's doing. */
  paused = false;

  /**
   * @param {Inspectable} app
   * @param {() => void} changed
   */
  constructor(app, changed) {
    this.#app = app;
    this.#changed = changed;
    this.#inspected = app.inspect();
    const { environment, epoch, n, tab } = this.#inspected;
    /** @type {Held} */
    let before = { epoch, n, stale: epoch === 0, stream: tab.epoch, document: /** @type {JsonObject | null} */ (app.document ?? null) };
    const now = globalThis.performance && environment.clock.now === Date.now ? () => performance.now() : environment.clock.now;
    this.recorder = new Recorder({
      held: before,
      now,
      heard: (entry, after) => {
        this.timeline.add(entry, before, after);
        before = after;
        changed();
      },
    });
    this.link = new Link(this.#inspected, {
      connect: () => this.#add({ kind: "connect" }),
      open: () => this.#add({ kind: "open" }),
      sent: (text) => this.#frame("out", text),
      received: (data) => this.#frame("in", data),
      close: (code, reason, simulated) => this.#add({ kind: "close", code, ...reasonOf(reason), ...(simulated && { simulated }) }),
      changed,
    });
    this.#restore = this.#followActions();
    this.#followEvents();
  }

  /** The page's path: of a recording. */
  get page() {
    return withoutQuery(this.#inspected.environment.page);
  }

  get recording() {
    return this.recorder.recording(this.page);
  }

  clear() {
    this.recorder.clear();
    this.timeline.clear();
    this.#changed();
  }

  release() {
    this.link.release();
    this.#restore();
    this.#leave.abort();
  }

  /** @param {import("./recorder.js").Happening} happening */
  #add(happening) {
    if (!this.paused) this.recorder.add(happening);
  }

  /**
   * @param {"in" | "out"} kind
   * @param {unknown} data
   */
  #frame(kind, data) {
    const text = String(data);
    const bytes = utf8.encode(text).length;
    let message;
    try {
      message = kind === "in" ? decode(text) : JSON.parse(text);
    } catch {
      // The session closes the connection because of it, and that is told.
      return;
    }
    // Of a later version: nothing to this page.
    if (message === null) return;
    if (message[0] === "a") this.#learn(message[1], message[2]);
    message = redacted(message, (seq) => this.#secrets.has(seq));
    if (kind === "in") this.#add({ kind, bytes, message: /** @type {ServerMessage} */ (message) });
    else this.#add({ kind, bytes, message: /** @type {ClientMessage} */ (message) });
  }

  /**
   * Whether the content of an action may be kept: not when storage does not get it.
   *
   * @param {number} seq
   * @param {string} name
   */
  #learn(seq, name) {
    const { outbox, actions } = this.#inspected.tab;
    const entry = outbox.get(seq);
    const declared = Object.hasOwn(actions, name) && actions[name]?.secret;
    if (declared || (entry && entry.kept !== entry.text)) this.#secrets.add(seq);
    else this.#secrets.delete(seq);
    if (this.#secrets.size > SECRETS_MAX) for (const oldest of this.#secrets) return void this.#secrets.delete(oldest);
  }

  /** Actions from the moment that they are asked for. */
  #followActions() {
    const app = this.#app;
    const { outbox } = this.#inspected.tab;
    const before = Object.getOwnPropertyDescriptor(app, "action");
    const action = app.action;
    /** @param {[name: string, payload?: Json, options?: object]} call */
    const followed = (...call) => {
      const [name, payload = null] = call;
      const { onState, ...options } = /** @type {import("../session.js").ActionOptions} */ (call[2] ?? {});
      const queued = () => {
        const { seq } = outbox;
        this.#learn(seq, name);
        const secret = this.#secrets.has(seq);
        this.#add({ kind: "queued", seq, name, payload: payloadOf(name, jsonOf(payload), secret), ...(secret && { secret }) });
        return seq;
      };
      let seq = 0;
      /** @type {Promise<unknown>} */
      const outcome = action.call(app, name, payload, {
        ...options,
        onState: (/** @type {import("../outbox.js").ActionState} */ state) => {
          if (state === "queued") seq = queued();
          onState?.(state);
        },
      });
      outcome.catch((error) => {
        // Told by the server already, or known to this page alone: the timeline takes the first.
        if (!seq) return;
        const text = this.#secrets.has(seq) ? REDACTED : String(error?.text ?? error?.message ?? error);
        this.#add({ kind: "ended", seq, code: String(error?.code ?? error?.name ?? "failed"), text });
      });
      return outcome;
    };
    Object.defineProperty(app, "action", { value: followed, configurable: true, writable: true });
    return () => {
      if (before) Object.defineProperty(app, "action", before);
      else Reflect.deleteProperty(app, "action");
    };
  }

  #followEvents() {
    const { signal } = this.#leave;
    const { environment } = this.#inspected;
    this.#app.addEventListener("connection", (event) => {
      const { state, code, attempt, retryAt } = /** @type {CustomEvent<ConnectionStatus>} */ (event).detail;
      const retry_in_ms = retryAt === null ? null : Math.max(0, Math.round(retryAt - environment.clock.now()));
      this.#add({ kind: "status", state, code, attempt, retry_in_ms });
    }, { signal });
    for (const event of /** @type {const} */ (["fresh", "restored", "taken_over", "error"])) {
      this.#app.addEventListener(event, (told) => {
        const { detail } = /** @type {CustomEvent} */ (told);
        this.#add({ kind: "told", event, detail: event === "error" ? { code: detail.code, text: detail.text, seq: detail.seq } : jsonOf(detail) });
      }, { signal });
    }
  }
}

/**
 * What a close said, without where another node is.
 *
 * @param {string} reason
 */
function reasonOf(reason) {
  try {
    const { code, seq, retry_after_ms } = JSON.parse(reason);
    return { reason: { ...(code !== undefined && { code }), ...(seq !== undefined && { seq }), ...(retry_after_ms !== undefined && { retry_after_ms }) } };
  } catch {
    return {};
  }
}

/**
 * As it would go over the wire: a copy that nobody changes later.
 *
 * @param {unknown} value
 * @returns {Json}
 */
function jsonOf(value) {
  return JSON.parse(JSON.stringify(value) ?? "null");
}

const utf8 = new TextEncoder();
const SECRETS_MAX = 1_000;
