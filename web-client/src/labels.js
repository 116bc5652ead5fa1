/**
 * All words that the client itself says to people. Replace any of them, before or after the page is bound:
 * `Object.assign(labels, { close: "Schließen" })`.
 *
 * @module
 */

export const labels = {
  notifications: "Notifications",
  close: "Close",
  /** Said before the text by screen readers, which do not see the colour. */
  levels: /** @type {{ [level: string]: string }} */ ({ info: "", success: "", warning: "Warning", error: "Error" }),
  events_lost: (/** @type {number} */ count) =>
    count === 1 ? "One notification was lost." : `${count} notifications were lost.`,

  not_loaded: "A part of this page is missing: try again when the connection is back.",

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

  /** What `<windlass-job>` says; where nothing is said here it has English words of its own. */
  job: /** @type {Partial<import("./job-card.js").JobLabels>} */ ({}),
};
