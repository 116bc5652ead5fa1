/**
 * What happened, as items that a person reads: each action with its life, each delta, event, job and connection.
 *
 * An item is made of one or more entries of a recording and grows with them: an action is one item from the moment that
 * it waits until it is saved. The same for entries that happen and for those of a file.
 *
 * @module
 */

import { Player } from "./player.js";
import { RecordingError } from "./recording.js";
import { bytesText, opText, preview, tookText } from "./text.js";

/** @import { Held } from "./fold.js" */
/** @import { Entry, Recording } from "./recording.js" */
/** @import { Job } from "../session.js" */
/** @import { Json, JsonObject } from "../patch.js" */
/** @import { Extras, Welcome } from "../wire.js" */

/** @typedef {"action" | "delta" | "event" | "job" | "connection" | "control"} Kind */
/** @typedef {"" | "info" | "success" | "warning" | "error"} Tone */

/**
 * @typedef {object} Item
 * @property {number} id
 * @property {Kind} kind
 * @property {number} at_ms
 * @property {string} title
 * @property {string} detail
 * @property {string} badge the state that it is in
 * @property {Tone} tone
 * @property {number} bytes on the wire, of all its frames
 * @property {number | null} latency_ms from its beginning to its outcome
 * @property {{ state: string, at_ms: number }[]} life
 * @property {string[]} lines what it is made of, readable
 * @property {unknown[]} raw messages
 */

export class Timeline {
  /** @type {Item[]} oldest first */
  items = [];
  /** Grows with each change, so that a view knows when to look again. */
  revision = 0;
  #last = 0;
  /** @type {Map<number, Item>} actions without an outcome, by seq */
  #open = new Map();
  /** @type {Map<number, Item>} actions that are applied and not yet saved */
  #unsaved = new Map();
  /** @type {Map<string, { item: Item, status: string }>} */
  #jobs = new Map();
  /** @type {Item | null} the attempt to connect that is under way */
  #attempt = null;
  #resumes = false;
  #saves = true;
  /** @type {[number, number]} the last event */
  #event = [0, 0];

  /** Forgets the items, but not what is under way. */
  clear() {
    this.items = [];
    this.revision++;
  }

  /**
   * @param {Entry} entry
   * @param {Held} before what the page held
   * @param {Held} after what it holds then
   */
  add(entry, before, after) {
    const { at_ms } = entry;
    this.revision++;
    switch (entry.kind) {
      case "connect":
        this.#attempt = this.#item("connection", at_ms, "connect", { badge: "connecting", tone: "info" });
        live(this.#attempt, "connecting", at_ms);
        break;
      case "open":
        if (this.#attempt) live(this.#attempt, "open", at_ms);
        break;
      case "close": {
        const name = entry.reason?.code ?? (entry.code === 1000 ? "closed" : "lost");
        const said = entry.reason ? preview(entry.reason) : "";
        const detail = [entry.simulated ? "simulated" : "", said].filter(Boolean).join(" · ");
        const tone = entry.code === 1000 ? "info" : entry.simulated ? "warning" : "error";
        if (this.#attempt) Object.assign(this.#attempt, { badge: "failed", tone: "error" });
        this.#attempt = null;
        this.#item("connection", at_ms, `closed ${entry.code}`, { detail, badge: name, tone });
        break;
      }
      case "status":
        if (entry.state === "waiting") {
          const wait = entry.retry_in_ms === null ? "" : `again in ${tookText(entry.retry_in_ms)}`;
          this.#item("connection", at_ms, `waits after attempt ${entry.attempt}`, { detail: wait, badge: entry.code ?? "", tone: "warning" });
        } else if (entry.state === "stopped") {
          this.#item("connection", at_ms, "stopped", { badge: entry.code ?? "", tone: "warning" });
        }
        break;
      case "queued":
        this.#queued(entry.seq, entry.name, entry.payload, at_ms);
        break;
      case "ended": {
        const item = this.#open.get(entry.seq);
        if (!item) break;
        this.#end(entry.seq, item, entry.code, "error", at_ms);
        item.lines.push(entry.text);
        break;
      }
      case "told": {
        const tone = entry.event === "error" ? "error" : "warning";
        this.#item("connection", at_ms, entry.event, { detail: preview(entry.detail), tone });
        if (entry.event === "fresh") this.#open.clear();
        break;
      }
      case "out":
        this.#out(entry.message, entry.bytes, at_ms);
        break;
      case "in":
        this.#in(entry.message, entry.bytes, at_ms);
        this.#changedJobs(before, after, at_ms);
    }
  }

  /**
   * @param {Kind} kind
   * @param {number} at_ms
   * @param {string} title
   * @param {Partial<Item>} [more]
   */
  #item(kind, at_ms, title, more = {}) {
    /** @type {Item} */
    const item = {
      id: ++this.#last, kind, at_ms, title, detail: "", badge: "", tone: "", bytes: 0, latency_ms: null, life: [], lines: [], raw: [],
      ...more,
    };
    this.items.push(item);
    if (this.items.length > ITEMS_MAX) this.items.shift();
    return item;
  }

  /**
   * @param {number} seq
   * @param {string} name
   * @param {Json} payload
   * @param {number} at_ms
   */
  #queued(seq, name, payload, at_ms) {
    const old = this.#open.get(seq);
    // A later write has taken its place before it was sent.
    const item = old ?? this.#item("action", at_ms, name);
    Object.assign(item, { detail: payload === null ? "" : preview(payload), badge: "queued", tone: "info", title: name });
    item.lines = [`seq ${seq}`, `payload ${preview(payload, 2_000)}`];
    live(item, old ? "replaced" : "queued", at_ms);
    this.#open.set(seq, item);
    return item;
  }

  /**
   * @param {import("../wire.js").ClientMessage} message
   * @param {number} bytes
   * @param {number} at_ms
   */
  #out(message, bytes, at_ms) {
    const raw = [message];
    switch (message[0]) {
      case "h": {
        const [, { token, n }] = message;
        this.#resumes = token !== null;
        const item = this.#attempt ?? this.#item("connection", at_ms, "hello");
        item.bytes += bytes;
        item.raw.push(message);
        item.lines.push(token === null ? "hello: a client without a session" : `hello: has frame n ${n}`);
        live(item, "hello", at_ms);
        break;
      }
      case "a": {
        const [, seq, name, payload] = message;
        const known = this.#open.get(seq) ?? this.#unsaved.get(seq);
        const item = known ?? this.#queued(seq, name, /** @type {Json} */ (payload), at_ms);
        this.#open.set(seq, item);
        live(item, item.life.some(({ state }) => state === "sent") ? "sent again" : "sent", at_ms);
        Object.assign(item, { badge: "sent", tone: "info" });
        item.bytes += bytes;
        item.raw.push(message);
        break;
      }
      case "v": {
        const item = this.#open.get(message[1]);
        if (item) live(item, "void", at_ms);
        else this.#item("control", at_ms, "void", { detail: `seq ${message[1]}`, bytes, raw });
        break;
      }
      case "k":
        this.#item("control", at_ms, "ack", { detail: `n ${message[1]}`, bytes, raw });
        break;
      case "r":
        this.#item("connection", at_ms, "refetch", { detail: "a delta did not apply", tone: "warning", bytes, raw });
        break;
      default:
        this.#item("control", at_ms, NAMES[message[0]] ?? String(message[0]), { bytes, raw });
    }
  }

  /**
   * @param {import("../wire.js").ServerMessage} message
   * @param {number} bytes
   * @param {number} at_ms
   */
  #in(message, bytes, at_ms) {
    const raw = [message];
    switch (message[0]) {
      case "w":
        this.#welcome(message[1], bytes, at_ms);
        break;
      case "s": {
        const [, n, ack, document, extras] = message;
        const keys = Object.keys(document).length;
        this.#item("delta", at_ms, `snapshot n ${n}`, { detail: `${keys} ${keys === 1 ? "member" : "members"}: ${preview(document)}`, badge: "snapshot", bytes, raw });
        this.#extras(ack, extras, at_ms);
        break;
      }
      case "d": {
        const [, n, ack, ops, extras] = message;
        const lines = ops.slice(0, LINES_MAX).map(opText);
        if (ops.length > LINES_MAX) lines.push(`… ${ops.length - LINES_MAX} more`);
        const more = ops.length > 1 ? ` and ${ops.length - 1} more` : "";
        const beside = [[extras?.r, "outcome"], [extras?.e, "event"], [extras?.saved, "saved"]].filter(([there]) => there !== undefined);
        const nothing = beside.length ? `no change, but ${beside.map(([, name]) => name).join(" and ")}` : "no change";
        const badge = ops.length === 1 ? "1 op" : `${ops.length} ops`;
        this.#item("delta", at_ms, `n ${n}`, { detail: (lines[0] ?? nothing) + more, badge, bytes, lines, raw });
        this.#extras(ack, extras, at_ms);
        break;
      }
      case "o": {
        const [, seq, code, text, retry_after_ms] = message;
        const item = this.#open.get(seq);
        if (item) live(item, `later: ${code}`, at_ms);
        this.#item("connection", at_ms, "later", { detail: `seq ${seq}: ${text}, again in ${retry_after_ms} ms`, badge: code, tone: "warning", bytes, raw });
        break;
      }
      case "x":
        this.#item("connection", at_ms, "unknown", { detail: preview(message.slice(1)), tone: "error", bytes, raw });
        break;
      default:
        this.#item("control", at_ms, message[0] === "p" ? "pong" : NAMES[message[0]] ?? String(message[0]), { bytes, raw });
    }
  }

  /**
   * @param {Welcome} welcome
   * @param {number} bytes
   * @param {number} at_ms
   */
  #welcome(welcome, bytes, at_ms) {
    const { session, epoch, resumed, forgotten, saved } = welcome;
    this.#saves = saved !== null;
    const item = this.#attempt ?? this.#item("connection", at_ms, "welcome");
    this.#attempt = null;
    live(item, "welcome", at_ms);
    const badge = resumed ? "replay" : this.#resumes ? "snapshot" : "new";
    const how = forgotten ? "the session had let this client go" : HOW[badge];
    Object.assign(item, {
      title: "connected", badge, tone: resumed || badge === "new" ? "success" : "warning", detail: how,
      latency_ms: at_ms - item.at_ms, bytes: item.bytes + bytes,
    });
    item.lines.push(`welcome: session ${session}, epoch ${epoch}, ack ${welcome.ack}, saved ${saved}`, how ?? "");
    item.raw.push(["w", welcome]);
    this.#saved(saved, at_ms);
  }

  /**
   * @param {number} ack
   * @param {Extras | undefined} extras
   * @param {number} at_ms
   */
  #extras(ack, extras, at_ms) {
    for (const [epoch, n, kind, body] of extras?.e ?? []) {
      const again = epoch < this.#event[0] || (epoch === this.#event[0] && n <= this.#event[1]);
      if (again) continue;
      this.#event = [epoch, n];
      const tone = /** @type {Tone} */ (TONES.has(String(body.level)) ? body.level : "");
      const detail = String(body.text ?? body.url ?? (kind === "emit" ? `${body.name}: ${preview(body.value)}` : preview(body)));
      this.#item("event", at_ms, kind, { detail, badge: String(body.level ?? ""), tone, raw: [[epoch, n, kind, body]] });
    }
    const told = new Map((extras?.r ?? []).map((outcome) => [outcome[0], outcome]));
    for (const [seq, item] of [...this.#open]) {
      const outcome = told.get(seq);
      if (outcome?.[1] === "pending") {
        live(item, "pending", at_ms);
        item.badge = "pending";
      } else if (seq <= ack && (outcome || item.badge !== "pending")) {
        if (outcome) item.raw.push(outcome);
        if (!outcome || outcome[1] === "applied") {
          if (outcome?.[2] !== undefined) item.lines.push(`reply ${preview(outcome[2], 2_000)}`);
          this.#end(seq, item, "applied", "success", at_ms);
          if (this.#saves) this.#unsaved.set(seq, item);
        } else this.#end(seq, item, outcome[1], "error", at_ms, `${outcome[2]}: ${outcome[3]}`);
      }
    }
    this.#saved(extras?.saved ?? null, at_ms);
  }

  /**
   * @param {number | null} saved
   * @param {number} at_ms
   */
  #saved(saved, at_ms) {
    for (const [seq, item] of this.#unsaved) {
      if (saved === null || seq > saved) continue;
      this.#unsaved.delete(seq);
      live(item, "saved", at_ms);
      item.badge = "saved";
    }
  }

  /**
   * @param {number} seq
   * @param {Item} item
   * @param {string} state
   * @param {Tone} tone
   * @param {number} at_ms
   * @param {string} [why]
   */
  #end(seq, item, state, tone, at_ms, why = "") {
    this.#open.delete(seq);
    live(item, state, at_ms);
    Object.assign(item, { badge: why ? `${state} ${why.split(":")[0]}` : state, tone, latency_ms: at_ms - item.at_ms });
    if (why) item.lines.push(why);
  }

  /**
   * @param {Held} before
   * @param {Held} after
   * @param {number} at_ms
   */
  #changedJobs(before, after, at_ms) {
    const [old, now] = [before, after].map(({ document }) => jobsOf(document));
    if (!now || now === old) return;
    for (const job of now) {
      if (old?.includes(job)) continue;
      const known = this.#jobs.get(job.id);
      const detail = [
        job.progress === null || job.progress === undefined ? "" : `${Math.round(job.progress * 100)} %`,
        job.rank ? `no. ${job.rank}` : "",
        job.text ?? "",
      ].filter(Boolean).join(" · ");
      const item = known && known.status === job.status && this.items.includes(known.item) ? known.item
        : this.#item("job", at_ms, String(job.name), { badge: String(job.status ?? ""), tone: JOB_TONES[job.status] ?? "info" });
      item.detail = detail;
      item.raw = [job];
      item.lines = [`job ${job.id}, attempt ${job.attempt}`, ...(Array.isArray(job.log) ? job.log : [])];
      item.latency_ms = job.status === "queued" ? null : job.elapsed_ms ?? null;
      this.#jobs.set(job.id, { item, status: job.status });
    }
    const ids = new Set(now.map(({ id }) => id));
    for (const id of this.#jobs.keys()) if (!ids.has(id)) this.#jobs.delete(id);
  }
}

/**
 * All of a recording, as it was told when it happened.
 *
 * @param {Recording} recording
 * @throws {RecordingError} when an entry is of such types that it cannot be told, or deeper than anything that was recorded
 */
export function timelineOf(recording) {
  const timeline = new Timeline();
  try {
    const player = new Player(recording);
    let before = player.held;
    for (const { entry, held } of player.all()) {
      timeline.add(entry, before, held);
      before = held;
    }
  } catch (error) {
    throw new RecordingError("bad_entry", `it cannot be shown: ${error}`);
  }
  return timeline;
}

/**
 * What a filter lets through.
 *
 * @param {readonly Item[]} items
 * @param {ReadonlySet<Kind>} kinds
 * @param {string} text anywhere in title, detail, state or lines, whatever the case
 */
export function filtered(items, kinds, text) {
  const wanted = text.trim().toLowerCase();
  return items.filter((item) => {
    if (!kinds.has(item.kind)) return false;
    if (!wanted) return true;
    const all = [item.title, item.detail, item.badge, ...item.lines].join("\n");
    return all.toLowerCase().includes(wanted);
  });
}

/**
 * How long the last actions took until their outcome: the middle one and the slowest.
 *
 * @param {readonly Item[]} items
 * @returns {{ count: number, median_ms: number, max_ms: number } | null} null when there was none
 */
export function latency(items) {
  const all = items.filter(({ kind, latency_ms }) => kind === "action" && latency_ms !== null).slice(-LATENCIES);
  const sorted = all.map(({ latency_ms }) => Number(latency_ms)).sort((one, other) => one - other);
  const count = sorted.length;
  if (!count) return null;
  return { count, median_ms: Number(sorted[count >> 1]), max_ms: Number(sorted[count - 1]) };
}

/**
 * All of an item in lines, to be copied.
 *
 * @param {Item} item
 */
export function itemText({ kind, title, badge, detail, bytes, latency_ms, life, lines }) {
  const first = life[0]?.at_ms ?? 0;
  const facts = [bytes ? bytesText(bytes) : "", latency_ms === null ? "" : tookText(latency_ms)].filter(Boolean);
  return [
    [kind, title, badge, ...facts].filter(Boolean).join(" · "),
    detail,
    life.map(({ state, at_ms }) => `${state} +${tookText(at_ms - first)}`).join(" → "),
    ...lines,
  ].filter(Boolean).join("\n");
}

/**
 * @param {Item} item
 * @param {string} state
 * @param {number} at_ms
 */
function live(item, state, at_ms) {
  item.life.push({ state, at_ms });
}

/** @param {JsonObject | null} document */
function jobsOf(document) {
  const jobs = document && Object.hasOwn(document, "$jobs") ? document.$jobs : undefined;
  if (!Array.isArray(jobs)) return undefined;
  // A file may have anything in its place.
  const are = jobs.every((job) => typeof job === "object" && job !== null && "id" in job && "name" in job);
  return are ? /** @type {Job[]} */ (/** @type {unknown} */ (jobs)) : undefined;
}

/** @type {readonly Kind[]} */
export const KINDS = ["action", "delta", "event", "job", "connection", "control"];

/** @type {{ [tag: string]: string }} */
const NAMES = { p: "ping", q: "ask" };

/** @type {{ [badge: string]: string }} */
const HOW = {
  replay: "resumed: what was missed is replayed",
  snapshot: "not resumed: a snapshot follows",
  new: "a new session: a snapshot follows",
};

const TONES = new Set(["info", "success", "warning", "error"]);
/** @type {{ [status: string]: Tone }} */
const JOB_TONES = { done: "success", failed: "error", timed_out: "error", lost: "error", cancelled: "warning" };

/** How many items are kept; the oldest go first. */
export const ITEMS_MAX = 1_000;
// As many as tell how it is now.
const LATENCIES = 50;
// Of one delta's ops.
const LINES_MAX = 200;
