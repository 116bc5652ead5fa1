/**
 * Formats: what follows the bar in `w-text="loss | number 3"`.
 *
 * The table is open: `formats.shout = value => String(value).toUpperCase()` before the page is bound adds one.
 * A format is not called for null or a missing value, which show as nothing. The language is the page's (`<html lang>`).
 *
 * @module
 */

/** @typedef {(value: NonNullable<unknown>, ...args: unknown[]) => string} Format */

/** @type {{ [name: string]: Format }} */
export const formats = {
  /** `1234.5 | number` is "1,234.5"; `| number 2` always shows two decimals. */
  number: (value, decimals) => numbers("decimal", decimals).format(Number(value)),

  /** `0.1234 | percent` is "12%"; `| percent 1` is "12.3%". */
  percent: (value, decimals = 0) => numbers("percent", decimals).format(Number(value)),

  /** Milliseconds as a person says them: `1500 | duration` is "2 s", `80000 | duration` is "1 min 20 s". */
  duration: (value) => {
    const seconds = Math.round(Number(value) / 1000);
    return seconds < 60 ? `${seconds} s` : `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
  },

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
function cached(key, make) {
  const language = globalThis.document?.documentElement.lang || undefined;
  const full = `${language} ${key}`;
  // Arguments may come from data, so the table has a bound; who passes it pays for a formatter again.
  if (made.size > FORMATTERS_MAX) made.clear();
  if (!made.has(full)) made.set(full, make(language));
  return /** @type {T} */ (made.get(full));
}

/**
 * @param {"decimal" | "percent"} style
 * @param {unknown} decimals
 */
function numbers(style, decimals) {
  const digits = typeof decimals === "number" ? Math.min(Math.max(decimals, 0), DECIMALS_MAX) : undefined;
  return cached(
    `${style} ${digits}`,
    (language) =>
      new Intl.NumberFormat(language, { style, minimumFractionDigits: digits, maximumFractionDigits: digits }),
  );
}

const FORMATTERS_MAX = 100;
// What every engine takes; more digits than a double has tell nothing.
const DECIMALS_MAX = 20;
