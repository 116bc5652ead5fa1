/**
 * Members that are data.
 *
 * @module
 */

/**
 * An own member, or undefined: inherited ones (`constructor`, `toString`) are not data.
 *
 * @param {unknown} value
 * @param {string} key
 * @returns {unknown}
 */
export function own(value, key) {
  return value != null && Object.hasOwn(/** @type {object} */ (value), key)
    ? /** @type {{ [key: string]: unknown }} */ (value)[key]
    : undefined;
}
