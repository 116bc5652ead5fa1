/**
 * The values of `w-` attributes: a tiny language, parsed here and never evaluated as script.
 *
 *     path.to.value   12   -0.5   'text'   true false null
 *     !a   a == b   != < <= > >=   a && b   a || b   a ? b : c   ( )      then   | format argument …
 *
 * No calls, no arithmetic, no indexing: what needs more belongs to the server. `==` is strict, but null and a missing
 * value are the same; `<` and its kin hold between two numbers or two strings, else are false. A path finds own members
 * only, and shows as nothing where it leads nowhere. `parse` turns text into closures over a {@link Scope} and says on
 * which paths they depend.
 *
 * @module
 */

import { own } from "./own.js";
import { formats } from "./formats.js";
import { BindError } from "./report.js";

/**
 * Where names are looked up: a row of a list, or, outermost, the page.
 *
 * @typedef {object} Scope
 * @property {unknown} value the row, or the document
 * @property {Scope | null} parent null for the page
 * @property {number} index the row's place, kept only where a template says `$index`
 * @property {{ value: unknown }} [local] of the page: `$local`
 * @property {{ value: unknown }} [connection] of the page: `$connection`
 * @property {{ value: unknown }} [location] of the page: `$location`
 * @property {Event | null} [event] of the page: `$event`, while a handler runs
 */

/**
 * One path that an expression reads.
 *
 * @typedef {object} Dependency
 * @property {"value" | "local" | "connection" | "location" | "event" | "index"} base
 * @property {number} hops how many scopes outwards
 * @property {string[]} path
 */

/**
 * @typedef {object} Expression
 * @property {(scope: Scope) => unknown} read
 * @property {Dependency[]} uses
 * @property {boolean} plain a path and nothing else
 * @property {boolean} [later] names a format that is loaded when it is used
 * @property {boolean} [timed] changes as time goes by
 */

/** @typedef {Expression["read"]} Read */

/**
 * @param {string} text
 * @param {readonly string[]} names the rows around it, outermost first
 * @returns {Expression}
 */
export function parse(text, names) {
  return new Parser(text, names).all();
}

/**
 * `todo of todos`, the value of `w-each`.
 *
 * @param {string} text
 * @param {readonly string[]} names
 */
export function parseEach(text, names) {
  const [, name, list] = /^\s*([\p{L}_][\p{L}\p{N}_]*)\s+of\s+(.*)$/su.exec(text) ?? [];
  if (!name || !list || Object.hasOwn(LITERALS, name)) throw new BindError("expression", "each");
  return { name, list: parse(list, names) };
}

/**
 * Whether a job of that name is waiting or running, for `w-busy`.
 *
 * @param {string} text the job's name
 * @param {readonly string[]} names
 * @returns {Expression}
 */
export function parseBusy(text, names) {
  const name = text.trim();
  if (!name) throw new BindError("expression", "busy");
  const { read, uses } = parse("$jobs", names);
  /** @param {unknown} job */
  const isBusy = (job) => own(job, "name") === name && /^(queued|running)$/.test(String(own(job, "status")));
  return {
    read: (scope) => {
      const jobs = read(scope);
      // Null takes the attribute away.
      return (Array.isArray(jobs) && jobs.some(isBusy)) || null;
    },
    uses,
    plain: false,
  };
}

/** One thing that an event does. @typedef {{ action: string } | { local: string, expression: Expression }} Step */

/**
 * The value of `w-on:…`: an action's name, `$cancel`, `$dismiss`, or an assignment to `$local`; several of them with
 * semicolons between, in that order.
 *
 * @param {string} text
 * @param {readonly string[]} names
 * @returns {Step[]}
 */
export function parseHandler(text, names) {
  // A semicolon within quotes is text.
  const steps = text.match(/(?:'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|[^;])+/gs) ?? [text];
  return steps.map((step) => parseStep(step, names));
}

/**
 * @param {string} text
 * @param {readonly string[]} names
 * @returns {Step}
 */
function parseStep(text, names) {
  const [, local, value] = /^\s*\$local\.([\p{L}_][\p{L}\p{N}_]*)\s*=(?!=)(.*)$/su.exec(text) ?? [];
  if (local && value !== undefined) return { local, expression: parse(value, names) };
  const action = text.trim();
  if (/^(\$cancel|\$dismiss|[^\s$'"()=|]+)$/.test(action)) return { action };
  throw new BindError("expression", "handler");
}

/**
 * The scope that lies `hops` further out.
 *
 * @param {Scope} scope
 * @param {number} hops
 */
export function outer(scope, hops) {
  // There are never more hops than scopes: both were counted from the same templates.
  for (; hops > 0; hops--) scope = /** @type {Scope} */ (scope.parent);
  return scope;
}

class Parser {
  /** @type {Dependency[]} */
  #uses = [];
  /** @type {string} the token in hand, "" at the end */
  #token = "";
  #next = 0;
  #later = false;
  #timed = false;

  /**
   * @param {string} text
   * @param {readonly string[]} names
   */
  constructor(text, names) {
    this.text = text;
    this.names = names;
    this.#advance();
  }

  /** @returns {Expression} */
  all() {
    let read = this.#choice();
    while (this.#take("|")) read = this.#format(read);
    if (this.#token) throw this.#wrong();
    const plain = this.#uses.length === 1 && PATH.test(this.text.trim());
    return { read, uses: this.#uses, plain, later: this.#later, timed: this.#timed };
  }

  /** @returns {Read} */
  #choice() {
    const test = this.#binary(0);
    if (!this.#take("?")) return test;
    const then = this.#choice();
    if (!this.#take(":")) throw this.#wrong();
    const otherwise = this.#choice();
    return (scope) => (test(scope) ? then(scope) : otherwise(scope));
  }

  /**
   * @param {number} level into LEVELS, loosest first
   * @returns {Read}
   */
  #binary(level) {
    const operators = LEVELS[level];
    if (!operators) return this.#unary();
    let left = this.#binary(level + 1);
    for (let make; (make = own(operators, this.#token)); ) {
      this.#advance();
      left = /** @type {Operator} */ (make)(left, this.#binary(level + 1));
    }
    return left;
  }

  /** @returns {Read} */
  #unary() {
    if (this.#take("!")) {
      const value = this.#unary();
      return (scope) => !value(scope);
    }
    if (this.#take("(")) {
      const value = this.#choice();
      if (!this.#take(")")) throw this.#wrong();
      return value;
    }
    return this.#primary();
  }

  /** @returns {Read} */
  #primary() {
    const token = this.#token;
    if (Object.hasOwn(LITERALS, token)) return this.#constant(LITERALS[token]);
    if (PATH.test(token)) {
      this.#advance();
      return this.#path(token.split("."));
    }
    if (token[0] === "'" || token[0] === '"') return this.#constant(token.slice(1, -1).replace(/\\(.)/gs, "$1"));
    if (/^-?[\d.]/.test(token)) return this.#constant(Number(token));
    throw this.#wrong();
  }

  /** @param {unknown} value */
  #constant(value) {
    this.#advance();
    return () => value;
  }

  /**
   * @param {string[]} steps
   * @returns {Read}
   */
  #path([name = "", ...path]) {
    const depth = this.names.length;
    const row = this.names.lastIndexOf(name);
    if (row >= 0) return this.#reader("value", depth - 1 - row, path);
    if (name === "$index") {
      if (depth === 0) throw new BindError("expression", "index");
      return this.#reader("index", 0, path);
    }
    const base = Object.hasOwn(BASES, name) && BASES[name];
    if (base) return this.#reader(base, depth, path);
    if (name[0] === "$" && name !== "$jobs") {
      throw new BindError("unknown_name", "reserved", name, Object.keys(BASES));
    }
    return this.#reader("value", depth, [name, ...path]);
  }

  /**
   * @param {Dependency["base"]} base
   * @param {number} hops
   * @param {string[]} path
   * @returns {Read}
   */
  #reader(base, hops, path) {
    this.#uses.push({ base, hops, path });
    if (base === "value") {
      // The one that rows use most: a member of the row itself.
      const [key] = path;
      if (hops === 0 && path.length === 1 && key !== undefined) return (scope) => own(scope.value, key);
      return (scope) => path.reduce(own, outer(scope, hops).value);
    }
    if (base === "index") return (scope) => scope.index;
    // A DOM event's members are inherited; it is the one value here that is not data.
    if (base === "event") return (scope) => path.reduce(member, /** @type {unknown} */ (outer(scope, hops).event));
    return (scope) => path.reduce(own, outer(scope, hops)[base]?.value);
  }

  /**
   * @param {Read} value
   * @returns {Read}
   */
  #format(value) {
    const name = this.#token;
    if (!Object.hasOwn(formats, name)) {
      if (!MORE_FORMATS.includes(name)) {
        throw new BindError("unknown_format", undefined, name, [...Object.keys(formats), ...MORE_FORMATS]);
      }
      this.#later = true;
    }
    this.#timed ||= name === "relative";
    this.#advance();
    /** @type {Read[]} */
    const args = [];
    while (this.#token && this.#token !== "|") args.push(this.#primary());
    return (scope) => {
      const input = value(scope);
      // One that could not be loaded leaves the value as it is.
      const format = Object.hasOwn(formats, name) ? formats[name] : undefined;
      return input == null || !format ? input : format(input, ...args.map((arg) => arg(scope)));
    };
  }

  /** @param {string} token */
  #take(token) {
    if (this.#token !== token) return false;
    this.#advance();
    return true;
  }

  #advance() {
    TOKEN.lastIndex = this.#next;
    const found = TOKEN.exec(this.text);
    if (!found) throw this.#wrong(this.text.slice(this.#next).trim());
    this.#next = TOKEN.lastIndex;
    this.#token = found[1] ?? "";
  }

  #wrong(token = this.#token) {
    return new BindError("expression", "token", token);
  }
}

/**
 * @param {unknown} value
 * @param {string} key
 * @returns {unknown}
 */
function member(value, key) {
  return value == null ? undefined : /** @type {{ [key: string]: unknown }} */ (value)[key];
}

/**
 * Holds between two numbers or two strings; null is not less than 1.
 *
 * @param {(left: number, right: number) => boolean} test
 * @returns {Operator}
 */
function compare(test) {
  return (left, right) => (scope) => {
    const [a, b] = [left(scope), right(scope)];
    return typeof a === typeof b && (typeof a === "number" || typeof a === "string")
      ? test(/** @type {number} */ (a), /** @type {number} */ (b))
      : false;
  };
}

/** @typedef {(left: Read, right: Read) => Read} Operator */

/** @type {{ [operator: string]: Operator }[]} */
const LEVELS = [
  { "||": (left, right) => (scope) => left(scope) || right(scope) },
  { "&&": (left, right) => (scope) => left(scope) && right(scope) },
  {
    "==": (left, right) => (scope) => (left(scope) ?? null) === (right(scope) ?? null),
    "!=": (left, right) => (scope) => (left(scope) ?? null) !== (right(scope) ?? null),
  },
  {
    "<": compare((left, right) => left < right),
    "<=": compare((left, right) => left <= right),
    ">": compare((left, right) => left > right),
    ">=": compare((left, right) => left >= right),
  },
];

/** @type {{ [text: string]: unknown }} */
const LITERALS = { true: true, false: false, null: null };

/** @type {{ [name: string]: "local" | "connection" | "location" | "event" | undefined }} */
const BASES = { $local: "local", $connection: "connection", $location: "location", $event: "event" };

/** What more-formats.js has. */
const MORE_FORMATS = ["percent", "currency", "bytes", "duration", "relative", "list", "upper", "lower"];

const PATH = /^[\p{L}_$][\p{L}\p{N}_$]*(\.[\p{L}_$][\p{L}\p{N}_$]*)*$/u;

const TOKEN =
  /\s*(-?\d+(?:\.\d+)?|'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|[\p{L}_$][\p{L}\p{N}_$]*(?:\.[\p{L}_$][\p{L}\p{N}_$]*)*|[=!<>]=|&&|\|\||[!<>?:()|]|$)\s*/uy;
