/**
 * The formats beyond number and date, loaded by the first page that names one:
 *
 *     0.1234 | percent 1          12.3%            1536 | bytes          1.5 kB
 *     9.5 | currency 'EUR'        €9.50            80000 | duration      1 min 20 s
 *     posted | relative           3 minutes ago    words | list          rope, oil and tar
 *
 * @module
 */

/** @param {import("./later.js").Kit} kit */
export default function moreFormats({ cached, formats, language, numbers }) {
  /** @type {{ [name: string]: import("./formats.js").Format }} */
  const more = {
    /** A part of one; decimals are 0. */
    percent: (value, decimals = 0) => numbers({ style: "percent" }, decimals).format(Number(value)),

    /** An ISO 4217 code, and decimals where the currency's own are not wanted. */
    currency: (value, currency = "EUR", decimals) => {
      const options = /** @type {const} */ ({ style: "currency", currency: String(currency) });
      return numbers(options, decimals).format(Number(value));
    },

    /** In thousands, as disks and networks count: byte, kB, MB, GB, TB. */
    bytes: (value, decimals) => {
      const power = Math.min(Math.floor(Math.log10(Math.max(Math.abs(Number(value)), 1)) / 3), UNITS.length - 1);
      const options = /** @type {const} */ ({ style: "unit", unit: UNITS[power], unitDisplay: "short" });
      return numbers(options, decimals ?? (power ? 1 : 0)).format(Number(value) / 1000 ** power);
    },

    /** Milliseconds as a person says them, two units at most. */
    duration: (value) => {
      const seconds = Math.round(Number(value) / 1000);
      const [days, hours, minutes] = [Math.floor(seconds / 86_400), Math.floor(seconds / 3600) % 24, Math.floor(seconds / 60) % 60];
      if (days) return `${days} d ${hours} h`;
      if (hours) return `${hours} h ${minutes} min`;
      return minutes ? `${minutes} min ${seconds % 60} s` : `${seconds} s`;
    },

    /** Milliseconds or an ISO date, from now; written again as time goes by. */
    relative: (value) => {
      const moment = new Date(/** @type {string | number} */ (value)).getTime();
      if (Number.isNaN(moment)) return String(value);
      const seconds = Math.round((moment - Date.now()) / 1000);
      const [unit, size] = PARTS.find(([, size]) => Math.abs(seconds) >= size) ?? PARTS_LAST;
      const format = cached("relative", (language) => new Intl.RelativeTimeFormat(language, { numeric: "auto" }));
      return format.format(Math.trunc(seconds / size), unit);
    },

    /** Texts, with the language's word for "and". */
    list: (value) => {
      const format = cached("list", (language) => new Intl.ListFormat(language));
      return Array.isArray(value) ? format.format(value.map(String)) : String(value);
    },

    upper: (value) => String(value).toLocaleUpperCase(language()),
    lower: (value) => String(value).toLocaleLowerCase(language()),
  };
  // What the page has added under the same name stays.
  for (const [name, format] of Object.entries(more)) formats[name] ??= format;
}

const UNITS = /** @type {const} */ (["byte", "kilobyte", "megabyte", "gigabyte", "terabyte", "petabyte"]);

/** @type {[unit: Intl.RelativeTimeFormatUnit, seconds: number][]} */
const PARTS = [["year", 31_557_600], ["month", 2_629_800], ["week", 604_800], ["day", 86_400], ["hour", 3600], ["minute", 60]];
/** @type {[unit: Intl.RelativeTimeFormatUnit, seconds: number]} */
const PARTS_LAST = ["second", 1];
