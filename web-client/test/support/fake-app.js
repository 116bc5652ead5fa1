/**
 * A session without a server, here and in a browser.
 *
 * @module
 */

import { apply } from "../../src/patch.js";

/** A session whose document changes when the test says so, and which remembers what it was asked. */
export class FakeApp extends EventTarget {
  document = null;
  connection = { state: "live" };
  pending = 0;
  sent = [];
  #listeners = new Set();

  onCommit(listener) {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  get listening() {
    return this.#listeners.size;
  }

  snapshot(after) {
    this.#commit(after, null);
  }

  delta(...ops) {
    this.#commit(apply(this.document, ops), ops);
  }

  action(name, payload, options) {
    return new Promise((resolve, reject) => this.sent.push({ name, payload, ...options, resolve, reject }));
  }

  cancel(job) {
    return this.action("$cancel", job);
  }

  dismiss(job) {
    return this.action("$dismiss", job);
  }

  set(path, value, options) {
    return this.action("$set", { path, value }, options);
  }

  retry() {
    this.retried = true;
  }

  tell(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }

  #commit(after, ops) {
    const before = this.document;
    this.document = after;
    for (const listener of this.#listeners) listener({ before, after, ops });
  }
}
