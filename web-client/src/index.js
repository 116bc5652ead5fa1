/**
 * The Windlass client, to import from: `connect()` is the session, `bind()` the page, each of use without the other.
 *
 * @module
 */

export { bar } from "./bar.js";
export { bind } from "./bind.js";
export { WindlassError } from "./error.js";
export { formats } from "./formats.js";
export { labels } from "./labels.js";
export { PatchError, apply } from "./patch.js";
export { Session, connect } from "./session.js";
export { toasts } from "./toasts.js";
