/**
 * `w-model`: what a control sends, and what it shows while a person types.
 *
 * @module
 */

import assert from "node:assert/strict";
import { test } from "node:test";

import { page } from "./support/page.js";

const settled = () => new Promise((resolve) => setImmediate(resolve));

function fire(element, ...types) {
  for (const type of types) element.dispatchEvent(new window.Event(type, { bubbles: true }));
}

function type(element, value) {
  element.value = value;
  fire(element, "input");
}

const writes = (p) => p.app.sent.map(({ payload }) => payload);

test("every kind of control shows its field and writes the type that the field has", () => {
  const cases = [
    [`<input w-model="a">`, "x", (e) => e.value, "x", (e) => (e.value = "y"), "y"],
    [`<textarea w-model="a"></textarea>`, "x", (e) => e.value, "x", (e) => (e.value = "y"), "y"],
    [`<input w-model="a" type="number">`, 1, (e) => e.value, "1", (e) => (e.value = "2.5"), 2.5],
    [`<input w-model="a" type="number">`, 1, (e) => e.value, "1", (e) => (e.value = ""), null],
    [`<input w-model="a" type="range" max="10">`, 3, (e) => e.value, "3", (e) => (e.value = "4"), 4],
    [`<input w-model="a" type="checkbox">`, true, (e) => e.checked, true, (e) => (e.checked = false), false],
    [`<input w-model="a" type="checkbox" value="x">`, ["x", "y"], (e) => e.checked, true, (e) => (e.checked = false), ["y"]],
    [`<input w-model="a" type="checkbox" value="x">`, ["y"], (e) => e.checked, false, (e) => (e.checked = true), ["y", "x"]],
    [`<input w-model="a" type="radio" value="x">`, "y", (e) => e.checked, false, (e) => (e.checked = true), "x"],
    [`<input w-model="a" type="radio" value="2">`, 2, (e) => e.checked, true, (e) => (e.checked = true), 2],
    [`<select w-model="a"><option>x</option><option>y</option></select>`, "y", (e) => e.value, "y", (e) => (e.value = "x"), "x"],
    [`<select w-model="a"><option>1</option><option>2</option></select>`, 2, (e) => e.value, "2", (e) => (e.value = "1"), 1],
    [`<select w-model="a" multiple><option>x</option><option>y</option></select>`, ["y"],
      (e) => [...e.options].map(({ selected }) => selected).join(), "false,true",
      (e) => (e.options[0].selected = true), ["x", "y"]],
    [`<input w-model="a">`, null, (e) => e.value, "", (e) => (e.value = "y"), "y"],
  ];
  for (const [html, a, shows, shown, edit, written] of cases) {
    const p = page(html, { state: { a } });
    p.frame();
    const element = p.body.firstElementChild;
    assert.equal(shows(element), shown, html);
    edit(element);
    fire(element, "input", "change");
    assert.deepEqual(writes(p), [{ path: ["a"], value: written }], html);
    assert.deepEqual(p.codes(), []);
  }
});

test("[SET-3] of what is typed while a write is on its way only the last is sent, and no older echo is shown", async () => {
  const p = page(`<input w-model="a">`, { state: { a: "" } });
  const input = p.$("input");
  type(input, "h");
  type(input, "he");
  type(input, "hel");
  assert.deepEqual(writes(p).map(({ value }) => value), ["h"]);
  p.delta(["a", "h"]);
  assert.equal(input.value, "hel", "the echo is older");
  p.app.sent[0].resolve(null);
  await settled();
  assert.deepEqual(writes(p).map(({ value }) => value), ["h", "hel"]);
  assert.equal(input.value, "hel");
  p.delta(["a", "HEL"]);
  assert.equal(input.value, "hel", "its outcome is to come");
  p.app.sent[1].resolve(null);
  await settled();
  assert.equal(input.value, "HEL", "the server has the last word");
  p.delta(["a", "other"]);
  assert.equal(input.value, "other");
});

test("what was typed goes out before an action, on blur, and when the page goes", async () => {
  const p = page(`<input w-model.blur="a"><button w-on:click="save"></button>`, { state: { a: "" } });
  const input = p.$("input");
  type(input, "x");
  assert.deepEqual(p.app.sent, []);
  fire(p.$("button"), "click");
  assert.deepEqual(p.app.sent.map(({ name }) => name), ["$set", "save"]);
  type(input, "xy");
  fire(input, "blur");
  assert.equal(p.app.sent[2].payload.value, "xy");
  type(input, "xyz");
  window.dispatchEvent(new window.Event("pagehide"));
  assert.equal(p.app.sent[3].payload.value, "xyz");
  fire(input, "change", "blur");
  assert.equal(p.app.sent.length, 4, "nothing has changed since");
});

test("[SET-2] a field of a row is named by the row's key, however deep and wherever the row is", () => {
  const p = page(
    `<template w-each="group of groups" w-key="group.name"><div>
       <template w-each="todo of group.todos" w-key="todo.id"><p>
         <input class="text" w-model="todo.text"><input class="name" w-model="group.title"><input class="top" w-model="top">
       </p></template>
     </div></template>`,
    { state: { top: "", groups: [{ name: "a", title: "", todos: [] }, { name: "b", title: "", todos: [{ id: 7, text: "x" }] }] } },
  );
  p.frame();
  p.delta([2, "groups", 0, 1]);
  for (const name of ["text", "name", "top"]) type(p.$(`.${name}`), "y");
  assert.deepEqual(writes(p).map(({ path }) => path), [
    ["groups", { name: "b" }, "todos", { id: 7 }, "text"],
    ["groups", { name: "b" }, "title"],
    ["top"],
  ]);
});

test("a write that was refused leaves the text, says so beside it, and ends with the next edit", async () => {
  const p = page(`<input w-model="age" type="number">`, { state: { age: 1 } });
  p.frame();
  const input = p.$("input");
  let told = null;
  p.body.addEventListener("w-refused", ({ detail }) => (told = detail));
  type(input, "300");
  p.app.sent[0].reject({ code: "bad_payload", text: "too old" });
  await settled();
  assert.deepEqual(told, { action: "$set", code: "bad_payload", text: "too old" });
  assert.deepEqual([input.value, input.getAttribute("aria-invalid")], ["300", "true"]);
  fire(input, "change", "blur");
  assert.equal(p.app.sent.length, 1);
  type(input, "30");
  p.app.sent[1].resolve(null);
  await settled();
  assert.equal(input.getAttribute("aria-invalid"), null);
});

test("nothing is written into a control while an input method composes", async () => {
  const p = page(`<input w-model="a">`, { state: { a: "" } });
  const input = p.$("input");
  fire(input, "compositionstart");
  type(input, "に");
  p.delta(["a", "other"]);
  assert.equal(input.value, "に");
  assert.deepEqual(p.app.sent, []);
  fire(input, "compositionend");
  assert.deepEqual(writes(p).map(({ value }) => value), ["に"]);
});

test("an input that says again what is on its way, as after a composition in Firefox, writes it once", async () => {
  const p = page(`<input w-model="a">`, { state: { a: "" } });
  const input = p.$("input");
  fire(input, "compositionstart");
  type(input, "に");
  fire(input, "compositionend", "input");
  p.delta(["a", "に"]);
  p.app.sent[0].resolve(null);
  await settled();
  assert.deepEqual(writes(p).map(({ value }) => value), ["に"]);
  p.delta(["a", "other"]);
  assert.equal(input.value, "other", "the control follows its field again");
});

test("a password is written as a secret", () => {
  const p = page(`<input w-model="word" type="password">`, { state: { word: "" } });
  type(p.$("input"), "x");
  assert.equal(p.app.sent[0].secret, true);
});

test("what cannot be a field is said when it is bound", () => {
  const cases = [
    [`<p w-model="a"></p>`, "not_a_control"],
    [`<input type="file" w-model="a">`, "not_a_control"],
    [`<input w-model="a == 1">`, "expression"],
    [`<input w-model="$local.a">`, "expression"],
    [`<input w-model.lazy="a">`, "unknown_attribute"],
    [`<template w-each="row of a"><input w-model="row.b"></template>`, "no_key"],
    [`<template w-each="row of a" w-key="row.b.c"><input w-model="row.b"></template>`, "no_key"],
  ];
  for (const [html, code] of cases) assert.deepEqual(page(html, { state: { a: [] } }).codes(), [code], html);
});

test("a control that is let go listens no more", () => {
  const p = page(`<template w-if="a != null"><input w-model="a"></template>`, { state: { a: "x" } });
  p.frame();
  const input = p.$("input");
  p.delta(["a", null]);
  type(input, "y");
  assert.deepEqual(p.app.sent, []);
});
