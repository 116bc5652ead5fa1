/**
 * What the codes of the client mean, in English, and what to do: loaded when the first of them is reported.
 *
 * A page carries codes and what they are about; whoever writes it reads this text, and docs/errors.md.
 *
 * @module
 */

/** @typedef {import("./report.js").MessageCode} MessageCode */
/** @typedef {(...details: never[]) => string} Text */

/** By code, and for codes that tell of several things by which it is. @type {{ [code in MessageCode]: { [why: string]: Text } }} */
export const messages = {
  expression: {
    token: (/** @type {string} */ token) =>
      `${token ? `'${token}' is not expected here` : "the value ends too early"}; paths, literals, comparisons, && || ! ?: and | format are what there is`,
    each: () => "write it as 'todo of todos'",
    busy: () => 'write the name of a job, as in w-busy="train"',
    handler: () => "write the name of an action, $cancel, $dismiss, or $local.name = value",
    model: () => 'name one field of the state, as in w-model="todo.text"',
    index: () => "$index is known inside w-each only",
  },
  unknown_name: {
    state: (/** @type {string} */ name, /** @type {string[]} */ known) => `no '${name}' in the state${suggestion(name, known)}`,
    reserved: (/** @type {string} */ name, /** @type {string[]} */ known) => `'${name}' is reserved${suggestion(name, [...known, "$jobs", "$index"])}`,
  },
  unknown_format: {
    any: (/** @type {string} */ name, /** @type {string[]} */ known) => `no format '${name}'${suggestion(name, known)}`,
  },
  unknown_attribute: {
    word: (/** @type {string} */ word) => `there is no w-${word}${suggestion(word, WORDS)}`,
    modifier: (/** @type {string} */ modifier, /** @type {string[]} */ known) => `there is no .${modifier}${suggestion(modifier, known)}`,
    named: (/** @type {string} */ word) => `say which one, as in w-${word}:name`,
    alone: (/** @type {string} */ word) => `it is w-${word} alone`,
    model: () => "it is w-model, w-model.blur, w-model.debounce or w-model.debounce.500",
  },
  refused_attribute: {
    any: (/** @type {string} */ name) => `'${name}' can run script or restyle the page; use w-on, w-style:x or w-text`,
  },
  refused_element: {
    any: (/** @type {string} */ name) => `<${name}> can run script or redirect the page; data never reaches it`,
  },
  refused_url: {
    any: (/** @type {string} */ url, /** @type {string} */ origin) => `${url}: only addresses of ${origin} are followed`,
  },
  template_only: { any: (/** @type {string} */ word) => `put w-${word} on a <template> around one element` },
  one_root: { any: () => "a template holds exactly one element, which is no template itself" },
  not_a_list: { any: (/** @type {string} */ type) => `a list is needed here, this is ${type}` },
  duplicate_key: { any: (/** @type {unknown} */ key) => `two rows have the key ${JSON.stringify(key)}; keys must differ` },
  no_key: { any: () => 'a row is found again by its key: add w-key, such as w-key="todo.id", to its w-each' },
  not_a_control: { any: () => "w-model is for inputs that a person fills in, select and textarea" },
  not_loaded: { any: (/** @type {string} */ names, /** @type {unknown} */ error) => `${names} could not be loaded: ${error}` },
};

/** All that may follow `w-`. */
const WORDS = [
  "text", "show", "class", "style", "attr", "prop", "key", "confirm", "disable", "reset", "secret", "cloak", "state", "each", "if",
  "on", "arg", "busy", "model", "error", "ignore",
];

/**
 * @param {import("./report.js").Problem} problem
 * @returns {string}
 */
export function describe({ code, why = "any", details }) {
  return /** @type {(...details: unknown[]) => string} */ (messages[code][why])(...details);
}

/** @param {import("./later.js").Kit} kit */
export default function install({ parts }) {
  parts.describe = describe;
}

/**
 * `"; did you mean 'todos'?"` when a known name is at most two letters away, else nothing.
 *
 * @param {string} name
 * @param {Iterable<string>} known
 */
function suggestion(name, known) {
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
