/**
 * The Windlass client without the page: `connect()` and what it speaks in.
 *
 * @module
 */

export { WindlassError } from "./error.js";
export { PatchError, apply } from "./patch.js";
export { Session, connect } from "./session.js";
