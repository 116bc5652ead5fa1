/**
 * Events and forms: which payload an element sends, and what it shows of its action.
 *
 * @module
 */

import assert from "node:assert/strict";
import { test } from "node:test";

import { fieldsOf } from "../src/fields.js";
import { formValues } from "../src/forms.js";
import { page } from "./support/page.js";

function fire(element, type, init = {}) {
  const event = new window.Event(type, { bubbles: true, cancelable: true });
  for (const [name, value] of Object.entries(init)) Object.defineProperty(event, name, { value });
  element.dispatchEvent(event);
  return event;
}

const settled = () => new Promise((resolve) => setImmediate(resolve));

test("each control of a form sends the type that it suggests", () => {
  const cases = [
    [`<input name="a" value="x">`, { a: "x" }],
    [`<textarea name="a">x</textarea>`, { a: "x" }],
    [`<input name="a" type="number" value="1.5">`, { a: 1.5 }],
    [`<input name="a" type="number" value="">`, { a: null }],
    [`<input name="a" type="range" min="0" max="10" value="3">`, { a: 3 }],
    [`<input name="a" type="date" value="2026-01-02">`, { a: "2026-01-02" }],
    [`<input name="a" type="checkbox" checked>`, { a: true }],
    [`<input name="a" type="checkbox">`, { a: false }],
    [`<input name="a" type="checkbox" value="x" checked><input name="a" type="checkbox" value="y"><input name="a" type="checkbox" value="z" checked>`, { a: ["x", "z"] }],
    [`<input name="a" type="checkbox" value="x"><input name="a" type="checkbox" value="y">`, { a: [] }],
    [`<input name="a" type="radio" value="x"><input name="a" type="radio" value="y" checked>`, { a: "y" }],
    [`<input name="a" type="radio" value="x">`, { a: null }],
    [`<select name="a"><option>x</option><option selected>y</option></select>`, { a: "y" }],
    [`<select name="a" multiple><option selected>x</option><option>y</option><option selected>z</option></select>`, { a: ["x", "z"] }],
    [`<input name="a" value="x"><input name="a" value="y">`, { a: ["x", "y"] }],
    [`<input name="a" disabled value="x"><input value="y"><button name="b" value="z"></button><input type="file" name="c"><output name="o">1</output>`, { c: [] }],
    [`<input name="__proto__" value="x">`, JSON.parse('{"__proto__":"x"}')],
  ];
  for (const [html, expected] of cases) {
    document.body.innerHTML = `<form>${html}</form>`;
    assert.equal(JSON.stringify(formValues(fieldsOf(document.querySelector("form"), true))), JSON.stringify(expected), html);
  }
});

test("a named button counts when it is the one that was pressed", () => {
  document.body.innerHTML = `<form><button name="how" value="fast"></button><button name="how" value="slow"></button></form>`;
  const form = document.querySelector("form");
  assert.deepEqual(formValues(fieldsOf(form, true), form.querySelectorAll("button")[1]), { how: "slow" });
});

test("submit sends the form, and the page stays where it is", () => {
  const p = page(`<form w-on:submit="train" w-arg:run="id"><input name="epochs" type="number" value="10"></form>`, { state: { id: 7 } });
  const event = fire(p.$("form"), "submit");
  assert.ok(event.defaultPrevented);
  assert.deepEqual([p.app.sent[0].name, p.app.sent[0].payload, p.app.sent[0].secret], ["train", { epochs: 10, run: 7 }, false]);
});

test("a form with a password is a secret", () => {
  const p = page(`<form w-on:submit="login"><input name="word" type="password" value="x"></form><b w-on:click="tell" w-secret></b>`);
  fire(p.$("form"), "submit");
  fire(p.$("b"), "click");
  assert.deepEqual(p.app.sent.map(({ secret }) => secret), [true, true]);
});

test("the payload is the argument, the named ones, the control's value, or null", () => {
  const state = { row: { id: 3 } };
  const cases = [
    [`<b w-on:click="x"></b>`, "click", null],
    [`<b w-on:click="x" w-arg="row"></b>`, "click", { id: 3 }],
    [`<b w-on:click="x" w-arg="absent"></b>`, "click", null],
    [`<b w-on:click="x" w-arg:id="row.id" w-arg:how="'fast'" w-arg:user_id="absent"></b>`, "click", { id: 3, how: "fast", user_id: null }],
    [`<b w-on:click="x" w-arg="row" w-arg:how="1"></b>`, "click", { id: 3, how: 1 }],
    [`<input class="b" type="range" value="4" w-on:input="x">`, "input", 4],
    [`<input class="b" type="checkbox" checked w-on:change="x">`, "change", true],
    [`<input class="b" value="a" w-on:input="x" w-arg="$event.target.value">`, "input", "a"],
  ];
  for (const [html, type, expected] of cases) {
    const p = page(html, { state });
    fire(p.$("b, .b"), type);
    assert.deepEqual(p.app.sent.map(({ payload }) => payload), [expected], html);
  }
});

test("an event finds the row it happened in", () => {
  const p = page(`<template w-each="row of rows"><p w-on:click="pick" w-arg="row.id"><b></b></p></template>`, { state: { rows: [{ id: 1 }, { id: 2 }] } });
  p.app.delta([3, "rows", 0, 1]);
  fire(p.body.querySelectorAll("b")[0], "click");
  assert.deepEqual(p.app.sent.map(({ payload }) => payload), [2]);
});

test("modifiers filter, stop and slow down", () => {
  const sent = (html, ...events) => {
    const p = page(html, { state: {} });
    const made = events.map(([selector, type, init]) => fire(p.$(selector), type, init));
    return [p.app.sent.map(({ name }) => name).join(), made];
  };
  assert.equal(sent(`<i w-on:keydown.enter="go" w-on:keydown.esc="leave"></i>`, ["i", "keydown", { key: "Enter" }], ["i", "keydown", { key: "a" }], ["i", "keydown", { key: "Escape" }], ["i", "keydown", { key: "Enter", isComposing: true }])[0], "go,leave");
  assert.equal(sent(`<p w-on:click="outer"><b w-on:click.stop="inner"></b></p>`, ["b", "click"])[0], "inner");
  assert.equal(sent(`<p w-on:click="outer"><b w-on:click="inner"></b></p>`, ["b", "click"])[0], "inner,outer");
  assert.equal(sent(`<p w-on:click.self="outer"><b></b></p>`, ["b", "click"], ["p", "click"])[0], "outer");
  assert.equal(sent(`<b w-on:click.once="go"></b>`, ["b", "click"], ["b", "click"])[0], "go");
  assert.equal(sent(`<b w-on:click.throttle.50="go"></b>`, ["b", "click", { timeStamp: 100 }], ["b", "click", { timeStamp: 149 }], ["b", "click", { timeStamp: 150 }])[0], "go,go");
  assert.equal(sent(`<a w-on:click.prevent="go"></a>`, ["a", "click"])[1][0].defaultPrevented, true);
  assert.equal(sent(`<a w-on:click="go"></a>`, ["a", "click"])[1][0].defaultPrevented, false);
});

test("w-confirm asks first", () => {
  let answer = false;
  const p = page(`<b w-on:click="wipe" w-confirm="Really?"></b>`, { state: {}, confirm: (text) => text === "Really?" && answer });
  fire(p.$("b"), "click");
  answer = true;
  fire(p.$("b"), "click");
  assert.equal(p.app.sent.length, 1);
});

test("an element shows how far its action came", async () => {
  const p = page(`<form w-on:submit="go" w-disable w-reset><input name="a" value="x"><button></button></form>`, { state: {} });
  const form = p.$("form");
  const shown = () => [form.getAttribute("w-state"), form.getAttribute("aria-busy"), p.$("button").disabled];
  p.$("input").value = "typed";
  fire(form, "submit");
  fire(form, "submit");
  assert.equal(p.app.sent.length, 1);
  const [{ onState, resolve }] = p.app.sent;
  onState("sent");
  assert.deepEqual(shown(), ["sent", "true", true]);
  assert.equal(p.$("input").value, "x", "an empty form for whoever types on");
  onState("applied");
  resolve(null);
  await settled();
  assert.deepEqual(shown(), ["applied", null, false]);
  assert.equal(p.$("input").value, "x");
  onState("saved");
  assert.deepEqual(shown(), ["saved", null, false]);
});

test("what is refused keeps what was typed and bubbles as an event", async () => {
  const p = page(`<form w-on:submit="go" w-reset><input name="a" value="x"></form><b w-on:click="$cancel" w-arg="'1.2'"></b>`, { state: {} });
  const heard = [];
  p.body.addEventListener("w-refused", ({ detail }) => heard.push(detail));
  p.$("input").value = "typed";
  fire(p.$("form"), "submit");
  fire(p.$("b"), "click");
  p.app.sent[0].onState("failed");
  p.app.sent[0].reject(Object.assign(new Error("too long"), { code: "too_long", text: "too long" }));
  p.$("b").remove();
  p.app.sent[1].reject(Object.assign(new Error("gone"), { code: "gone", text: "no such job" }));
  await settled();
  assert.deepEqual(heard, [
    { action: "go", code: "too_long", text: "too long" },
    { action: "$cancel", code: "gone", text: "no such job" },
  ]);
  assert.deepEqual([p.$("form").getAttribute("w-state"), p.$("form").hasAttribute("aria-busy"), p.$("input").value], ["failed", false, "typed"]);
});

test("keys and held keys filter", () => {
  const p = page(`<i w-on:keydown.up="up" w-on:keydown.ctrl.enter="send" w-on:keydown.left.right="side"></i>`, { state: {} });
  for (const [key, ctrlKey] of [["ArrowUp"], ["Enter"], ["Enter", true], ["ArrowLeft"], ["ArrowRight"], ["a", true]]) {
    fire(p.$("i"), "keydown", { key, ctrlKey });
  }
  assert.deepEqual(p.app.sent.map(({ name }) => name), ["up", "send", "side", "side"]);
});

test("one event does several things, in order", () => {
  const p = page(`<input value="x" w-on:keydown.enter="add; $local.last = $event.key; done"><b w-text="$local.last"></b>`, { state: {} });
  fire(p.$("input"), "keydown", { key: "Enter" });
  p.frame();
  assert.deepEqual([p.app.sent.map(({ name, payload }) => [name, payload]), p.texts("b")], [[["add", "x"], ["done", "x"]], ["Enter"]]);
});

test("w-reset empties at once; after a refusal what was typed is back, unless the person has typed on", async () => {
  const html = `<form w-on:submit="go" w-reset><input name="a"><input name="b" type="checkbox"><select name="c"><option>1</option><option>2</option></select></form>`;
  const p = page(html, { state: {} });
  const [text, box] = p.body.querySelectorAll("input");
  const select = p.$("select");
  for (const typed of ["", "next"]) {
    [text.value, box.checked, select.value] = ["first", true, "2"];
    fire(p.$("form"), "submit");
    assert.deepEqual([text.value, box.checked], ["", false]);
    text.value = typed;
    p.app.sent.at(-1).reject({ code: "no", text: "no" });
    await settled();
    assert.deepEqual([text.value, box.checked, select.value], [typed || "first", true, "2"]);
  }
  const alone = page(`<input w-on:keydown.enter="add" w-reset>`, { state: {} });
  alone.$("input").value = "x";
  fire(alone.$("input"), "keydown", { key: "Enter" });
  assert.deepEqual([alone.app.sent[0].payload, alone.$("input").value], ["x", ""]);
});

test("of files an action tells name, size and type, and who carries them hears of it", async () => {
  const p = page(`<form w-on:submit="send"><input type="file" name="photos" multiple></form>`, { state: {} });
  const file = new File(["abc"], "a.txt", { type: "text/plain" });
  Object.defineProperty(p.$("input"), "files", { value: [file] });
  let heard;
  p.body.addEventListener("w-files", ({ detail }) => (heard = detail));
  fire(p.$("form"), "submit");
  assert.deepEqual(p.app.sent[0].payload, { photos: [{ name: "a.txt", size: 3, type: "text/plain" }] });
  assert.equal(heard.files.photos[0], file);
  p.app.sent[0].resolve({ to: "/uploads/1" });
  assert.deepEqual([heard.action, await heard.outcome], ["send", { to: "/uploads/1" }]);
});

test("w-error tells a refusal beside what was refused, until the next try", async () => {
  const p = page(
    `<form w-on:submit="go"><input><p w-error="go"></p></form>
     <template w-each="row of rows" w-key="row.id"><div><input w-model="row.n"><i w-error="row.n"></i></div></template>`,
    { state: { rows: [{ id: 1, n: "a" }, { id: 2, n: "b" }] } },
  );
  const heard = [];
  p.body.addEventListener("w-refused", ({ detail }) => heard.push([detail.action, detail.shown]));
  fire(p.$("form"), "submit");
  p.app.sent[0].reject({ code: "no", text: "not now" });
  const [, second] = p.body.querySelectorAll("div input");
  second.value = "c";
  fire(second, "input");
  p.app.sent[1].reject({ code: "no", text: "not so" });
  await settled();
  assert.deepEqual([p.texts("p"), p.texts("i"), heard], [["not now"], ["", "not so"], [["go", true], ["$set", true]]]);
  assert.equal(p.$("p").getAttribute("role"), "alert");
  assert.equal(second.getAttribute("aria-describedby"), p.body.querySelectorAll("i")[1].id);
  fire(p.$("form"), "submit");
  second.value = "d";
  fire(second, "input");
  assert.deepEqual([p.texts("p"), p.texts("i")], [[""], ["", ""]]);
});
