/**
 * Formats: what follows the bar in `w-text="loss | number 3"`.
 *
 * The table is open: `formats.shout = value => String(value).toUpperCase()` before the page is bound adds one.
 * The others that there are, from percent to relative, are in `more-formats.js`, which a page loads that names one.
 * A format is not called for null or a missing value, which show as nothing. The language is the page's (`<html lang>`).
 *
 * @module
 */

/** @typedef {(value: NonNullable<unknown>, ...args: unknown[]) => string} Format */

/** @type {{ [name: string]: Format }} */
export const formats = {
  /** `1234.5 | number` is "1,234.5"; `| number 2` always shows two decimals. */
  number: (value, decimals) => numbers({ style: "decimal" }, decimals).format(Number(value)),

  /** Milliseconds or an ISO date; `| date 'short'`, `| date 'long' 'short'` with the time, `| date null 'short'` the time alone. */
  date: (value, day = "medium", time = null) => {
    const moment = new Date(/** @type {string | number} */ (value));
    if (Number.isNaN(moment.getTime())) return String(value);
    const options = /** @type {Intl.DateTimeFormatOptions} */ ({
      dateStyle: day ?? undefined,
      timeStyle: time ?? undefined,
    });
    return cached(`date ${day} ${time}`, (language) => new Intl.DateTimeFormat(language, options)).format(moment);
  },
};

/** The page's, or undefined for the browser's. */
export function language() {
  return globalThis.document?.documentElement.lang || undefined;
}

/**
 * Intl's formatters cost tens of microseconds to make and next to nothing to use.
 *
 * @type {Map<string, unknown>}
 */
const made = new Map();

/**
 * @template T
 * @param {string} key
 * @param {(language: string | undefined) => T} make
 * @returns {T}
 */
export function cached(key, make) {
  const full = `${language()} ${key}`;
  // Arguments may come from data, so the table has a bound; who passes it pays for a formatter again.
  if (made.size > FORMATTERS_MAX) made.clear();
  if (!made.has(full)) made.set(full, make(language()));
  return /** @type {T} */ (made.get(full));
}

/**
 * @param {Intl.NumberFormatOptions} options
 * @param {unknown} [decimals] both at least and at most
 */
export function numbers(options, decimals) {
  const digits = typeof decimals === "number" ? Math.min(Math.max(decimals, 0), DECIMALS_MAX) : undefined;
  const all = { ...options, minimumFractionDigits: digits, maximumFractionDigits: digits };
  return cached(JSON.stringify(all), (language) => new Intl.NumberFormat(language, all));
}

const FORMATTERS_MAX = 100;
// What every engine takes; more digits than a double has tell nothing.
const DECIMALS_MAX = 20;
