/**
 * Words of a page's own for what the client says to people. Replace any of them, before or after the page is bound:
 * `Object.assign(labels, { close: "Schließen" })`. What is not here is said in the English of `words.js`.
 *
 * @module
 */

/** @typedef {import("./words.js").Words} Words */
/** @typedef {import("./job-card.js").JobLabels} JobLabels */

/**
 * @typedef {Partial<Omit<Words, "levels" | "fresh" | "stopped">> & {
 *   levels: { [level: string]: string }, fresh: { [reason: string]: string }, stopped: { [code: string]: string },
 *   job: Partial<JobLabels>, not_loaded: string,
 * }} Labels
 */

/** @type {Labels} */
export const labels = {
  levels: {},
  fresh: {},
  stopped: {},
  job: {},
  // Said when a part cannot be loaded, so it must not be in one.
  not_loaded: "A part of this page is missing: try again when the connection is back.",
};
