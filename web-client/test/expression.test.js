/**
 * The expression language: what it reads, on what it depends, and what it refuses.
 *
 * @module
 */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { parse, parseEach, parseHandler } from "../src/expression.js";
import { formats } from "../src/formats.js";
import { describe } from "../src/messages.js";
import { later } from "../src/later.js";

const STATE = {
  n: 3,
  zero: 0,
  name: "Ada",
  none: null,
  list: [1, 2],
  deep: { inner: { leaf: "here" } },
  größe: 7,
};

function evaluate(text, value = STATE, names = []) {
  const scope = { value, parent: null, index: 0, local: { value: { editing: 4 } }, connection: { value: { state: "live" } }, event: null };
  return parse(text, names).read(scope);
}

test("each form of the language reads what it says", () => {
  const cases = [
    ["n", 3],
    ["deep.inner.leaf", "here"],
    ["größe", 7],
    ["list.length", 2],
    ["name.length", 3],
    ["12", 12],
    ["-0.5", -0.5],
    ["'it''", SyntaxError],
    ["'it\\'s'", "it's"],
    ['"quoted"', "quoted"],
    ["true", true],
    ["null", null],
    ["!n", false],
    ["!!name", true],
    ["n == 3", true],
    ["n == '3'", false],
    ["n != 3", false],
    ["zero == false", false],
    ["n < 4 && n > 2", true],
    ["n <= 3 && n >= 3", true],
    ["name < 'Bob'", true],
    ["zero || 'nothing'", "nothing"],
    ["n && name", "Ada"],
    ["n > 2 ? 'many' : 'few'", "many"],
    ["n > 9 ? 'many' : n > 2 ? 'some' : 'few'", "some"],
    ["(n == 3 || zero) && name", "Ada"],
    ["true || false && false", true],
    ["$local.editing", 4],
    ["$connection.state == 'live'", true],
  ];
  for (const [text, expected] of cases) {
    if (expected === SyntaxError) assert.throws(() => evaluate(text), { code: "expression" }, text);
    else assert.deepEqual(evaluate(text), expected, text);
  }
});

test("missing and null are the same, and neither is less than a number", () => {
  for (const text of ["none == null", "absent == null", "deep.absent.further == null", "absent == none"]) {
    assert.equal(evaluate(text), true, text);
  }
  for (const text of ["none != null", "absent != null", "none < 1", "absent < 1", "none >= 0", "name < 1", "zero == null"]) {
    assert.equal(evaluate(text), false, text);
  }
  assert.equal(evaluate("deep.absent.further"), undefined);
});

test("inherited members are not data, own ones of the same name are", () => {
  for (const text of ["constructor", "toString", "__proto__", "name.constructor", "list.map", "deep.hasOwnProperty"]) {
    assert.equal(evaluate(text), undefined, text);
  }
  const hostile = JSON.parse('{"__proto__": {"x": 1}, "constructor": "c"}');
  assert.equal(evaluate("__proto__.x", hostile), 1);
  assert.equal(evaluate("constructor", hostile), "c");
});

test("what is outside of the language is refused with its place", () => {
  const cases = [
    "", "n +", "n + 1", "f()", "list[0]", "n =", "n = 3", "a ? b", "(n", "n)", "'open", "n == == 2", "a.b.", "a;b",
    "`x`", "new x", "n | ", "&&", "a => b", "{}", "$index", "1.2.3",
  ];
  for (const text of cases) assert.throws(() => parse(text, []), (error) => typeof error.code === "string", text);
});

test("names are looked up in rows from the inside out, then in the document", () => {
  const page = { value: { title: "T", row: "shadowed" }, parent: null, index: 0 };
  const outer = { value: { id: 1 }, parent: page, index: 5 };
  const inner = { value: "x", parent: outer, index: 2 };
  const read = (text) => parse(text, ["row", "cell"]).read(inner);
  assert.equal(read("cell"), "x");
  assert.equal(read("row.id"), 1);
  assert.equal(read("title"), "T");
  assert.equal(read("$index"), 2);
  assert.equal(parse("x.id", ["x", "x"]).read({ ...inner, value: { id: 9 } }), 9);
});

test("an expression tells which paths it reads", () => {
  const { uses, plain } = parse("row.done && !filter.all || $local.open", ["row"]);
  assert.equal(plain, false);
  assert.deepEqual(uses, [
    { base: "value", hops: 0, path: ["done"] },
    { base: "value", hops: 1, path: ["filter", "all"] },
    { base: "local", hops: 1, path: ["open"] },
  ]);
  assert.equal(parse("filter.all", []).plain, true);
  for (const text of ["true", "(filter)", "!filter", "filter | number", "'filter'"]) assert.equal(parse(text, []).plain, false, text);
});

test("a misspelt format or reserved name is told with what it may have been", () => {
  assert.throws(() => parse("n | nummber", []), (error) => error.code === "unknown_format" && /'number'/.test(describe(error)));
  assert.throws(() => parse("$loca.x", []), (error) => error.code === "unknown_name" && /'\$local'/.test(describe(error)));
  assert.throws(() => parse("n | constructor", []), { code: "unknown_format" });
});

test("formats take arguments, follow each other, and are not asked about nothing", () => {
  formats.twice = (value, joint = "") => `${value}${joint}${value}`;
  assert.equal(evaluate("name | twice"), "AdaAda");
  assert.equal(evaluate("name | twice '-' | twice"), "Ada-AdaAda-Ada");
  assert.equal(evaluate("name | twice n"), "Ada3Ada");
  assert.equal(evaluate("absent | twice"), undefined);
  delete formats.twice;
});

test("the formats that are there follow the language of the page", async (t) => {
  assert.equal(evaluate("1500 | duration"), 1500, "a format that is not loaded leaves the value");
  await later("more-formats");
  globalThis.document = { documentElement: { lang: "en" } };
  assert.equal(evaluate("1234.5 | number"), "1,234.5");
  assert.equal(evaluate("1234.5 | number 2"), "1,234.50");
  assert.equal(evaluate("0.1234 | percent"), "12%");
  assert.equal(evaluate("0.1234 | percent 1"), "12.3%");
  assert.equal(evaluate("1500 | duration"), "2 s");
  assert.equal(evaluate("80000 | duration"), "1 min 20 s");
  assert.equal(evaluate("5400000 | duration"), "1 h 30 min");
  assert.equal(evaluate("180000000 | duration"), "2 d 2 h");
  assert.equal(evaluate("9.5 | currency 'EUR'"), "€9.50");
  assert.equal(evaluate("9.5 | currency 'JPY'"), "¥10");
  assert.equal(evaluate("9.5 | currency 'EUR' 0"), "€10");
  assert.equal(evaluate("999 | bytes"), "999 byte");
  assert.equal(evaluate("1536 | bytes"), "1.5 kB");
  assert.equal(evaluate("20000000 | bytes 0"), "20 MB");
  assert.equal(evaluate("x | list", { x: ["rope", "oil", "tar"] }), "rope, oil, and tar");
  assert.equal(evaluate("'ab' | upper"), "AB");
  t.mock.timers.enable({ apis: ["Date"], now: Date.parse("2026-03-04T12:00:00Z") });
  for (const [when, said] of [["11:57:00", "3 minutes ago"], ["12:00:00", "now"], ["14:00:00", "in 2 hours"]]) {
    assert.equal(evaluate(`'2026-03-04T${when}Z' | relative`), said);
  }
  assert.equal(evaluate("'no date' | relative"), "no date");
  assert.equal(evaluate("'2026-03-04T12:00:00' | date"), "Mar 4, 2026");
  assert.equal(evaluate("'2026-03-04T12:00:00' | date 'long'"), "March 4, 2026");
  assert.match(evaluate("'2026-03-04T12:00:00' | date null 'short'"), /^12:00\sPM$/);
  assert.equal(evaluate("'no date' | date"), "no date");
  assert.equal(evaluate("1 | number -3"), "1");
  globalThis.document.documentElement.lang = "de";
  assert.equal(evaluate("1234.5 | number 2"), "1.234,50");
  delete globalThis.document;
});

test("w-each names a row, w-on an action, a cancel or one local value", () => {
  assert.equal(parseEach("todo of todos", []).name, "todo");
  for (const text of ["todos", "todo in todos", "$x of todos", "null of todos", "a.b of c", ""]) {
    assert.throws(() => parseEach(text, []), { code: "expression" }, text);
  }
  assert.deepEqual(parseHandler(" add ", []), [{ action: "add" }]);
  assert.deepEqual(parseHandler("todo/toggle-all", []), [{ action: "todo/toggle-all" }]);
  assert.deepEqual(parseHandler("$cancel", []), [{ action: "$cancel" }]);
  assert.equal(parseHandler("$local.editing = todo.id", ["todo"])[0].local, "editing");
  assert.deepEqual(
    parseHandler("save; $local.a = ';' ; $local.b = \"x;\"", []).map((step) => step.action ?? step.local),
    ["save", "a", "b"],
  );
  for (const text of ["", "add(1)", "count = 1", "$local.x == 1", "$local.a.b = 1", "$jobs", "a b", "$local = 1", "add | number"]) {
    assert.throws(() => parseHandler(text, []), { code: "expression" }, text);
  }
});

/** The cases that Rust reads too, for `windlass check`. */
function cases(file) {
  return JSON.parse(readFileSync(new URL(`../../conformance/expressions/${file}`, import.meta.url), "utf8"));
}

/** What reading gives, or the code with which it is refused. */
function result(read) {
  try {
    return read();
  } catch (error) {
    if (typeof error.code !== "string") throw error;
    return { error: error.code };
  }
}

for (const [file, read] of [
  ["values.json", (text, rows) => {
    const { uses, plain } = parse(text, rows);
    return plain ? { uses, plain } : { uses };
  }],
  ["lists.json", (text, rows) => {
    const { name, list } = parseEach(text, rows);
    return { name, uses: list.uses };
  }],
  ["handlers.json", (text, rows) => ({
    steps: parseHandler(text, rows).map((step) => "action" in step ? step : { local: step.local, uses: step.expression.uses }),
  })],
]) {
  test(`expressions/${file}`, () => {
    for (const { text, rows = [], ...expected } of cases(file)) assert.deepEqual(result(() => read(text, rows)), expected, text);
  });
}
