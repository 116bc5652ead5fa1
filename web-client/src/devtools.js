/**
 * Devtools for a page: its state, what happened to it and why, a worse network, and sessions as files that can be
 * replayed. docs/devtools.md is the guide.
 *
 * The client's own file loads this when a person asks for it and the server has it. Whoever bundles calls
 * `devtools(app)`; {@link read} and {@link Player} work where there is no page, in tests for example.
 *
 * @module
 */

import { Panel } from "./devtools/panel.js";

/** @typedef {import("./devtools/probe.js").Inspectable} Inspectable */

export { Player } from "./devtools/player.js";
export { RecordingError, read, write } from "./devtools/recording.js";

/**
 * Opens devtools for a session, or closes them.
 *
 * @param {Inspectable} app
 * @param {{ focus?: boolean }} [options] false leaves the focus where it is
 * @returns {boolean} whether they are open now
 */
export function devtools(app, { focus = true } = {}) {
  return Panel.toggle(app, focus);
}

/** As a part of the client that is loaded when it is asked for: by a key, or with the page, which takes the focus from nobody. */
export default function part() {
  return (/** @type {Inspectable} */ app, /** @type {Event | undefined} */ key) => devtools(app, { focus: !!key });
}
