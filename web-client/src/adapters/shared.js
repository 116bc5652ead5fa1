/**
 * One session an address for all who ask: the parts of a page that know nothing of each other share a socket, and the
 * last of them that goes closes it.
 *
 * @module
 */

import { addressOf } from "../environment.js";
import { connect } from "../session.js";

/** @import { ConnectOptions } from "../environment.js" */
/** @import { Session } from "../session.js" */

/** @type {Map<string, Shared>} */
const sessions = new Map();
/** @type {WeakMap<Session, Shared>} */
const holders = new WeakMap();

/** @typedef {{ url: string, app: Session, holders: number }} Shared */

/**
 * The session of an address, connected by whoever asks first, with that one's options.
 *
 * @param {ConnectOptions} [options]
 * @returns {Session}
 */
export function shared(options = {}) {
  const url = addressOf(options);
  let one = sessions.get(url);
  if (one === undefined || one.app.connection.state === "stopped") {
    one = { url, app: connect(options), holders: 0 };
    sessions.set(url, one);
    holders.set(one.app, one);
  }
  return one.app;
}

/**
 * Says that a part of the page needs a shared session. One that is not shared is its owner's to close.
 *
 * @param {Session} app
 * @returns {() => void} says that it no longer does; when nobody does, the session is closed
 */
export function hold(app) {
  const one = holders.get(app);
  if (one === undefined) return () => {};
  one.holders++;
  let held = true;
  return () => {
    if (!held) return;
    held = false;
    one.holders--;
    // In a task of its own: a part that is replaced by another goes before the other comes.
    setTimeout(() => {
      if (one.holders > 0) return;
      if (sessions.get(one.url) === one) sessions.delete(one.url);
      one.app.close();
    });
  };
}
