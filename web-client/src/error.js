/**
 * Why an action did not do what was asked, as the promise of the action rejects with it.
 *
 * @module
 */

/** An action that failed, was refused or has no outcome; the codes are those of protocol.md and of `Session.action`. */
export class WindlassError extends Error {
  /**
   * @param {string} code stable, for programs
   * @param {string} text for people
   * @param {number | null} [seq] the action's number, null when it never got one
   */
  constructor(code, text, seq = null) {
    super(text);
    this.name = "WindlassError";
    this.code = code;
    this.text = text;
    this.seq = seq;
  }
}
