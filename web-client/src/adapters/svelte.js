/**
 * Stores as Svelte means them, so that `$store` works in a component; nothing of Svelte is imported.
 *
 * ```svelte
 * <script>
 *   import { connect } from "windlass";
 *   import { field, state } from "windlass/svelte";
 *
 *   const app = connect();
 *   const count = state(app, "count");
 *   const title = field(app, ["title"]);
 * </script>
 *
 * <button onclick={() => app.action("add", 1)}>{$count}</button>
 * <input bind:value={$title} />
 * ```
 *
 * @module
 */

import { valueAt } from "../document.js";

/** @import { Session } from "../session.js" */

/**
 * @template T
 * @typedef {object} Readable
 * @property {(run: (value: T) => void) => () => void} subscribe runs at once and at each change; gives what stops it
 */

/**
 * @template T
 * @typedef {object} FieldMembers
 * @property {(value: T) => void} set
 * @property {(change: (value: T) => T) => void} update
 */

/**
 * @template T
 * @typedef {Readable<T> & FieldMembers<T>} Writable
 */

/**
 * The state, or what is at a path in it; `undefined` until it has come.
 *
 * @param {Session<any, any, any>} app
 * @param {string | (string | number)[]} [path] `"rows.0.name"`, or its steps
 * @returns {Readable<any>}
 */
export function state(app, path = []) {
  return {
    subscribe(run) {
      const stop = app.subscribe(/** @type {string} */ (path), run);
      run(valueAt(app.document, path));
      return stop;
    },
  };
}

/**
 * A field that the app has declared as writable. What is set is sent to the server, and shown at once; what the server
 * then says holds. When it refuses, the store has the server's value again and the session's `error` event tells why.
 *
 * @param {Session<any, any, any>} app
 * @param {(string | number)[]} path members by name
 * @returns {Writable<any>}
 */
export function field(app, path) {
  /** @type {Set<(value: any) => void>} */
  const readers = new Set();
  const theirs = () => valueAt(app.document, path);
  /** What was set and has no outcome yet; the last of them is shown. */
  let open = 0;
  /** @type {any} */
  let shown;
  /** @type {(() => void) | undefined} */
  let stop;
  const show = (/** @type {any} */ value) => {
    if (Object.is(shown, value)) return;
    shown = value;
    for (const run of [...readers]) run(value);
  };
  const set = (/** @type {any} */ value) => {
    open++;
    show(value);
    app
      .set(path.map(String), value)
      .catch((error) => {
        app.dispatchEvent(new CustomEvent("error", { detail: error }));
      })
      .then(() => {
        open--;
        if (open === 0) show(theirs());
      });
  };
  return {
    subscribe(run) {
      if (readers.size === 0) {
        shown = theirs();
        stop = app.subscribe(path, () => open === 0 && show(theirs()));
      }
      readers.add(run);
      run(shown);
      return () => {
        readers.delete(run);
        if (readers.size === 0) stop?.();
      };
    },
    set,
    update: (change) => set(change(readers.size === 0 ? theirs() : shown)),
  };
}

/**
 * The jobs of the session, oldest first.
 *
 * @param {Session<any, any, any>} app
 * @returns {Readable<readonly import("../session.js").Job[]>}
 */
export function jobs(app) {
  return {
    subscribe(run) {
      const stop = app.subscribe(["$jobs"], () => run(app.jobs));
      run(app.jobs);
      return stop;
    },
  };
}

/**
 * The state of the connection, as `Session.connection` has it.
 *
 * @param {Session<any, any, any>} app
 * @returns {Readable<Session["connection"]>}
 */
export function connection(app) {
  return {
    subscribe(run) {
      const changed = () => run(app.connection);
      app.addEventListener("connection", changed);
      changed();
      return () => app.removeEventListener("connection", changed);
    },
  };
}
