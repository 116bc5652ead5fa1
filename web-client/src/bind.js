/**
 * Binds an element tree to a session: `const bound = bind(document.body, app)`, and `bound.release()` undoes it.
 *
 * Commits, events and promises run at once; only the writing of values waits for the next frame. A page that nobody
 * sees, or that cannot keep up, is not routed to: it is marked stale and matched again when a frame comes.
 *
 * @module
 */

import { Actions } from "./actions.js";
import { adopt } from "./dom.js";
import { later, parts } from "./later.js";
import { apply } from "./patch.js";
import { tell, toConsole } from "./report.js";
import { route, Spot } from "./spots.js";
import { Strangers } from "./strangers.js";
import { compile } from "./template.js";
import { grow, unsubscribe } from "./view.js";

/** @typedef {import("./actions.js").Sender} Sender */
/** @typedef {import("./report.js").Report} Report */
/** @typedef {import("./patch.js").Op} Op */
/** @typedef {import("./spots.js").Watcher} Watcher */
/** @typedef {import("./view.js").Page} Page */

/** @typedef {{ after: object, ops: readonly Op[] | null }} Commit */

/**
 * What the bindings need of a session.
 *
 * @typedef {object} SessionParts
 * @property {object | null | undefined} document
 * @property {(listener: (commit: Commit) => void) => () => void} onCommit
 * @property {object} connection
 * @property {unknown} pending
 */

/** @typedef {EventTarget & Sender & SessionParts} App */

/**
 * @typedef {object} BindOptions
 * @property {Report} [report] hears what is wrong with the page; the console by default
 * @property {(text: string) => boolean} [confirm] asks what `w-confirm` says; `window.confirm` by default
 * @property {(callback: () => void) => void} [frame] `requestAnimationFrame` by default
 */

/**
 * @param {Element} root
 * @param {App} app
 * @param {BindOptions} [options]
 */
export function bind(root, app, options = {}) {
  const page = new BoundPage(root, app, options);
  return {
    release: () => page.release(),
    /** How many bindings of the page itself are held; those of rows go with their rows. */
    get size() {
      return page.ties.length;
    },
  };
}

/**
 * The outermost scope: the spot of the document, with `$local`, `$connection` and `$location` beside it.
 *
 * @implements {Page}
 */
class BoundPage extends Spot {
  /** @type {null} */
  parent = null;
  index = 0;
  /** @type {Event | null} */
  event = null;
  local = new Spot({});
  connection = new Spot({});
  location = new Spot({});
  ready = false;
  /** @type {Page["ahead"]} */
  ahead;
  /** @type {Page["models"]} */
  models = new Set();
  /** @type {Watcher[]} */
  waiting = [];
  /** @type {Set<Watcher>} what changes as time goes by */
  #timed = new Set();
  /** @type {ReturnType<typeof setInterval> | undefined} */
  #clock;
  /** @type {Set<Awaited>} */
  #awaited = new Set();
  /** @type {string[]} parts that could not be loaded */
  #missing = [];
  /** Parts that the page uses are not there yet; it waits for them with its first document, so that it does not flicker. */
  #loading = false;
  /** @type {Watcher[]} changes of nodes that are due now */
  #blocks = [];
  /** @type {Watcher[]} values that are due in the next frame */
  #writes = [];
  #framed = false;
  /** @type {HTMLElement | null} */
  #refocus = null;
  #stale = false;
  #released = false;
  /** True during a change; what comes of it, such as a row that goes and sends what was typed, waits its turn. */
  #busy = false;
  /** @type {(() => void)[]} */
  #next = [];
  /** @type {import("./template.js").Found} */
  #found = { names: [], models: [], later: new Set() };
  /** @type {(() => void)[]} */
  #undo = [];

  /**
   * @param {Element} root
   * @param {App} app
   * @param {BindOptions} options
   */
  constructor(root, app, { report = toConsole, confirm = (text) => window.confirm(text), frame = requestAnimationFrame }) {
    super(undefined);
    this.root = root;
    this.app = app;
    this.report = report;
    this.frame = frame;
    const document = root.ownerDocument;
    adopt(document, RULES);
    this.actions = new Actions(root, app, {
      confirm,
      during: (event) => (this.event = event),
      assign: (name, value) => this.assign(name, value),
      moved: this.#moved,
      settle: this.settleModels,
    });
    this.#connection();
    this.#location();
    const template = this.#compile(root);
    if (this.#found.later.size) {
      this.#loading = true;
      this.#load(() => {
        this.#loading = false;
        if (app.document) this.#show(app.document, null);
      });
    } else if (app.document) this.#begin(app.document);
    this.ties = [...grow(template, root, this, this, null)];
    if (this.ready) this.#check();
    this.strangers = new Strangers(
      root,
      (element) => this.#update(() => this.#graft(element)),
      (element) => this.#forget(element),
    );
    this.#undo.push(app.onCommit((commit) => this.#commit(commit)));
    this.#on(app, "connection", () => {
      this.#update(() => this.#connection());
      // What was not to be had may be now.
      for (const name of this.#missing.splice(0)) this.#found.later.add(name);
      if (this.#found.later.size) this.#load(() => {});
    });
    for (const type of ["hashchange", "popstate"]) this.#on(window, type, () => this.#update(() => this.#location()));
    this.#on(app, "navigated", () => this.#update(() => this.#location()));
    // Before the session's own listener, which is the last word of this page.
    this.#on(window, "pagehide", this.settleModels, true);
    this.#on(document, "visibilitychange", () => this.#stale && !document.hidden && this.#schedule());
  }

  /** @param {Element} element */
  #compile(element) {
    return compile(element, [], this.report, this.#found);
  }

  /**
   * Loads what the page uses and does not have.
   *
   * @param {() => void} then also when it cannot be loaded: without it the page shows plain values
   */
  async #load(then) {
    const names = [...this.#found.later];
    this.#found.later.clear();
    try {
      await Promise.all(names.map(later));
      if (parts.readModel) for (const read of this.#found.models.splice(0)) read();
      for (const model of this.#awaited) model.come();
      this.#awaited.clear();
    } catch (error) {
      this.#missing.push(...names);
      tell(this.report, { code: "not_loaded", details: [names.join(), error] });
    }
    this.#update(then);
  }

  /** @param {Element} element added by another script */
  #graft(element) {
    const template = this.#compile(element);
    const bind = () => {
      if (!this.root.contains(element)) return;
      this.ties.push(...grow(template, element, this, this, null));
      if (this.ready) this.#check();
    };
    if (this.#found.later.size) this.#load(bind);
    else bind();
  }

  /** @param {Element} element taken out by another script */
  #forget(element) {
    this.ties = this.ties.filter((tie) => {
      const within = tie.node && element.contains(tie.node);
      if (within) tie.release();
      return !within;
    });
  }

  /** @type {import("./view.js").Page["listen"]} */
  listen(part, element, scope) {
    this.actions.listen(part, element, scope);
  }

  /** @type {Page["model"]} */
  model(part, control, scope) {
    if (parts.Model && part.address) return this.live(part, control, scope);
    const model = new Awaited(part, control, scope, this);
    this.#awaited.add(model);
    return model;
  }

  /** @param {Awaited} model */
  dismiss(model) {
    this.#awaited.delete(model);
  }

  /** @type {(...parts: Parameters<Page["model"]>) => import("./model.js").Model} */
  live(part, control, scope) {
    const { Ahead, Model } = /** @type {Required<typeof parts>} */ (parts);
    this.ahead ??= new Ahead((opsOf) => this.#ahead(opsOf));
    return new Model(part, control, scope, this);
  }

  /** @type {Page["set"]} */
  set(path, value, options) {
    const outcome = this.app.set(path, value, options);
    this.#moved();
    outcome.then(this.#moved, this.#moved);
    return outcome;
  }

  /** An action went out, or has its outcome. */
  #moved = () => this.#update(() => this.#connection());

  unsubscribe = unsubscribe;

  /** Sends what was typed and not sent. */
  settleModels = () => {
    for (const model of this.models) model.send();
  };

  /**
   * @param {Watcher} watcher
   * @param {boolean} on
   */
  time(watcher, on) {
    if (on) this.#timed.add(watcher);
    else this.#timed.delete(watcher);
    if (this.#timed.size) this.#clock ??= setInterval(() => this.#update(() => this.#timed.forEach(this.mark)), TIMED_MS);
    else {
      clearInterval(this.#clock);
      this.#clock = undefined;
    }
  }

  /** @param {Watcher} watcher */
  mark = (watcher) => {
    if (watcher.queued) return;
    watcher.queued = true;
    (watcher.structural ? this.#blocks : this.#writes).push(watcher);
  };

  /**
   * What a person has called up with `autofocus` gets the focus; what comes from the server takes it from nobody.
   *
   * @param {Element} element
   */
  appeared(element) {
    const target = element.hasAttribute("autofocus") ? element : element.querySelector("[autofocus]");
    const { activeElement, body } = element.ownerDocument;
    if (target && (this.event || !activeElement || activeElement === body)) /** @type {HTMLElement} */ (target).focus();
  }

  /** @param {HTMLElement} element */
  refocus(element) {
    element.focus();
    // It may be hidden by a class that is taken off in the next frame.
    if (element.ownerDocument.activeElement !== element) this.#refocus = element;
    this.#schedule();
  }

  /**
   * @param {string} name
   * @param {unknown} value
   */
  assign(name, value) {
    this.#update(() => this.local.settle({ .../** @type {object} */ (this.local.value), [name]: value }, this.mark));
  }

  /** @param {Commit} commit */
  #commit({ after, ops }) {
    if (this.#loading) return;
    const hidden = this.root.ownerDocument.hidden;
    if (hidden || this.#writes.length > WRITES_MAX) {
      this.#stale = true;
      if (!hidden) this.#schedule();
      return;
    }
    this.#show(after, this.#stale ? null : ops);
  }

  /**
   * @param {object} document
   * @param {readonly Op[] | null} ops from what is shown to the document; null when that is not known
   */
  #show(document, ops) {
    this.#stale = false;
    const first = !this.ready;
    this.#update(() => {
      // What stands over the document changes its rows anew, where they are now.
      const ahead = this.ahead?.ops(document) ?? [];
      const told = ops && !first ? route(this, [...ops, ...ahead]) : [];
      if (first) this.#begin(document);
      this.settle(apply(/** @type {import("./patch.js").JsonObject} */ (document), ahead), this.mark);
      this.#connection();
      this.#finish();
      for (const list of told) list.forget();
      if (first) this.#check();
    });
  }

  /** @param {object} document */
  #begin(document) {
    this.ready = true;
    this.settle(document, this.mark);
    for (const watcher of this.waiting.splice(0)) this.mark(watcher);
    // What is written in the next frame is on the page before anything of this is painted.
    for (const element of [this.root, ...this.root.querySelectorAll("[w-cloak]")]) element.removeAttribute("w-cloak");
  }

  /**
   * What was written here has become another value.
   *
   * @param {(document: object) => Op[]} opsOf
   */
  #ahead(opsOf) {
    const { document } = this.app;
    if (!document || !this.ready || this.#stale) return;
    this.#update(() => {
      const ahead = this.ahead?.ops(document) ?? [];
      const told = route(this, [...opsOf(document), ...ahead]);
      this.settle(apply(/** @type {import("./patch.js").JsonObject} */ (document), ahead), this.mark);
      this.#finish();
      for (const list of told) list.forget();
    });
  }

  #location() {
    const { hash, pathname, search } = this.root.ownerDocument.location;
    this.location.settle({ hash, pathname, search }, this.mark);
  }

  #connection() {
    const { connection, pending } = this.app;
    this.connection.settle({ ...connection, pending }, this.mark);
  }

  /** @param {() => void} change */
  #update(change) {
    if (this.#released) return;
    this.#next.push(change);
    if (this.#busy) return;
    this.#busy = true;
    try {
      this.strangers.aside(() => {
        for (let next; (next = this.#next.shift()); this.#finish()) next();
      });
    } finally {
      this.#busy = false;
    }
    if (this.#writes.length) this.#schedule();
  }

  /** Changes nodes until none is due: what appears may hold conditions of its own. */
  #finish() {
    for (let watcher; (watcher = this.#blocks.shift()); ) {
      watcher.queued = false;
      watcher.refresh();
    }
  }

  #schedule() {
    if (this.#framed) return;
    this.#framed = true;
    const { frame } = this;
    frame(() => {
      if (this.#released) return;
      this.#write();
      const { document } = this.app;
      if (this.#stale && document) {
        this.#show(document, null);
        this.#write();
      }
      this.#framed = false;
    });
  }

  #write() {
    const writes = this.#writes;
    this.#writes = [];
    for (const watcher of writes) {
      watcher.queued = false;
      watcher.refresh();
    }
    const { activeElement, body } = this.root.ownerDocument;
    if (activeElement === body) this.#refocus?.focus();
    this.#refocus = null;
  }

  /** Names that the first document does not have. A page is written once, so it is told once. */
  #check() {
    const known = Object.keys(/** @type {object} */ (this.value));
    for (const { key, element, attribute } of this.#found.names.splice(0)) {
      if (known.includes(key)) continue;
      tell(this.report, { code: "unknown_name", why: "state", details: [key, known] }, element, attribute);
    }
  }

  /**
   * @param {EventTarget} target
   * @param {string} type
   * @param {() => void} listener
   * @param {boolean} [capture]
   */
  #on(target, type, listener, capture = false) {
    target.addEventListener(type, listener, { capture });
    this.#undo.push(() => target.removeEventListener(type, listener, { capture }));
  }

  release() {
    if (this.#released) return;
    this.#released = true;
    this.strangers.release();
    for (const undo of this.#undo) undo();
    this.actions.release();
    for (const tie of this.ties) {
      tie.release();
      if ("restore" in tie) /** @type {{ restore: () => void }} */ (tie).restore();
    }
  }
}

/** Stands for a `w-model` until the part of the client that has them is there. */
class Awaited {
  queued = false;
  #edited = false;
  /** @type {import("./model.js").Model | undefined} */
  #model;

  /**
   * @param {import("./template.js").ModelPart} part
   * @param {import("./model.js").AnyControl} node
   * @param {import("./expression.js").Scope} scope
   * @param {BoundPage} page
   */
  constructor(part, node, scope, page) {
    this.part = part;
    this.node = node;
    this.scope = scope;
    this.page = page;
    node.addEventListener("input", () => (this.#edited = true), { once: true });
  }

  come() {
    const { part, node, scope, page } = this;
    if (!part.address) return;
    this.#model = page.live(part, node, scope);
    // What was typed meanwhile stands.
    if (this.#edited) this.#model.edit();
    else if (page.ready) this.refresh();
  }

  refresh() {
    this.#model?.refresh();
  }

  release() {
    const { part, scope, page } = this;
    unsubscribe(part.outside, this, scope);
    page.dismiss(this);
    this.#model?.release();
  }
}

// "3 minutes ago" need not be to the second.
const TIMED_MS = 10_000;
// More queued values than this are not a change but another page: matching it afresh costs less than keeping count.
const WRITES_MAX = 5000;

// A page's own `display` would win over the browser's rule for `hidden`.
const RULES = "[w-show][hidden],[w-cloak]{display:none!important}";
