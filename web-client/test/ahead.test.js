/**
 * What is written on the page is shown ahead of the answer, wherever its field is, and settles on the answer.
 *
 * @module
 */

import assert from "node:assert/strict";
import { test } from "node:test";

import { page } from "./support/page.js";

const settled = () => new Promise((resolve) => setImmediate(resolve));

function fire(element, type, init = {}) {
  const event = new window.Event(type, { bubbles: true, cancelable: true });
  for (const [name, value] of Object.entries(init)) Object.defineProperty(event, name, { value });
  element.dispatchEvent(event);
}

function type(element, value) {
  element.value = value;
  fire(element, "input");
}

const TODOS = `<ul><template w-each="todo of todos" w-key="todo.id"><li w-class:done="todo.done" w-show="!todo.done || all">
  <input type="checkbox" w-model="todo.done"><b w-text="todo.text"></b><input class="text" w-model="todo.text"></li></template></ul>`;

test("a field shows what was typed into it wherever it is shown, and then what the server made of it", async () => {
  const p = page(`<input w-model="name"><b w-text="name"></b>`, { state: { name: "" } });
  type(p.$("input"), " ada");
  type(p.$("input"), " ada l");
  p.frame();
  assert.deepEqual(p.texts("b"), [" ada l"], "also what waits for the write before it");
  p.delta(["name", "ada"]);
  assert.deepEqual(p.texts("b"), [" ada l"]);
  p.app.sent[0].resolve(null);
  await settled();
  p.app.delta(["name", "ada l"]);
  p.app.sent[1].resolve(null);
  await settled();
  p.frame();
  assert.deepEqual([p.texts("b"), p.$("input").value], [["ada l"], "ada l"]);
});

test("after a refusal the server's value is shown again, and the control keeps what is to be mended", async () => {
  const p = page(`<input w-model="n" type="number"><b w-text="n"></b>`, { state: { n: 1 } });
  type(p.$("input"), "300");
  p.frame();
  assert.deepEqual(p.texts("b"), ["300"]);
  p.app.sent[0].reject({ code: "too_many", text: "too many" });
  await settled();
  p.frame();
  assert.deepEqual([p.texts("b"), p.$("input").value], [["1"], "300"]);
});

test("a row keeps what was written into it while rows come, go and move around it", async () => {
  const todo = (id) => ({ id, text: `t${id}`, done: false });
  const p = page(TODOS, { state: { all: true, todos: [todo(1), todo(2), todo(3)] } });
  p.frame();
  type(p.body.querySelectorAll(".text")[1], "two");
  const [, second] = p.body.querySelectorAll("[type=checkbox]");
  second.checked = true;
  fire(second, "change");
  fire(second, "input");
  p.frame();
  const shown = () => [...p.body.querySelectorAll("li")].map((li) => li.querySelector("b").textContent + (li.className && "*"));
  assert.deepEqual(shown(), ["t1", "two*", "t3"]);
  p.delta([1, "todos", 0, todo(9)], ["todos", 3, "text", "three"]);
  assert.deepEqual(shown(), ["t9", "t1", "two*", "three"]);
  p.delta([3, "todos", 2, 0]);
  assert.deepEqual(shown(), ["two*", "t9", "t1", "three"]);
  p.app.snapshot({ all: false, todos: [todo(1), todo(2)] });
  p.frame();
  assert.deepEqual(shown(), ["t1", "two*"]);
  assert.equal(p.body.querySelectorAll("li")[1].hidden, true, "a condition sees it too");
  for (const { resolve } of p.app.sent) resolve(null);
  await settled();
  p.frame();
  assert.deepEqual(shown(), ["t1", "t2"], "the server has the last word");
  p.delta([2, "todos", 1, 1], ["todos", 0, "text", "one"]);
  assert.deepEqual(shown(), ["one"]);
});

test("two boxes of one list that are ticked at once are both in it", () => {
  const p = page(`<input type="checkbox" value="x" w-model="a"><input type="checkbox" value="y" w-model="a">`, { state: { a: [] } });
  p.frame();
  for (const box of p.body.querySelectorAll("input")) {
    box.checked = true;
    fire(box, "input");
  }
  assert.deepEqual(p.app.sent.map(({ payload }) => payload.value), [["x"], ["x", "y"]]);
});

test("a row that goes sends what was typed into it, and the page is right afterwards", async () => {
  const html = `<template w-each="row of rows" w-key="row.id"><p><input w-model.blur="row.name"><b w-text="row.name"></b></p></template>`;
  const p = page(html, { state: { rows: [{ id: 1, name: "a" }, { id: 2, name: "b" }] } });
  p.frame();
  type(p.$("input"), "A");
  p.delta([2, "rows", 0, 1]);
  assert.deepEqual([p.app.sent.length, p.texts("b")], [1, ["b"]]);
  p.app.sent[0].reject({ code: "gone", text: "no such row" });
  await settled();
  p.delta([1, "rows", 0, { id: 3, name: "c" }]);
  assert.deepEqual(p.texts("b"), ["c", "b"]);
});

test("w-model.debounce waits for a pause, and an action does not", (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const p = page(`<input w-model.debounce.200="a"><b w-text="a"></b><button w-on:click="go"></button>`, { state: { a: "" } });
  const input = p.$("input");
  type(input, "x");
  t.mock.timers.tick(150);
  type(input, "xy");
  t.mock.timers.tick(150);
  p.frame();
  assert.deepEqual([p.app.sent.length, p.texts("b")], [0, ["xy"]]);
  t.mock.timers.tick(50);
  assert.deepEqual(p.app.sent.map(({ payload }) => payload.value), ["xy"]);
  type(input, "xyz");
  fire(p.$("button"), "click");
  assert.deepEqual(p.app.sent.map(({ name }) => name), ["$set", "$set", "go"]);
});

test("Escape takes back what w-model.blur has not written", () => {
  const p = page(`<input w-model.blur="a">`, { state: { a: "x" } });
  p.frame();
  const input = p.$("input");
  type(input, "y");
  fire(input, "keydown", { key: "Escape", isComposing: true });
  assert.equal(input.value, "y");
  fire(input, "keydown", { key: "Escape" });
  fire(input, "blur");
  assert.deepEqual([input.value, p.app.sent], ["x", []]);
});
