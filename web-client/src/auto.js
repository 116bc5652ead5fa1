/**
 * The client in one line: `<script type="module" src="/windlass/windlass.js"></script>` connects, binds `<body>`, and
 * shows notifications and the state of the connection.
 *
 * With `?manual` at the end of its own address it does none of that, and is a module to import from:
 * `import { connect, bind } from "/windlass/windlass.js?manual"`.
 *
 * @module
 */

import { bind } from "./bind.js";
import { later } from "./later.js";
import { tell, toConsole } from "./report.js";
import { connect } from "./session.js";

/** @typedef {import("./bar.js").Connected} Connected */
/** @typedef {import("./bind.js").App} App */

// As in index.js, but for toasts and bar: they are a part that is loaded when the page is bound.
export { bind } from "./bind.js";
export { WindlassError } from "./error.js";
export { formats } from "./formats.js";
export { labels } from "./labels.js";
export { PatchError, apply } from "./patch.js";
export { Session, connect } from "./session.js";

/**
 * Shows a session on this page: what the script does by itself, for those who connect in their own way.
 *
 * @template {App & Connected & import("./devtools.js").Inspectable} Session
 * @param {Session} app
 * @returns {Session}
 */
export function start(app) {
  // A server that has none says 404, and the browser what could not be loaded.
  const open = (/** @type {Event | void} */ key) => later("devtools").then((open) => open(app, key), console.warn);
  // From its first frame on, when the address asks for them.
  if (location.search.includes("windlass=devtools")) app.inspect().environment.after = open();
  window.addEventListener("keydown", (event) => event.altKey && event.shiftKey && event.code === "KeyW" && open(event));
  bind(document.body, app);
  // After it, so that what the page itself uses is asked for first.
  showNotices(app);
  return app;
}

/** @param {App & Connected} app */
function showNotices(app) {
  /** @type {Event[]} told before there is what shows them */
  const early = [];
  /** @type {((event: Event) => void) | undefined} */
  let show;
  const hear = (/** @type {Event} */ event) => {
    if (show) show(event);
    else if (early.length < EARLY_MAX) early.push(event);
  };
  for (const type of HEARD) app.addEventListener(type, hear);
  window.addEventListener("w-refused", hear);
  const load = async () => {
    try {
      const notices = /** @type {import("./notices.js").Notices} */ (await later("notices"));
      show ??= notices.show(app, (url) => tell(toConsole, { code: "refused_url", details: [url, location.origin] }));
      for (const event of early.splice(0)) show(event);
    } catch (error) {
      // What was not to be had may be when the connection changes.
      console.warn(error);
    }
  };
  app.addEventListener("connection", () => show ?? load());
  void load();
}

const HEARD = ["notify", "close_notify", "events_lost", "navigate", "download", "fresh", "restored"];
// More than a server says before a file has come; who cannot load it at all is not told the rest.
const EARLY_MAX = 100;

/** The session of this page; undefined with `?manual`. */
export const app = new URL(import.meta.url).searchParams.has("manual") ? undefined : start(connect());
