/**
 * What the bindings tell the person who writes the page: a code that stays the same, the element, the attribute as it
 * is written, and what to do about it.
 *
 * Nothing here throws at a visitor: a binding that is wrong is reported when it is bound and left out, the rest works.
 *
 * @module
 */

/**
 * @typedef {object} Message
 * @property {MessageCode} code
 * @property {string} text what is wrong, and the fix
 * @property {Element} [element]
 * @property {string} [attribute] name and value as they stand in the page
 */

/**
 * @typedef {"expression" | "unknown_name" | "unknown_format" | "unknown_attribute" | "refused_attribute"
 *   | "refused_element" | "refused_url" | "template_only" | "one_root" | "not_a_list" | "duplicate_key" | "no_key"
 *   | "not_a_control" | "not_loaded"} MessageCode
 */

/** @typedef {(message: Message) => void} Report */

/** What is wrong with one attribute; caught where the attribute's element is known. */
export class BindError extends Error {
  /**
   * @param {MessageCode} code
   * @param {string} text
   */
  constructor(code, text) {
    super(text);
    this.code = code;
  }
}

/** @type {Report} */
export function toConsole({ code, text, element, attribute }) {
  console.error(`windlass[${code}] ${attribute ?? ""}: ${text}`, element ?? "");
}

/**
 * `"; did you mean 'todos'?"` when a known name is at most two letters away, else nothing.
 *
 * @param {string} name
 * @param {Iterable<string>} known
 */
export function suggestion(name, known) {
  let best = "";
  let least = Math.min(3, name.length);
  for (const other of known) {
    const far = distance(name, other);
    if (far < least) [best, least] = [other, far];
  }
  return best && `; did you mean '${best}'?`;
}

/**
 * How many letters must be typed, deleted or replaced (Levenshtein).
 *
 * @param {string} from
 * @param {string} to
 */
function distance(from, to) {
  let row = Array.from({ length: to.length + 1 }, (_, at) => at);
  for (let i = 0; i < from.length; i++) {
    const next = [i + 1];
    for (let j = 0; j < to.length; j++) {
      next.push(Math.min(Number(row[j + 1]) + 1, Number(next[j]) + 1, Number(row[j]) + (from[i] === to[j] ? 0 : 1)));
    }
    row = next;
  }
  return Number(row[to.length]);
}
