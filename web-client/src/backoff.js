/**
 * How long to wait before the next attempt to connect.
 *
 * The ceiling doubles from 0.5 s: 0.5, 1, 2, 4, 8, 10, 10 s. Full jitter, a wait anywhere between 0 and the ceiling,
 * spreads the pages that lost one server at the same moment over the whole time.
 *
 * @module
 */

/**
 * @param {number} attempt how many attempts have failed, from 0
 * @param {() => number} random from 0 up to 1
 * @returns {number} milliseconds
 */
export function backoff(attempt, random) {
  return Math.round(random() * Math.min(CEILING_MAX_MS, CEILING_MIN_MS * 2 ** attempt));
}

const CEILING_MIN_MS = 500;
const CEILING_MAX_MS = 10_000;
