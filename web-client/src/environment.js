/**
 * What a session needs of the world around it: an address, a socket, a clock, storage, the page's life.
 *
 * Each can be passed in, for tests and for places that are no browser; what a browser has is the default. Importing
 * this touches no `window`.
 *
 * @module
 */

import { warnStorage } from "./tab.js";

/** @import { Clock } from "./connection.js" */

/**
 * @typedef {object} ConnectOptions
 * @property {string} [url] of the socket, http(s) or ws(s); `socket` beside the client's own file by default
 * @property {string} [page] path and query, as the app's `on_init` gets them
 * @property {Storage | null} [storage] how a reload finds its way back, sessionStorage by default; null for none
 * @property {boolean} [keepDocument] false does not store the document for the first paint of a reload
 * @property {typeof globalThis.WebSocket} [WebSocket]
 * @property {Clock["setTimeout"]} [setTimeout]
 * @property {Clock["clearTimeout"]} [clearTimeout]
 * @property {Clock["now"]} [now]
 * @property {() => number} [random] from 0 up to 1, spreads the attempts to connect
 * @property {LockManager} [locks]
 * @property {typeof globalThis.BroadcastChannel} [BroadcastChannel]
 * @property {Window} [window] tells when the page is hidden, shown, left and returned to
 */

/** @typedef {ReturnType<typeof environment> & { after?: Promise<unknown> }} Environment `after`: what a connection waits for */

/** @param {ConnectOptions} options */
export function environment(options) {
  const window = options.window ?? /** @type {Window | undefined} */ (globalThis.window);
  return {
    url: addressOf(options),
    page: options.page ?? (window ? pageOf(window) : "/"),
    storage: options.storage === undefined ? storageOf(window) : options.storage,
    keepDocument: options.keepDocument ?? true,
    WebSocket: options.WebSocket ?? globalThis.WebSocket,
    clock: {
      setTimeout: options.setTimeout ?? ((/** @type {() => void} */ run, /** @type {number} */ ms) => Number(setTimeout(run, ms))),
      clearTimeout: options.clearTimeout ?? ((/** @type {number | undefined} */ timer) => clearTimeout(timer)),
      now: options.now ?? Date.now,
    },
    random: options.random ?? Math.random,
    locks: options.locks ?? window?.navigator?.locks,
    // Only a page has tabs beside it; elsewhere an open channel would keep the process from ending.
    BroadcastChannel: options.BroadcastChannel ?? (window && globalThis.BroadcastChannel),
    window,
    visible: () => window?.document.visibilityState !== "hidden",
  };
}

/**
 * Where the socket is.
 *
 * @param {ConnectOptions} options
 */
export function addressOf({ url: given, window = globalThis.window }) {
  const url = new URL(given ?? "socket", given === undefined ? import.meta.url : window?.location.href);
  // http becomes ws, https becomes wss.
  url.protocol = url.protocol.replace("http", "ws");
  return url.href;
}

/**
 * Path and query of the page that a window shows.
 *
 * @param {Window} window
 */
export function pageOf({ location }) {
  return location.pathname + location.search;
}

/** @param {Window | undefined} window */
function storageOf(window) {
  try {
    return window?.sessionStorage ?? null;
  } catch {
    warnStorage();
    return null;
  }
}
