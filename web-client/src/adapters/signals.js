/**
 * The state as signals, of whichever library: Preact's `signal`, Vue's `shallowRef`, Solid's setters, or a callback.
 *
 * ```js
 * import { signal } from "@preact/signals";
 * import { connect } from "windlass";
 * import { toSignal } from "windlass/signals";
 *
 * const app = connect();
 * const { value: count } = toSignal(app, "count", signal); // a signal that follows the server
 * ```
 *
 * @module
 */

import { valueAt } from "../document.js";

/** @import { Session } from "../session.js" */

/**
 * Writes what is at a path at once, and again at each change of it.
 *
 * ```js
 * const [count, setCount] = createSignal(); // Solid
 * onCleanup(follow(app, "count", setCount));
 * ```
 *
 * @param {Session<any, any, any>} app
 * @param {string | (string | number)[]} path `"rows.0.name"`, or its steps; `""` is the whole state
 * @param {(value: any) => void} write gets `undefined` until the state has come
 * @returns {() => void} stops it
 */
export function follow(app, path, write) {
  const stop = app.subscribe(/** @type {string} */ (path), write);
  write(valueAt(app.document, path));
  return stop;
}

/**
 * A signal that follows a path: anything with a `value` that is made by a function of its first one.
 *
 * @template {{ value: any }} S
 * @param {Session<any, any, any>} app
 * @param {string | (string | number)[]} path
 * @param {(value: any) => S} make Preact's `signal`, Vue's `shallowRef`
 * @returns {{ value: S, stop: () => void }}
 */
export function toSignal(app, path, make) {
  const made = make(undefined);
  const stop = follow(app, path, (value) => {
    made.value = value;
  });
  return { value: made, stop };
}
