/**
 * What happens before a part of the client is there that the page uses: nothing typed, sent or shown is lost.
 *
 * @module
 */

import assert from "node:assert/strict";
import { test } from "node:test";

import { page } from "./support/page.js";

const { parts } = await import("../src/later.js");
const all = { ...parts };
const soon = () => new Promise((resolve) => setImmediate(resolve));

/** A page that finds none of the parts; they come when the test waits. */
function early(html, options) {
  for (const name of ["forms", "Model", "Ahead", "readModel"]) delete parts[name];
  const p = page(html, options);
  Object.assign(parts, all);
  return p;
}

test("a form that is sent before what reads it is there is sent when it is, once, and loads no other page", async () => {
  delete parts.forms;
  const p = page(`<form w-on:submit="add" w-reset><input name="n" type="number" value="3"></form>`, { state: {} });
  const submit = new Event("submit", { bubbles: true, cancelable: true });
  p.$("form").dispatchEvent(submit);
  assert.deepEqual([submit.defaultPrevented, p.app.sent], [true, []]);
  Object.assign(parts, all);
  await soon();
  assert.deepEqual(p.app.sent.map(({ name, payload }) => [name, payload]), [["add", { n: 3 }]]);
});

test("what is typed before its w-model is there stands, and is written when it is", async () => {
  const p = early(`<input class="a" w-model="a"><input class="b" w-model="b">`, { state: { a: "old", b: "old" } });
  p.$(".a").value = "new";
  p.$(".a").dispatchEvent(new Event("input", { bubbles: true }));
  p.app.snapshot({ a: "old", b: "later" });
  assert.deepEqual([p.$(".b").value, p.app.sent.length], ["", 0]);
  await soon();
  p.frame();
  assert.deepEqual([p.$(".a").value, p.$(".b").value], ["new", "later"]);
  assert.deepEqual(p.app.sent.map(({ payload }) => payload), [{ path: ["a"], value: "new" }]);
  p.delta(["b", "now"]);
  assert.equal(p.$(".b").value, "now");
  p.bound.release();
  p.app.delta(["b", "gone"]);
  assert.equal(p.$(".b").value, "now");
});

test("a w-model that goes before it is there leaves nothing", async () => {
  const p = early(`<button w-on:click="$local.open = true"></button><template w-if="$local.open"><input w-model="a"></template>`, { state: { a: "x" } });
  delete parts.Model;
  p.$("button").click();
  assert.ok(p.$("input"));
  p.bound.release();
  Object.assign(parts, all);
  await soon();
  assert.deepEqual([p.$("input"), p.app.sent], [null, []]);
});

test("a w-model that is wrong is told of when what reads it is there, and does nothing", async () => {
  const p = early(`<p class="a" w-model="a"></p><input class="b" w-model="b">`, { state: { a: 1, b: "x" } });
  assert.deepEqual(p.codes(), []);
  await soon();
  p.frame();
  assert.deepEqual([p.codes(), p.messages[0].attribute, p.$(".b").value], [["not_a_control"], 'w-model="a"', "x"]);
  p.delta(["a", 2]);
  p.bound.release();
});
