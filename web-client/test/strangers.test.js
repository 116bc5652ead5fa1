/**
 * What other scripts do to the bound tree, and what a person calls up: who is bound, who is let go, who has the focus.
 *
 * @module
 */

import assert from "node:assert/strict";
import { test } from "node:test";

import { page } from "./support/page.js";

// Mutation observers run in a microtask or, here, after a timer.
const seen = () => new Promise((resolve) => setTimeout(resolve, 5));

function fire(element, type, init = {}) {
  const event = new window.Event(type, { bubbles: true, cancelable: true });
  for (const [name, value] of Object.entries(init)) Object.defineProperty(event, name, { value });
  element.dispatchEvent(event);
}

function make(html) {
  const template = document.createElement("template");
  template.innerHTML = html;
  return template.content.firstElementChild;
}

test("what another script adds is bound, and what it takes out is let go", async () => {
  const p = page(`<main></main>`, { state: { n: 1, rows: [1, 2] } });
  const added = make(`<section><b w-text="n" w-on:click="add"></b><input w-model="n"><template w-each="row of rows"><i w-text="row"></i></template></section>`);
  p.$("main").append(added);
  await seen();
  p.delta(["n", 2], [1, "rows", 2, 3]);
  fire(p.$("b"), "click");
  assert.deepEqual([p.texts("b"), p.texts("i"), p.app.sent.length], [["2"], ["1", "2", "3"], 1]);

  added.remove();
  await seen();
  p.delta(["n", 3]);
  assert.equal(added.querySelector("b").textContent, "2");
  assert.equal(p.bound.size, 0, "nothing is held");
  p.$("main").append(make(`<u w-text="n"></u>`));
  await seen();
  p.frame();
  assert.deepEqual(p.texts("u"), ["3"]);
});

test("what is moved, is in w-ignore, or belongs to a list is not bound twice", async () => {
  const p = page(`<main w-ignore></main><p><b w-text="n"></b></p><ul><template w-each="row of rows" w-key="row"><li w-text="row"></li></template></ul>`, {
    state: { n: 1, rows: ["a", "b"] },
  });
  const size = p.bound.size;
  p.$("main").append(make(`<i w-text="n">ignored</i>`));
  p.body.append(p.$("p"));
  p.$("ul").prepend(p.body.querySelectorAll("li")[1]);
  await seen();
  p.delta(["n", 2]);
  assert.deepEqual([p.texts("i"), p.texts("b"), p.codes(), p.bound.size], [["ignored"], ["2"], [], size]);
});

test("a mistake in what is added later is told like any other", async () => {
  const p = page(`<main></main>`, { state: { count: 1 } });
  p.$("main").append(make(`<b w-text="cuont"></b>`));
  await seen();
  assert.deepEqual(p.codes(), ["unknown_name"]);
});

test("what a person calls up has the focus, and leaves it where it was", () => {
  const p = page(`<button w-on:click="$local.open = true"></button><template w-if="$local.open || pushed"><p><input autofocus w-on:keydown.esc="$local.open = null"></p></template>`, {
    state: { pushed: false },
  });
  p.$("button").focus();
  p.delta(["pushed", true]);
  assert.equal(document.activeElement, p.$("button"), "what the server sends takes it from nobody");
  p.delta(["pushed", false]);
  fire(p.$("button"), "click");
  assert.equal(document.activeElement, p.$("input"));
  fire(p.$("input"), "keydown", { key: "Escape" });
  assert.deepEqual([p.$("input"), document.activeElement === p.$("button")], [null, true]);
});

test("the blur of what is taken out is nobody's act", () => {
  const p = page(`<template w-if="on"><input w-on:blur="save"></template>`, { state: { on: true } });
  const input = p.$("input");
  const { remove } = input;
  // As Chromium does.
  input.remove = () => (fire(input, "blur"), remove.call(input));
  fire(input, "blur");
  p.delta(["on", false]);
  assert.deepEqual([p.$("input"), p.app.sent.length], [null, 1]);
});

test("$location follows the address", () => {
  const p = page(`<b w-text="$location.hash"></b><i w-class:on="$location.pathname == '/'"></i>`, { state: {} });
  p.frame();
  location.hash = "#/active";
  window.dispatchEvent(new window.Event("hashchange"));
  p.frame();
  assert.deepEqual([p.texts("b"), p.$("i").className], [["#/active"], "on"]);
  location.hash = "";
});
