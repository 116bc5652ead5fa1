/**
 * One client's share in a session: what comes from the server goes into the document, what the page asks for goes
 * out as numbered actions, and each of them gets one outcome, whatever happens to the network, the page or the server.
 *
 * The order in which a frame takes effect: the document, those who watch it, what storage keeps, events, outcomes;
 * all in the task of the socket. Names in brackets are the rules of protocol.md.
 *
 * @module
 */

import { Claim } from "./claim.js";
import { Connection } from "./connection.js";
import { SyncedDocument, guard } from "./document.js";
import { environment, pageOf } from "./environment.js";
import { WindlassError } from "./error.js";
import { own } from "./own.js";
import { NOBODY } from "./outbox.js";
import { Tab, randomHex } from "./tab.js";
import { byteLength, decode, isAfter } from "./wire.js";

/** @import { Close } from "./connection.js" */
/** @import { ConnectOptions } from "./environment.js" */
/** @import { ActionState, Entry } from "./outbox.js" */
/** @import { JsonObject, Op } from "./patch.js" */
/** @import { ActionRest, FieldPath, Listens, PathIn, ReplyOf, Root, SetRest, ValueAt } from "./typed.js" */
/** @import { Declared, Extras, Outcome, Welcome } from "./wire.js" */

/**
 * @typedef {object} ActionOptions
 * @property {AbortSignal} [signal] an action that has not been sent is withdrawn, for one that has been only the wait ends
 * @property {number} [timeout_ms] after so long it rejects with `timeout`; it is withdrawn as by the signal
 * @property {boolean} [secret] its content is kept from storage, so after a reload it is not sent again
 * @property {string} [replaces] names what it is about: it takes the place of the last action when that is about the same
 *   and was not sent
 * @property {"applied" | "saved"} [until] what the promise waits for, `applied` by default
 * @property {(state: ActionState) => void} [onState]
 */

/**
 * A job as the page sees it; protocol.md section 10 has the members' meanings.
 *
 * @typedef {object} Job
 * @property {string} id
 * @property {string} name
 * @property {"queued" | "running" | "done" | "failed" | "cancelled" | "timed_out" | "lost"} status
 * @property {number} attempt
 * @property {number | null} rank
 * @property {number | null} eta_ms
 * @property {number} elapsed_ms
 * @property {number | null} progress
 * @property {string | null} text
 * @property {string[]} log
 * @property {Children} [children] the runs that it has started; missing while there are none
 *
 * @typedef {object} Children
 * @property {number} total
 * @property {number} queued
 * @property {number} running
 * @property {number} done
 * @property {number} failed
 * @property {number} cancelled
 * @property {{id: string, name: string, progress: number | null, text: string | null}[]} active those that run, at most 16
 */

/**
 * Connects to an app. With the types that `windlass types` has written of it, `connect<State, Actions, Fields, Events>()`,
 * all that the page says to the session is checked.
 *
 * @template {object} [State=Record<string, unknown>]
 * @template {object} [Actions=Record<string, unknown>]
 * @template {object} [Fields=Record<string, unknown>]
 * @template {object} [Events=Record<string, any>]
 * @param {ConnectOptions} [options]
 * @returns {Listens<Events> & Session<State, Actions, Fields>}
 */
export function connect(options) {
  return /** @type {Listens<Events> & Session<State, Actions, Fields>} */ (/** @type {unknown} */ (new Session(options)));
}

/**
 * Dispatches `CustomEvent`s whose `detail` is the body: the server's `notify`, `close_notify`, `navigate`, `download`,
 * `emit` and `events_lost`; and `connection` (the new status), `navigated` ({url}: by this page), `fresh` ({reason,
 * rejected}: another session has replaced the one there was), `restored`, `taken_over`, and `error` (a {@link WindlassError} that no promise carries).
 *
 * @template {object} [State=Record<string, unknown>]
 * @template {object} [Actions=Record<string, unknown>]
 * @template {object} [Fields=Record<string, unknown>]
 */
export class Session extends EventTarget {
  #document = new SyncedDocument();
  /** @type {import("./environment.js").Environment} */
  #environment;
  /** @type {Connection} */
  #connection;
  /** @type {Tab} */
  #tab;
  /** @type {Claim} */
  #claim;
  #instance = randomHex(8);
  /** Counts starts and leaves, so that a start that waited knows whether it is still wanted. */
  #turn = 0;
  /** Ends the listeners on the window. */
  #closing = new AbortController();

  /** The epoch and the number of the frame that the document is of. */
  #epoch = 0;
  #n = 0;
  /** The epoch of the frames that come, to which a snapshot brings the document. */
  #streamEpoch = 0;
  /** True when no delta can be applied before the next snapshot. */
  #stale = true;
  /** @type {Extras[]} of deltas that could not be applied: their outcomes and events hold all the same */
  #held = [];

  #welcomed = false;
  /** Set when the server has said that it consumes nothing more on this connection. */
  #blocked = false;
  #ack = 0;
  /** The last action that went out on this connection. */
  #sent = 0;
  /** @type {number | null} */
  #saved = null;
  #inFlightMax = 0;
  #message_bytes_max = 0;

  #unackedBytes = 0;
  #ackedAt = 0;
  /** @type {number | undefined} */
  #ackTimer;

  /** @param {ConnectOptions} [options] */
  constructor(options = {}) {
    super();
    this.#environment = environment(options);
    const { url, storage, keepDocument } = this.#environment;
    this.#tab = new Tab(`windlass:${url}`, storage);
    const kept = keepDocument && this.#tab.kept();
    if (kept) {
      this.#document.root = kept.document;
      this.#epoch = kept.epoch;
      this.#n = kept.n;
      this.#stale = false;
    }
    this.#claim = new Claim({ ...this.#environment, instance: this.#instance });
    this.#connection = new Connection(this.#environment, {
      opened: () => this.#hello(),
      received: (data) => this.#received(data),
      closed: (close) => this.#closed(close),
      changed: (status) => this.#tell("connection", status),
      unansweredSince: () => (this.#sent > this.#ack ? (this.#tab.outbox.get(this.#ack + 1)?.sentAt ?? null) : null),
    });
    this.#followPage();
    this.#start();
  }

  /** @returns {State | undefined} the same reference until something in it changes; undefined before the first */
  get document() {
    return /** @type {State | undefined} */ (this.#document.root);
  }

  /** {@link document} as a function that needs no `this`. */
  getSnapshot = () => this.document;

  /**
   * Runs the listener after each change: of the document, or of the value at a path (`"rows.0.name"` or its steps).
   *
   * @type {{
   *   (listener: (value: State) => void): () => void,
   *   <Path extends string>(path: PathIn<State & Root, Path>, listener: (value: ValueAt<State & Root, Path>) => void): () => void,
   *   (path: (string | number)[], listener: (value: unknown) => void): () => void,
   * }}
   */
  subscribe = (
    /** @type {unknown} */ path,
    /** @type {unknown} */ listener = path,
  ) =>
    this.#document.subscribe(
      typeof path === "function" ? [] : /** @type {string} */ (path),
      /** @type {(value: unknown) => void} */ (listener),
    );

  /**
   * Runs the listener at each commit with the ops that made it, before any subscriber.
   *
   * @param {(commit: import("./document.js").Commit) => void} listener
   * @returns {() => void} stops it
   */
  onCommit(listener) {
    return this.#document.onCommit(listener);
  }

  /** State, time of the next attempt, why; the same object until it changes. */
  get connection() {
    return this.#connection.status;
  }

  /** How many actions have no outcome yet. */
  get pending() {
    return this.#tab.outbox.pending;
  }

  /**
   * Asks the server for something. Works without a connection too: the action waits in the outbox.
   *
   * @template {keyof Actions & string} Name
   * @param {Name} name
   * @param {ActionRest<Actions[Name]>} rest the payload, which may be left out when null is one, and options
   * @returns {Promise<ReplyOf<Actions[Name]>>} the reply, or a {@link WindlassError}: the server's code, or `outbox_full`, `too_large`,
   *   `session_gone` (it was never sent), `outcome_unknown` (it was, to a session that is gone), `closed`, `taken_over`
   */
  action(name, ...[payload, { signal, timeout_ms, secret = false, replaces, until = "applied", onState } = {}]) {
    /** @type {Promise<any>} */
    const promise = new Promise((resolve, reject) => {
      signal?.throwIfAborted();
      const { state, code } = this.#connection.status;
      if (state === "stopped") throw new WindlassError(code ?? "closed", "this page has left its session");
      const asks = /** @type {Declared[string]} */ (own(this.#tab.actions, name));
      /** @type {[number, number] | undefined} */
      const seen = asks?.only_if_seen && !this.#stale ? [this.#epoch, this.#n] : undefined;
      const entry = this.#tab.outbox.add(name, payload, { secret: secret || asks?.secret, seen, replaces });
      if (!entry) throw new WindlassError("outbox_full", "too many wait");
      const say = (/** @type {ActionState} */ state) => onState && guard(() => onState(state));
      // An action that took another's place ends for both who asked.
      const before = entry.waiter;
      entry.waiter = {
        until: before?.until === "saved" ? "saved" : until,
        state: (state) => (before?.state(state), say(state)),
        resolve: (value) => (before?.resolve(value), resolve(value)),
        reject: (error) => (before?.reject(error), reject(error)),
      };
      const { clock } = this.#environment;
      const withdraw = () => this.#withdraw(entry, signal?.reason);
      const late = () => this.#withdraw(entry, new WindlassError("timeout", `no outcome within ${timeout_ms} ms`, entry.seq));
      signal?.addEventListener("abort", withdraw);
      const timer = timeout_ms === undefined ? timeout_ms : clock.setTimeout(late, timeout_ms);
      const forget = () => {
        signal?.removeEventListener("abort", withdraw);
        clock.clearTimeout(timer);
      };
      queueMicrotask(() => promise.then(forget, forget));
      say("queued");
      if (!this.#pump()) this.#tab.save();
    });
    return promise;
  }

  /**
   * Writes a value to a field that the app has declared as writable. A later write of the same path takes the place of
   * one that was not sent, while nothing else was asked for in between.
   *
   * @param {SetRest<Fields>} rest the path, members by name and rows of lists by their key: `["todos", { id: 7 }, "title"]`
   *   [SET-2]; the value; and options
   * @returns {Promise<unknown>}
   */
  set(...[path, value, options]) {
    return this.action(SET, /** @type {never} */ ({ path, value }), { replaces: JSON.stringify(path), ...options });
  }

  /**
   * Goes to an address of this page without loading it again; the app's `on_navigate` hears of it, as of back and forward.
   *
   * @param {string} url
   */
  navigate(url) {
    const { window } = this.#environment;
    window?.history.pushState(null, "", url);
    this.#tell("navigated", { url });
    this.#moved(window ? pageOf(window) : url);
  }

  /** @param {string} page */
  #moved(page) {
    // What is behind # is the page's own business.
    if (page === this.#environment.page) return;
    this.#environment.page = page;
    if (!own(this.#tab.actions, NAVIGATE)) return;
    this.action(NAVIGATE, /** @type {never} */ (this.#environment.page)).catch((error) => this.#tell("error", error));
  }

  /**
   * The jobs of this session, oldest first; the same list until one of them changes.
   *
   * @returns {readonly Job[]}
   */
  get jobs() {
    return /** @type {readonly Job[] | undefined} */ (own(this.#document.root, "$jobs")) ?? NO_JOBS;
  }

  /**
   * Asks a job of this session to end. [JOB-1]
   *
   * @param {string} job its id
   */
  cancel(job) {
    return this.action(CANCEL, /** @type {never} */ (job));
  }

  /**
   * Takes a job that has ended out of `jobs`; without an id, all of them. [JOB-2]
   *
   * @param {string | null} [job] its id
   */
  dismiss(job = null) {
    return this.action(DISMISS, /** @type {never} */ (job));
  }

  /** Connects now: instead of waiting, or after a stop. */
  retry() {
    if (/waiting|stopped/.test(this.connection.state)) this.#connection.open();
  }

  /** Leaves for good. What was sent and not answered rejects with `outcome_unknown`, what was not is never sent. */
  close() {
    const { outbox } = this.#tab;
    this.#closing.abort();
    for (const entry of outbox.entries.filter(({ answered }) => !answered)) {
      this.#abandon(entry, "closed");
      if (!entry.sent) outbox.void(entry);
    }
    this.#leave();
    this.#connection.stop("closed");
  }

  /** What devtools look into and put themselves between; no page should. It changes without notice. */
  inspect() {
    return {
      connection: this.#connection,
      document: this.#document,
      environment: this.#environment,
      tab: this.#tab,
      /** Of the frame that the document is of; 0 when it is of none. */
      epoch: this.#stale ? 0 : this.#epoch,
      n: this.#n,
    };
  }

  #followPage() {
    const { window, visible } = this.#environment;
    const { signal } = this.#closing;
    if (!window) return;
    const { document } = window;
    const wake = () => this.#connection.wake();
    /**
     * @param {EventTarget} target
     * @param {string} type
     * @param {(event: any) => void} heard
     */
    const on = (target, type, heard) => target.addEventListener(type, heard, { signal });
    // A listener of the page that has something to send before it goes registers with `capture`, and runs before this.
    on(window, "pagehide", () => this.#leave());
    on(window, "pageshow", ({ persisted }) => persisted && this.#start());
    on(window, "popstate", () => this.#moved(pageOf(window)));
    // What is offline may be a network or just this one's name; a ping finds out.
    on(window, "online", wake);
    on(window, "offline", wake);
    on(document, "freeze", () => this.#keep());
    on(document, "resume", wake);
    // A phone may end a hidden page without another word.
    on(document, "visibilitychange", () => (visible() ? wake() : this.#keep()));
  }

  async #start() {
    const turn = ++this.#turn;
    const ours = await this.#claim.take(this.#tab.client);
    await this.#environment.after;
    if (turn !== this.#turn) return;
    if (!ours) this.#becomeAnother();
    this.#connection.open();
  }

  /** Lets go of all that another page of this tab will need, as it may come the next moment. */
  #leave() {
    this.#turn++;
    this.#keep();
    this.#tab.save();
    this.#disconnected();
    this.#connection.stop("left", "waiting");
    this.#claim.release();
  }

  #keep() {
    const document = this.#document.root;
    if (!this.#environment.keepDocument || this.#stale || document === undefined) return;
    this.#tab.keep({ epoch: this.#epoch, n: this.#n, document });
  }

  /** [TAKEOVER-1] The client is another page's: this one begins its own. */
  #becomeAnother() {
    // What was restored from the copy is the other page's to send; only what this page asked for is lost.
    this.#tab.outbox.entries = this.#tab.outbox.entries.filter(({ waiter }) => waiter !== undefined);
    this.#tab.renew();
    this.#claim.take(this.#tab.client);
    this.#afresh("in_use");
  }

  /**
   * [FRESH-1] Nothing that was meant for one session is sent to another.
   *
   * @param {string} reason
   */
  #afresh(reason) {
    const gone = this.#tab.outbox.clear(0);
    this.#stale = true;
    this.#held = [];
    this.#tab.save();
    for (const entry of gone) this.#abandon(entry, "session_gone");
    this.#tell("fresh", { reason, rejected: gone.length });
  }

  /**
   * @param {Entry} entry
   * @param {string} code when it was never sent
   */
  #abandon({ seq, sent, waiter }, code) {
    const error = sent
      ? new WindlassError("outcome_unknown", "its outcome is unknown", seq)
      : new WindlassError(code, "it was never sent", seq);
    waiter?.reject(error);
  }

  #hello() {
    const { tokens, client, event, outbox } = this.#tab;
    // Answered ones too: a crash may have undone what is not saved, and then they are sent again.
    const sent = outbox.entries.findLast((entry) => entry.sent)?.seq;
    this.#connection.send(["h", {
      token: tokens[0] ?? null,
      client,
      instance: this.#instance,
      epoch: this.#stale ? 0 : this.#epoch,
      n: this.#stale ? 0 : this.#n,
      event,
      seq: outbox.firstPending,
      ...(sent === undefined ? {} : { sent: /** @type {[number, number]} */ ([this.#tab.epoch, sent]) }),
      page: this.#environment.page,
      can: [],
    }]);
  }

  /** @param {unknown} data */
  #received(data) {
    let message;
    try {
      message = decode(data);
    } catch {
      this.#connection.fail("bad_message");
      return;
    }
    if (message === null) return;
    if (message[0] === "w") {
      if (!this.#welcomed) this.#welcome(message[1]);
      return;
    }
    if (!this.#welcomed) return;
    switch (message[0]) {
      case "s": {
        const [, n, ack, document, extras] = message;
        this.#stale = false;
        this.#epoch = this.#streamEpoch;
        this.#n = n;
        this.#document.replace(document);
        this.#applied(ack, extras, data, true);
        break;
      }
      case "d":
        this.#delta(message[1], message[2], message[3], message[4], data);
        break;
      case "o":
        // Not consumed, and nothing after it: all of it goes out again after the next welcome.
        this.#blocked = true;
        this.#connection.failAfter(message[4], message[2]);
        break;
      case "q":
        this.#acknowledge();
        break;
      case "x":
        this.#tell("error", new WindlassError(String(message[1]), `the server does not know ${message[2]}`));
    }
  }

  /** @param {Welcome} welcome */
  #welcome({ session, epoch, ack, saved, resumed, token, pending = [], forgotten, limits, actions }) {
    const tab = this.#tab;
    if (session === tab.session && epoch < tab.epoch) {
      // [RESUME-2] A node that has not heard of its successor.
      this.#connection.fail("lost");
      return;
    }
    tab.yielded = false;
    const fresh = tab.session !== null && tab.session !== session;
    if (fresh) tab.leaveSession();
    tab.session = session;
    tab.epoch = epoch;
    if (token !== undefined && token !== tab.tokens[0]) tab.tokens = [token, ...tab.tokens].slice(0, TOKENS_MAX);
    tab.actions = actions ?? {};
    if (fresh) this.#afresh("session_gone");
    // [FRESH-2]
    else if (forgotten) this.#afresh("forgotten");

    // [PENDING-3] Another page of this client has heard how they ended.
    for (const entry of tab.outbox.losePending(ack, pending)) this.#abandon(entry, "outcome_unknown");

    this.#streamEpoch = epoch;
    if (!resumed) this.#stale = true;
    else if (this.#stale) this.#connection.send(["r"]);
    else if (epoch > this.#epoch) {
      // [RESUME-3] The session was loaded anew, from a record that is not behind this document.
      this.#epoch = epoch;
      this.#n = 0;
    }

    this.#ack = this.#sent = ack;
    this.#saved = saved;
    this.#inFlightMax = limits?.actions_in_flight ?? IN_FLIGHT_MAX;
    this.#message_bytes_max = limits?.message_bytes_max ?? MESSAGE_BYTES_MAX;
    // With nothing under way the server's word counts, as after a page that spoke for this client in between.
    if (tab.outbox.entries.length === 0) tab.outbox.seq = ack;
    else if (ack > tab.outbox.seq) {
      // That page has used these numbers for actions of its own: what became of this page's cannot be known.
      for (const entry of tab.outbox.clear(ack)) this.#abandon({ ...entry, sent: true }, "outcome_unknown");
    }
    this.#tellSaved(tab.outbox.release(saved));
    this.#welcomed = true;
    // Hello has told what was applied, so it counts as an ack.
    this.#unackedBytes = 0;
    this.#ackedAt = this.#environment.clock.now();
    this.#connection.live();
    if (!this.#pump()) tab.save();
  }

  /**
   * @param {number} n
   * @param {number} ack
   * @param {Op[]} ops
   * @param {Extras | undefined} extras
   * @param {unknown} data
   */
  #delta(n, ack, ops, extras, data) {
    if (this.#stale) {
      if (extras) this.#held.push(extras);
      return;
    }
    if (n !== this.#n + 1) {
      // [NUMBER-1]
      this.#connection.fail("lost");
      return;
    }
    // The number moves first, as whoever hears of the commit may ask for a save; it moves back if there is none.
    this.#n = n;
    try {
      this.#document.patch(ops);
    } catch (error) {
      // [ATOMIC-1]
      this.#n = n - 1;
      this.#stale = true;
      if (extras) this.#held.push(extras);
      this.#connection.send(["r"]);
      this.#tell("error", new WindlassError("patch_failed", String(error)));
      return;
    }
    this.#applied(ack, extras, data, false);
  }

  /**
   * All that a frame brings beside the document.
   *
   * @param {number} ack
   * @param {Extras | undefined} extras
   * @param {unknown} data
   * @param {boolean} acknowledgeNow
   */
  #applied(ack, extras, data, acknowledgeNow) {
    const tab = this.#tab;
    const all = extras ? [...this.#held, extras] : this.#held;
    this.#held = [];
    const events = [];
    for (const { r = [], e = [], saved } of all) {
      tab.outbox.note(r);
      // [EVENT-2]
      for (const event of e) {
        if (!isAfter(event, tab.event)) continue;
        tab.event = [event[0], event[1]];
        events.push(event);
      }
      this.#saved = saved ?? this.#saved;
    }
    this.#ack = Math.max(this.#ack, ack);
    const settled = tab.outbox.settle(ack);
    const released = tab.outbox.release(this.#saved);
    // Before anybody hears of it: a page that leaves in an event has had the event.
    if (events.length + settled.length + released.length > 0) tab.save();
    for (const [, , kind, body] of events) if (EVENT_KINDS.test(kind)) this.#tell(kind, body);
    for (const [entry, outcome, again] of settled) this.#answer(entry, outcome, again);
    this.#tellSaved(released);
    if (extras?.restored) this.#tell("restored", {});
    this.#pump();
    this.#count(data, acknowledgeNow);
  }

  /**
   * @param {Entry} entry
   * @param {Outcome} outcome
   * @param {boolean} [again] true when it had another one, which a crash undid
   */
  #answer({ seq, waiter }, outcome, again = false) {
    if (outcome[1] === "applied") {
      waiter?.state("applied");
      if (waiter?.until === "saved" && this.#saved !== null) waiter.value = outcome[2];
      else waiter?.resolve(outcome[2] ?? null);
      return;
    }
    const [, kind, code, text] = outcome;
    const error = new WindlassError(code, text, seq);
    waiter?.state(kind);
    waiter?.reject(error);
    // The page that asked is gone, or was told something else: this one is told, whoever listens.
    if (!waiter || again) this.#tell("error", error);
  }

  /** @param {Entry[]} entries that have left the outbox */
  #tellSaved(entries) {
    if (this.#saved === null) return;
    for (const { answered, waiter } of entries) {
      if (answered !== "applied") continue;
      waiter?.state("saved");
      waiter?.resolve(waiter.value ?? null);
    }
  }

  /**
   * Sends what may be sent: in order, once a connection, and no more than the server takes.
   *
   * @returns {boolean} whether it sent anything, and so saved
   */
  #pump() {
    const { outbox } = this.#tab;
    /** @type {(Pick<Entry, "text"> & Partial<Entry>)[]} */
    const batch = [];
    // What was answered before a crash, and is sent again, does not count. [ACTION-5]
    const open = () => outbox.entries.filter(({ seq, answered }) => seq > this.#ack && seq <= this.#sent && !answered);
    while (this.#welcomed && !this.#blocked && !(open().length >= this.#inFlightMax)) {
      const entry = outbox.get(this.#sent + 1);
      if (!entry) {
        // More than a few are sent with what comes next: a server that says any number does not hold up this page.
        if (this.#sent >= outbox.seq || batch[999]) break;
        // [ACTION-6] Another page of this client had that number, and a crash undid it.
        batch.push({ text: `["v",${++this.#sent}]` });
        continue;
      }
      if (byteLength(entry.text) > this.#message_bytes_max) this.#refuse(entry, "too_large");
      entry.sent = true;
      entry.sentAt = this.#environment.clock.now();
      this.#sent = entry.seq;
      batch.push(entry);
    }
    if (batch.length === 0) return false;
    // Marked as sent before it is: a page that dies in between must not say that nothing reached the server.
    this.#tab.save();
    for (const entry of batch) {
      this.#connection.sendText(entry.text);
      if (entry.answered === null) entry.waiter?.state("sent");
    }
    return true;
  }

  /**
   * The server will not take this action: its promise is told, its number is used up.
   *
   * @param {Entry} entry
   * @param {string} code
   */
  #refuse(entry, code) {
    const asked = { ...entry };
    this.#tab.outbox.void(entry);
    this.#answer(asked, [entry.seq, "refused", code, "the server does not take it"]);
  }

  /**
   * @param {Entry} entry
   * @param {unknown} reason
   */
  #withdraw(entry, reason) {
    const { waiter } = entry;
    const { outbox } = this.#tab;
    if (entry.sent) entry.waiter = NOBODY;
    // Not when another has taken its place.
    else if (outbox.get(entry.seq) === entry) {
      outbox.void(entry);
      this.#tab.save();
    }
    waiter?.reject(reason);
  }

  /**
   * Counts a frame towards the next ack. [ACK-1]
   *
   * @param {unknown} data
   * @param {boolean} now
   */
  #count(data, now) {
    const { clock } = this.#environment;
    this.#unackedBytes += byteLength(/** @type {string} */ (data));
    const wait = this.#ackedAt + ACK_MS - clock.now();
    if (now || this.#unackedBytes >= ACK_BYTES || wait <= 0) this.#acknowledge();
    else this.#ackTimer ??= clock.setTimeout(() => this.#acknowledge(), wait);
  }

  #acknowledge() {
    const { clock } = this.#environment;
    clock.clearTimeout(this.#ackTimer);
    this.#ackTimer = undefined;
    this.#unackedBytes = 0;
    this.#ackedAt = clock.now();
    // Of a stream whose snapshot has not come nothing is applied, whatever the document is from.
    if (this.#welcomed) this.#connection.send(["k", this.#epoch === this.#streamEpoch ? this.#n : 0]);
  }

  #disconnected() {
    this.#welcomed = this.#blocked = false;
    // Nothing is sent any more; its timer goes.
    this.#acknowledge();
  }

  /** @param {Close} close */
  #closed({ code, seq }) {
    const { outbox } = this.#tab;
    this.#disconnected();
    if (code === "bad_message" || code === "too_large") {
      const entry = outbox.get(seq ?? 0);
      if (entry?.answered === null) this.#refuse(entry, code);
      this.#tab.save();
    } else if (code === "in_use") {
      this.#becomeAnother();
      // At once, but not if a new id is called in use as well.
      if (this.connection.attempt === 1) this.#connection.open();
    } else if (code === "taken_over") {
      // [TAKEOVER-2] What is stored may be the other page's by now.
      this.#tab.yielded = true;
      for (const entry of outbox.clear(outbox.seq)) this.#abandon(entry, code);
      this.#tell("taken_over", {});
    }
  }

  /**
   * @param {string} type
   * @param {unknown} detail
   */
  #tell(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail, cancelable: true }));
  }
}

// An event of a later version is no event of this page; its number counts all the same.
const EVENT_KINDS = /^(notify|close_notify|navigate|download|emit|events_lost)$/;

// What a server takes that does not say so in its welcome: the defaults of protocol.md.
const IN_FLIGHT_MAX = 32;
const MESSAGE_BYTES_MAX = 65_536;

const SET = /** @type {never} */ ("$set");
const CANCEL = /** @type {never} */ ("$cancel");
const DISMISS = /** @type {never} */ ("$dismiss");
/** @type {readonly Job[]} */
const NO_JOBS = [];
const NAVIGATE = /** @type {never} */ ("$navigate");

const TOKENS_MAX = 2;

const ACK_BYTES = 16 * 1024;
const ACK_MS = 1_000;
