/**
 * The client in one line: `<script type="module" src="/windlass/windlass.js"></script>` connects, binds `<body>`, and
 * shows notifications and the state of the connection.
 *
 * With `?manual` at the end of its own address it does none of that, and is a module to import from:
 * `import { connect, bind } from "/windlass/windlass.js?manual"`.
 *
 * @module
 */

import { bar } from "./bar.js";
import { bind } from "./bind.js";
import { h } from "./dom.js";
import { later } from "./later.js";
import { tell, toConsole } from "./report.js";
import { connect } from "./session.js";
import { toasts } from "./toasts.js";

/** @typedef {import("./actions.js").Refusal} Refusal */
/** @typedef {import("./bar.js").Connected} Connected */
/** @typedef {import("./bind.js").App} App */

export * from "./index.js";

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
  const stack = toasts(app);
  bar(app);
  app.addEventListener("navigate", (event) => follow(/** @type {CustomEvent} */ (event).detail.url));
  app.addEventListener("download", (event) => {
    const { url, name = "" } = /** @type {CustomEvent} */ (event).detail;
    const here = sameOrigin(url);
    if (here) h("a", { href: here, download: name }).click();
  });
  window.addEventListener("w-refused", (event) => {
    const { code, text, action, shown } = /** @type {CustomEvent<Refusal>} */ (event).detail;
    // Whoever shows it beside the control prevents the default; what ended with its session the bar has told.
    if (event.defaultPrevented || shown || TOLD.has(code)) return;
    stack.show({ level: "error", text, id: `refused ${action}` });
  });
  bind(document.body, app);
  return app;
}

/** @param {string} url */
function follow(url) {
  const here = sameOrigin(url);
  if (here) location.assign(here);
}

/**
 * A server that was talked into sending a stranger's address does not lead people there.
 *
 * @param {string} url
 */
function sameOrigin(url) {
  const { href } = h("a", { href: url });
  // As text: the origin of a `blob:` is its maker's, and that of a `javascript:` is "null" as that of a frame in a sandbox.
  if (href.startsWith(`${location.origin}/`)) return href;
  tell(toConsole, { code: "refused_url", details: [url, location.origin] });
  return null;
}

const TOLD = new Set(["session_gone", "outcome_unknown", "closed", "taken_over"]);

/** The session of this page; undefined with `?manual`. */
export const app = new URL(import.meta.url).searchParams.has("manual") ? undefined : start(connect());
