/**
 * Patches: the shared conformance files, copy on write, and a fuzz against a naive reference.
 *
 * @module
 */

import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import { test } from "node:test";
import fastJsonPatch from "fast-json-patch";
import { apply, PatchError } from "../src/patch.js";
import { random } from "./support/random.js";

const FOLDER = new URL("../../conformance/patches/", import.meta.url);

const files = readdirSync(FOLDER).filter((name) => name.endsWith(".json"));

test("there are patches to conform to", () => {
  assert.notEqual(files.length, 0);
});

for (const file of files) {
  for (const { name, before, ops, after, error } of JSON.parse(readFileSync(new URL(file, FOLDER), "utf8"))) {
    test(`patches/${file}: ${name}`, () => {
      const untouched = JSON.stringify(before);
      if (error !== undefined) {
        assert.throws(() => apply(before, ops), (thrown) => {
          assert.ok(thrown instanceof PatchError);
          assert.equal(thrown.reason, error);
          return true;
        });
      } else {
        // Compared as text: deepEqual does not see an own `__proto__`.
        assert.equal(canonical(apply(before, ops)), canonical(after));
      }
      assert.equal(JSON.stringify(before), untouched);
    });
  }
}

for (const file of files) {
  for (const { name, before, after, patch } of JSON.parse(readFileSync(new URL(file, FOLDER), "utf8"))) {
    // The library guards itself against the names that prototypes know.
    if (patch === undefined || /__proto__|constructor|prototype/.test(JSON.stringify(patch))) continue;
    test(`patches/${file}: ${name}, as a JSON Patch, by a library`, () => {
      assert.deepEqual(fastJsonPatch.applyPatch(before, patch, true).newDocument, after);
    });
  }
}

test("only the containers on the way to a change get a new reference", () => {
  const before = { rows: [{ id: 1 }, { id: 2 }], other: { deep: [] } };
  const after = apply(before, [["rows", 1, "id", 3]]);
  assert.notEqual(after, before);
  assert.notEqual(after.rows, before.rows);
  assert.equal(after.rows[0], before.rows[0]);
  assert.equal(after.other, before.other);
});

test("no ops keep the document's reference", () => {
  const before = { count: 1 };
  assert.equal(apply(before, []), before);
});

test("[ATOMIC-1] when the last op does not apply the document is as before", () => {
  const before = { list: [1, 2], count: 0 };
  assert.throws(() => apply(before, [["count", 5], [2, "list", 0, 2], ["list", 0, 1]]), PatchError);
  assert.deepEqual(before, { list: [1, 2], count: 0 });
});

test("a later op does not write into the value that an earlier op brought", () => {
  const ops = [["row", { cells: [1] }], ["row", "cells", 0, 2]];
  assert.deepEqual(apply({}, ops), { row: { cells: [2] } });
  assert.deepEqual(ops[0], ["row", { cells: [1] }]);
});

test("[KEYS-1] inherited names are data: they are defined as own members and inherited ones are not found", () => {
  for (const key of ["__proto__", "constructor", "toString", "hasOwnProperty"]) {
    assert.throws(() => apply({ map: {} }, [["map", key, "polluted", 1]]), { reason: "missing_parent" });
    assert.throws(() => apply({ map: {} }, [[5, "map", key]]), { reason: "absent_key" });
    const { map } = apply({ map: {} }, [["map", key, { polluted: 1 }], ["map", key, "polluted", 2]]);
    assert.equal(Object.getPrototypeOf(map), Object.prototype);
    assert.deepEqual(Object.entries(map), [[key, { polluted: 2 }]]);
  }
  assert.equal(/** @type {{ polluted?: number }} */ ({}).polluted, undefined);
});

test("an insertion of 300,000 rows is one op", () => {
  const rows = Array.from({ length: 300_000 }, (_, id) => id);
  assert.deepEqual(apply({ rows: [-1, -2] }, [[7, "rows", 1, rows]]).rows, [-1, ...rows, -2]);
});

test("random ops agree with a naive reference that edits a deep copy", () => {
  const next = random(20260101);
  let errors = 0;
  for (let round = 0; round < 4_000; round++) {
    const before = { a: value(next, 3), b: value(next, 3), list: [value(next, 2), value(next, 2)], text: "t" };
    const text = JSON.stringify(before);
    const ops = Array.from({ length: 1 + next(4) }, () => someOp(next, before));
    const [expected, actual] = [attempt(() => naive(before, ops)), attempt(() => apply(before, ops))];
    assert.equal(actual, expected, JSON.stringify({ before, ops }));
    assert.equal(JSON.stringify(before), text);
    if (expected === "error") errors++;
  }
  // A generator that only made errors, or none, would prove nothing.
  assert.ok(errors > 400 && errors < 3_600, `${errors} errors`);
});

/** @param {() => unknown} run */
function attempt(run) {
  try {
    return canonical(run());
  } catch {
    return "error";
  }
}

/** JSON text with the members of every map in order of their keys. */
function canonical(value) {
  if (Array.isArray(value)) return `[${value.map(canonical)}]`;
  if (typeof value !== "object" || value === null) return JSON.stringify(value);
  return `{${Object.keys(value).sort().map((key) => `${JSON.stringify(key)}:${canonical(value[key])}`)}}`;
}

/** Written for clearness alone: maps are `Map`s, so nothing is inherited, and everything is copied first. */
function naive(document, ops) {
  let root = toMaps(document);
  for (const op of ops) {
    const [code, args] = typeof op[0] === "string" ? ["set", op] : [op[0], op.slice(1)];
    const last = args.at(-1);
    if (code === 0) {
      root = toMaps(last);
      continue;
    }
    const walk = (steps) => steps.reduce((at, step) => {
      if (at instanceof Map ? typeof step === "string" && at.has(step) : Array.isArray(at) && step in at && typeof step === "number") {
        return at instanceof Map ? at.get(step) : at[step];
      }
      throw new Error("no such step");
    }, root);
    const must = (condition) => {
      if (!condition) throw new Error("does not apply");
    };
    const parent = (steps) => walk(steps.slice(0, -1));
    if (code === "set") {
      const at = parent(args.slice(0, -1));
      const step = args.at(-2);
      must(at instanceof Map ? typeof step === "string" : Array.isArray(at) && typeof step === "number" && step < at.length);
      if (at instanceof Map) at.set(step, toMaps(last));
      else at[step] = toMaps(last);
    } else if (code === 4) {
      const path = args.slice(0, -1);
      const text = walk(path);
      must(typeof text === "string");
      const at = parent(path);
      if (at instanceof Map) at.set(path.at(-1), text + last);
      else at[path.at(-1)] = text + last;
    } else if (code === 5) {
      const at = parent(args);
      must(at instanceof Map && at.delete(last));
    } else if (code === 8) {
      const list = walk(args.slice(0, -1));
      must(Array.isArray(list) && JSON.stringify([...last].sort((a, b) => a - b)) === JSON.stringify(list.map((_, i) => i)));
      list.splice(0, list.length, ...last.map((from) => list[from]));
    } else {
      const list = walk(args.slice(0, -2));
      const at = args.at(-2);
      must(Array.isArray(list));
      if (code === 1) {
        must(at <= list.length);
        list.splice(at, 0, toMaps(last));
      } else if (code === 2) {
        must(last >= 1 && at + last <= list.length);
        list.splice(at, last);
      } else if (code === 3) {
        must(at < list.length && last < list.length);
        list.splice(last, 0, ...list.splice(at, 1));
      } else {
        must(at <= list.length);
        list.splice(at, 0, ...last.map(toMaps));
      }
    }
  }
  return fromMaps(root);
}

function toMaps(value) {
  if (Array.isArray(value)) return value.map(toMaps);
  if (typeof value !== "object" || value === null) return value;
  return new Map(Object.keys(value).map((key) => [key, toMaps(value[key])]));
}

function fromMaps(value) {
  if (Array.isArray(value)) return value.map(fromMaps);
  return value instanceof Map ? Object.fromEntries([...value].map(([key, item]) => [key, fromMaps(item)])) : value;
}

function value(next, depth) {
  switch (depth > 0 ? next(6) : next(3)) {
    case 0:
      return next(100);
    case 1:
      return "text".slice(next(4));
    case 2:
      return next(2) === 0 ? null : true;
    case 3:
    case 4:
      return Array.from({ length: next(4) }, () => value(next, depth - 1));
    default:
      return JSON.parse(`{${["__proto__", "0", "constructor", "x"].slice(next(4)).map((key) => `${JSON.stringify(key)}:${JSON.stringify(value(next, depth - 1))}`)}}`);
  }
}

/** A path that mostly exists, to a container or a leaf, and an op that mostly fits what is there. */
function someOp(next, document) {
  const path = [];
  let at = document;
  do {
    const keys = Object.keys(at);
    if (keys.length === 0 || next(12) === 0) break;
    const key = keys[next(keys.length)];
    path.push(Array.isArray(at) ? Number(key) : key);
    at = at[key];
  } while (typeof at === "object" && at !== null && next(3) !== 0);
  if (path.length === 0) return ["fresh", value(next, 2)];
  if (Array.isArray(at) && next(8) !== 0) {
    const here = at.length + (next(8) === 0 ? 1 : 0);
    switch (next(6)) {
      case 0:
        return [1, ...path, next(here + 1), value(next, 2)];
      case 1:
        return [2, ...path, next(here + 1), 1 + next(2)];
      case 2:
        return [3, ...path, next(here + 1), next(here + 1)];
      case 3:
        return [7, ...path, next(here + 1), [value(next, 1), value(next, 1)]];
      case 4:
        return [8, ...path, at.map((_, i) => (i + next(2) * (at.length - 1)) % at.length)];
      default:
        return [...path, next(here + 1), value(next, 1)];
    }
  }
  if (typeof at === "string") return [4, ...path, "tail"];
  return next(3) === 0 ? [5, ...path] : [...path, value(next, 2)];
}
