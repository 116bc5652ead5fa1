/**
 * Messages that are nearly right, from a seed: JSON with a part of it replaced, and text with a few signs changed.
 *
 * @module
 */

import { random } from "./random.js";

/** @param {number} seed */
export function mutator(seed) {
  const below = random(seed);
  const one = (list) => list[below(list.length)];

  /** Any JSON, small. */
  function value(depth = 3) {
    const kind = below(depth > 0 ? 10 : 7);
    if (kind < 3) return one(ODD_VALUES);
    if (kind < 5) return one(NAMES);
    if (kind < 7) return below(12);
    if (kind < 8) return Array.from({ length: below(4) }, () => value(depth - 1));
    // As JSON.parse makes it: a member that is called `__proto__` is one of its own.
    return JSON.parse(`{${Array.from({ length: below(4) }, () => `${JSON.stringify(one(NAMES))}:${JSON.stringify(value(depth - 1))}`)}}`);
  }

  /** An op, often one that fits `{rows: [...], text: "", map: {...}}`. */
  function op() {
    const path = Array.from({ length: 1 + below(3) }, () => (below(3) ? one(NAMES) : below(5)));
    const rest = Array.from({ length: below(3) }, () => value(2));
    return below(4) ? [one([1, 2, 3, 4, 5, 6, 7, 8, 9]), ...path, ...rest] : [...path, value(2)];
  }

  /** The same with a part replaced, left out, doubled or moved. */
  function structure(whole) {
    const copy = JSON.parse(JSON.stringify(whole));
    const places = [];
    const walk = (node) => {
      for (const key of Object.keys(node)) {
        places.push([node, key]);
        if (typeof node[key] === "object" && node[key] !== null) walk(node[key]);
      }
    };
    walk([copy]);
    if (typeof copy === "object" && copy !== null) walk(copy);
    for (let times = 1 + below(3); times > 0 && places.length > 0; times--) {
      const [node, key] = one(places);
      const what = below(5);
      if (what === 0 && Array.isArray(node)) node.splice(Number(key), 1);
      else if (what === 1 && Array.isArray(node)) node.splice(Number(key), 0, node[key]);
      else if (what === 2) define(node, Array.isArray(node) ? node.length : one(NAMES), value());
      else define(node, key, what === 3 ? value() : one(ODD_VALUES));
    }
    return copy;
  }

  /** The same text with a few signs changed. */
  function text(whole) {
    let changed = whole;
    for (let times = 1 + below(3); times > 0; times--) {
      const at = below(changed.length + 1);
      const end = at + below(8);
      const put = below(3) ? one(SIGNS) : "";
      changed = below(6) ? changed.slice(0, at) + put + changed.slice(end) : changed.slice(0, at);
    }
    return changed;
  }

  return { below, one, value, op, structure, text };
}

/** A member of its own, whatever it is called. */
const define = (node, key, value) =>
  Object.defineProperty(node, key, { value, enumerable: true, configurable: true, writable: true });

/** Names that a JavaScript object has already, and plain ones. */
export const NAMES = [
  "__proto__", "constructor", "prototype", "toString", "hasOwnProperty", "valueOf", "then", "length", "", "$jobs", "rows",
  "text", "map", "a/b", "a.b", "name", "0", "-1", "id", "url",
];

const ODD_VALUES = [
  null, true, false, -1, 0.5, 1e308, Number.MAX_SAFE_INTEGER, 2 ** 53, -0, "", "\ud800", "x".repeat(2_000), [], {}, [[]],
  JSON.parse('{"__proto__":{"polluted":true}}'), JSON.parse('{"constructor":{"prototype":{"polluted":true}}}'),
];

const SIGNS = ["[", "]", "{", "}", '"', ",", ":", "-", "1e999", "\\", "\\u0000", "null", " ", "é", '"__proto__":', "99999999999999999999"];
