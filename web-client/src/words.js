/**
 * What toasts and bar say to people, in English where the page has no words of its own in `labels`.
 *
 * @module
 */

import { labels } from "./labels.js";

/** @typedef {typeof WORDS} Words */

/** The page's own words; the part of the client that shows notices is handed the table that the page has. */
let own = labels;

/** @param {import("./labels.js").Labels} table */
export function speakWith(table) {
  own = table;
}

/** Read anew each time, so that a page may change the language at any time. @returns {Words} */
export function words() {
  const [levels, fresh, stopped] = [{ ...WORDS.levels, ...own.levels }, { ...WORDS.fresh, ...own.fresh }, { ...WORDS.stopped, ...own.stopped }];
  return { ...WORDS, ...own, levels, fresh, stopped };
}

const WORDS = {
  notifications: "Notifications",
  close: "Close",
  /** Said before the text by screen readers, which do not see the colour. */
  levels: /** @type {{ [level: string]: string }} */ ({ warning: "Warning", error: "Error" }),
  events_lost: (/** @type {number} */ count) =>
    count === 1 ? "One notification was lost." : `${count} notifications were lost.`,

  connection: "Connection",
  connecting: "Connecting…",
  reconnecting: "Reconnecting…",
  retryIn: (/** @type {number} */ seconds) => `in ${seconds} s`,
  tryNow: "Try now",
  pending: (/** @type {number} */ count) => (count === 1 ? "1 change waits" : `${count} changes wait`),
  connected: "Connected again",
  restored: "The server recovered from a crash; the last moments before it may be missing.",
  /** @type {{ [reason: string]: string }} */
  fresh: {
    session_gone: "The server restarted: this page started afresh.",
    in_use: "Another tab holds this session: this page started its own.",
    forgotten: "Too many pages were open: this one was let go and started anew.",
  },
  rejected: (/** @type {number} */ count) =>
    count === 1 ? "One change was not carried over." : `${count} changes were not carried over.`,

  /** Why there is no connection and none is tried, by close code. @type {{ [code: string]: string }} */
  stopped: {
    taken_over: "This page is now used in another tab.",
    login: "You are signed out.",
    any: "The connection has ended.",
  },
  useHere: "Use it here",
  reload: "Reload",
};
