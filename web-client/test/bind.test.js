/**
 * Bindings: what a page shows of a document, kept in step by ops, and what becomes of its nodes.
 *
 * @module
 */

import assert from "node:assert/strict";
import { test } from "node:test";

import { FakeApp, bind, page } from "./support/page.js";

const LIST = `<ul><template w-each="row of rows" w-key="row.id"><li w-text="row.name"></li></template></ul>`;

function rows(...names) {
  return names.map((name) => ({ id: name, name }));
}

test("text, attribute, property, class, style and visibility follow the document", () => {
  const p = page(
    `<p w-text="a" w-attr:title="a" w-prop:tab-index="n" w-class:big="n > 5" w-style:width="w" w-show="n" w-attr:aria-busy="n == 0"></p>`,
    { state: { a: "x", n: 9, w: "3px" } },
  );
  const node = p.$("p");
  assert.deepEqual(
    [node.textContent, node.title, node.tabIndex, node.className, node.style.width, node.hidden, node.getAttribute("aria-busy")],
    ["x", "x", 9, "big", "3px", false, "false"],
  );
  p.delta(["a", null], ["n", 0], [5, "w"]);
  assert.deepEqual(
    [node.textContent, node.hasAttribute("title"), node.tabIndex, node.className, node.style.width, node.hidden, node.getAttribute("aria-busy")],
    ["", false, 0, "", "", true, "true"],
  );
});

test("what stands in the page stays until the first document", () => {
  const p = page(`<b w-text="n">0</b><i w-text="missing">old</i><u w-show="$connection.state == 'stopped'">!</u>${LIST}`);
  assert.deepEqual([p.$("b").textContent, p.$("u").hidden], ["0", true]);
  p.app.snapshot({ n: 7, missing: null, rows: rows("a") });
  p.frame();
  assert.deepEqual([p.$("b").textContent, p.$("i").textContent, p.texts("li")], ["7", "", ["a"]]);
});

test("values wait for a frame, and a frame writes each once", () => {
  const p = page(`<b w-text="n"></b>`, { state: { n: 0 } });
  p.app.delta(["n", 1]);
  p.app.delta(["n", 2]);
  assert.deepEqual([p.$("b").textContent, p.framed], ["0", 1]);
  p.frame();
  assert.equal(p.$("b").textContent, "2");
  p.app.delta();
  assert.equal(p.framed, 0);
});

test("a growing text is appended to, not written again", () => {
  const p = page(`<p w-text="text"></p>`, { state: { text: "once" } });
  const node = p.$("p").firstChild;
  const appended = [];
  node.appendData = (tail) => appended.push(tail);
  p.delta([4, "text", " upon"]);
  p.delta([4, "text", " a"], [4, "text", " time"]);
  assert.deepEqual(appended, [" upon", " a time"]);
});

test("list ops touch the nodes they name and keep the others", () => {
  const cases = [
    ["insert", [[1, "rows", 1, { id: "x", name: "x" }]], ["a", "x", "b", "c", "d"]],
    ["insert a run", [[7, "rows", 4, rows("x", "y")]], ["a", "b", "c", "d", "x", "y"]],
    ["remove", [[2, "rows", 1, 2]], ["a", "d"]],
    ["move", [[3, "rows", 0, 2]], ["b", "c", "a", "d"]],
    ["permute", [[8, "rows", [3, 1, 2, 0]]], ["d", "b", "c", "a"]],
    ["change", [["rows", 2, "name", "C"]], ["a", "b", "C", "d"]],
    ["replace", [["rows", 2, { id: "z", name: "z" }]], ["a", "b", "z", "d"]],
    ["insert, change it, move it", [[1, "rows", 0, { id: "x", name: "x" }], ["rows", 0, "name", "X"], [3, "rows", 0, 4]], ["a", "b", "c", "d", "X"]],
    ["insert and remove", [[1, "rows", 0, { id: "x", name: "x" }], [2, "rows", 0, 1]], ["a", "b", "c", "d"]],
    ["change and remove", [["rows", 0, "name", "A"], [2, "rows", 0, 1], ["rows", 0, "name", "B"]], ["B", "c", "d"]],
    ["empty", [[2, "rows", 0, 4]], []],
    ["set whole", [["rows", rows("d", "x", "b")]], ["d", "x", "b"]],
    ["edit, then set whole, then edit", [[1, "rows", 0, { id: "x", name: "x" }], ["rows", rows("d", "b")], [1, "rows", 2, { id: "q", name: "q" }]], ["d", "b", "q"]],
    ["gone", [[5, "rows"]], []],
  ];
  for (const [what, ops, expected] of cases) {
    const p = page(LIST, { state: { rows: rows("a", "b", "c", "d") } });
    const before = new Map([...p.body.querySelectorAll("li")].map((node) => [node.textContent, node]));
    p.delta(...ops);
    assert.deepEqual(p.texts("li"), expected, what);
    for (const node of p.body.querySelectorAll("li")) {
      if (before.has(node.textContent)) assert.equal(node, before.get(node.textContent), `${what}: ${node.textContent} is kept`);
    }
  }
});

test("the fewest rows move", () => {
  const p = page(LIST, { state: { rows: rows("a", "b", "c", "d", "e") } });
  const moved = [];
  const list = p.$("ul");
  const insert = list.insertBefore;
  list.insertBefore = (node, next) => (moved.push(node.textContent), insert.call(list, node, next));
  p.delta([8, "rows", [4, 0, 1, 2, 3]]);
  assert.deepEqual([moved.splice(0), p.texts("li")], [["e"], ["e", "a", "b", "c", "d"]]);
  p.app.snapshot({ rows: rows("a", "b", "c", "d", "e") });
  assert.deepEqual([moved, p.texts("li")], [["e"], ["a", "b", "c", "d", "e"]]);
});

test("lists nest, and rows of the inside see the rows around them", () => {
  const p = page(
    `<template w-each="group of groups" w-key="group.id"><section><template w-each="item of group.items"><b w-class:on="item == group.chosen && item != banned" w-text="item"></b></template></section></template>`,
    { state: { banned: "z", groups: [{ id: 1, chosen: "b", items: ["a", "b"] }, { id: 2, chosen: "c", items: [] }] } },
  );
  assert.deepEqual(p.texts("b.on"), ["b"]);
  p.delta([1, "groups", 0, { id: 3, chosen: "y", items: ["y"] }], [1, "groups", 2, "items", 0, "c"], ["groups", 1, "chosen", "a"]);
  assert.deepEqual([p.texts("b"), p.texts("b.on")], [["y", "a", "b", "c"], ["y", "a", "c"]]);
  p.delta(["banned", "y"]);
  assert.deepEqual(p.texts("b.on"), ["a", "c"]);
  p.delta([3, "groups", 0, 2], ["groups", 2, "items", 0, "Y"], [8, "groups", 0, "items", [1, 0]]);
  assert.deepEqual(p.texts("b"), ["b", "a", "c", "Y"]);
});

test("$index follows inserts and moves, in conditions too", () => {
  const p = page(`<template w-each="row of rows"><p><b w-text="$index"></b><template w-if="$index > 0"><i w-text="$index"></i></template></p></template>`, {
    state: { rows: ["a", "b"] },
  });
  p.delta([1, "rows", 0, "x"]);
  assert.deepEqual([p.texts("b"), p.texts("i")], [["0", "1", "2"], ["1", "2"]]);
  p.delta([2, "rows", 1, 1]);
  assert.deepEqual([p.texts("b"), p.texts("i")], [["0", "1"], ["1"]]);
});

test("a condition adds and removes its element at once, and what is in it is live", () => {
  const p = page(`<template w-if="on"><p><b w-text="n"></b><template w-if="deep"><i w-text="n"></i></template></p></template>`, {
    state: { on: false, deep: true, n: 1 },
  });
  assert.equal(p.$("p"), null);
  p.app.delta(["on", true], ["n", 2]);
  assert.deepEqual([p.texts("b"), p.texts("i")], [["2"], ["2"]]);
  p.delta(["n", 3], ["deep", false]);
  assert.deepEqual([p.texts("b"), p.texts("i")], [["3"], []]);
  p.delta(["on", false]);
  assert.equal(p.$("p"), null);
});

test("a list may be a choice between lists", () => {
  const p = page(`<template w-each="x of all ? rows : few" w-key="x"><b w-text="x"></b></template>`, {
    state: { all: true, rows: ["a", "b"], few: ["b"] },
  });
  const [, second] = p.body.querySelectorAll("b");
  p.delta(["all", false]);
  assert.deepEqual([p.texts("b"), p.$("b") === second], [["b"], true]);
  p.delta([1, "few", 0, "c"]);
  assert.deepEqual(p.texts("b"), ["c", "b"]);
});

test("a hidden page is left alone and matched again by key on return", () => {
  const p = page(LIST, { state: { rows: rows("a", "b", "c") } });
  const [first] = p.body.querySelectorAll("li");
  Object.defineProperty(document, "hidden", { value: true, configurable: true });
  p.app.delta([3, "rows", 0, 2]);
  p.app.delta([1, "rows", 0, { id: "x", name: "x" }], ["rows", 3, "name", "A"]);
  assert.deepEqual([p.texts("li"), p.framed], [["a", "b", "c"], 0]);
  delete document.hidden;
  document.dispatchEvent(new Event("visibilitychange"));
  p.frame();
  assert.deepEqual(p.texts("li"), ["x", "b", "c", "A"]);
  assert.equal(p.body.querySelectorAll("li")[3], first);
});

test("ops that outrun the frames are dropped for one match of the page", () => {
  const count = 5001;
  const list = (change) => Array.from({ length: count }, (_, id) => ({ id, name: change(id) }));
  const p = page(LIST, { state: { rows: list(() => "a") } });
  p.app.delta(...Array.from({ length: count }, (_, at) => ["rows", at, "name", "b"]));
  p.app.delta([3, "rows", 0, count - 1], ["rows", 0, "name", "c"]);
  assert.equal(p.framed, 1);
  p.frame();
  const texts = p.texts("li");
  assert.deepEqual([texts.length, texts[0], texts[1], texts.at(-1), p.framed], [count, "c", "b", "b", 0]);
});

test("$local is of the page alone", () => {
  const p = page(`<template w-each="row of rows"><p><b w-on:click="$local.open = $local.open == row ? null : row" w-text="row"></b><i w-show="$local.open == row"></i></p></template>`, {
    state: { rows: ["a", "b"] },
  });
  const shown = () => [...p.body.querySelectorAll("i")].map((node) => !node.hidden);
  assert.deepEqual(shown(), [false, false]);
  p.body.querySelectorAll("b")[1].dispatchEvent(new Event("click", { bubbles: true }));
  p.frame();
  assert.deepEqual([shown(), p.app.sent.length], [[false, true], 0]);
});

test("$connection and $jobs are shown like state", () => {
  const p = page(`<b w-text="$connection.state"></b><template w-each="job of $jobs" w-key="job.id"><i w-text="job.status"></i></template>`, {
    state: { $jobs: [{ id: "1.1", status: "running" }] },
  });
  assert.deepEqual([p.texts("b"), p.texts("i")], [["live"], ["running"]]);
  p.app.connection = { state: "waiting" };
  p.app.tell("connection");
  p.delta(["$jobs", 0, "status", "done"]);
  assert.deepEqual([p.texts("b"), p.texts("i")], [["waiting"], ["done"]]);
});

test("what could run script is refused when it is bound", () => {
  const cases = [
    [`<p w-attr:onclick="a">`, "refused_attribute"],
    [`<p w-attr:srcdoc="a">`, "refused_attribute"],
    [`<p w-attr:style="a">`, "refused_attribute"],
    [`<p w-prop:inner-html="a">`, "refused_attribute"],
    [`<p w-prop:outer-h-t-m-l="a">`, "refused_attribute"],
    [`<p w-prop:onclick="a">`, "refused_attribute"],
    [`<script w-text="a" type="x"></script>`, "refused_element"],
    [`<iframe src="/x" w-attr:src="a"></iframe>`, "refused_element"],
    [`<iframe w-attr:src="a"></iframe>`, "refused_element"],
    [`<svg><animate w-attr:to="a"></animate></svg>`, "refused_element"],
    [`<object w-attr:data="a"></object>`, "refused_element"],
    [`<embed w-attr:src="a">`, "refused_element"],
  ];
  for (const [html, code] of cases) {
    const p = page(html, { state: { a: "alert(1)" } });
    assert.deepEqual(p.codes(), [code], html);
    assert.doesNotMatch(p.body.firstElementChild.cloneNode(true).outerHTML.replace(/w-\S+/g, ""), /alert/);
  }
});

test("a URL from data leads to the web, to mail, to a phone or to a blob", () => {
  const p = page(`<a w-attr:href="url"></a><img w-prop:src="url">`, { state: { url: "" } });
  for (const url of ["javascript:alert(1)", " JaVaScript:x", "java\nscript:x", "\u0001javascript:x", "data:text/html,x", "vbscript:x"]) {
    p.delta(["url", url]);
    assert.equal(p.$("a").getAttribute("href"), null, url);
    assert.doesNotMatch(p.$("img").src, /script|data/, url);
  }
  for (const url of ["https://x.org/", "/a:b", "?x=1", "#top", "mailto:a@b", "tel:1", "blob:http://x/1"]) {
    p.delta(["url", url]);
    assert.equal(p.$("a").getAttribute("href"), url);
  }
});

test("a mistake in the page is told when it is bound, with the fix, and the rest works", () => {
  const cases = [
    [`<p w-text="a +">`, "expression", /not expected/],
    [`<p w-texts="a">`, "unknown_attribute", /'text'/],
    [`<p w-on:click.prevnet="a">`, "unknown_attribute", /'prevent'/],
    [`<p w-class="a">`, "unknown_attribute", /w-class:name/],
    [`<p w-doc="a">`, "unknown_attribute", /w-doc/],
    [`<p w-each="x of a">`, "template_only", /<template>/],
    [`<template w-each="x of a"><p></p><p></p></template>`, "one_root", /exactly one/],
    [`<template w-if="a"></template>`, "one_root", /exactly one/],
    [`<svg><template w-if="a"><g></g></template></svg>`, "one_root", /exactly one/],
    [`<iframe w-show="a" w-prop:src="a"></iframe>`, "refused_element", /redirect/],
    [`<p w-text="aa"></p>`, "unknown_name", /did you mean 'a'/],
    [`<p w-text="a | dat"></p>`, "unknown_format", /'date'/],
    [`<template w-each="x of a"><p></p></template>`, "not_a_list", /number/],
  ];
  for (const [html, code, text] of cases) {
    const p = page(`${html}</p><b w-text="a"></b>`, { state: { a: 1, b: 2 } });
    assert.deepEqual([p.codes(), p.$("b").textContent], [[code], "1"], html);
    assert.match(p.messages[0].text, text);
    assert.ok(p.messages[0].attribute, html);
  }
});

test("two rows with one key are told once and both shown", () => {
  const p = page(LIST, { state: { rows: [] } });
  p.app.snapshot({ rows: rows("a", "a", "b") });
  p.app.snapshot({ rows: rows("b", "a", "a") });
  assert.deepEqual([p.texts("li"), p.codes()], [["b", "a", "a"], ["duplicate_key"]]);
});

test("a tree bound inside of another one keeps its events to itself", () => {
  const p = page(`<div w-ignore><b w-on:click="inner"></b></div><i w-on:click="outer"></i>`, { state: {} });
  const inner = new FakeApp();
  bind(p.$("div").firstChild, inner);
  p.$("b").dispatchEvent(new Event("click", { bubbles: true }));
  p.$("i").dispatchEvent(new Event("click", { bubbles: true }));
  assert.deepEqual([p.app.sent.map(({ name }) => name), inner.sent.map(({ name }) => name)], [["outer"], ["inner"]]);
});

test("w-ignore keeps its part of the page out", () => {
  const p = page(`<div w-ignore><b w-text="a">x</b><template w-if="a"><i></i></template></div>`, { state: { a: 1 } });
  assert.deepEqual([p.texts("b"), p.$("i"), p.codes()], [["x"], null, []]);
});

test("release lets go of everything and leaves a page that can be bound again", () => {
  const html = `${LIST}<b w-text="n" w-on:click="add"></b>`;
  const p = page(html, { state: { n: 1, rows: rows("a") } });
  p.app.delta(["n", 2]);
  p.bound.release();
  p.frame();
  assert.deepEqual([p.texts("b"), p.texts("li"), p.app.listening], [["1"], [], 0]);
  p.$("b").dispatchEvent(new Event("click", { bubbles: true }));
  assert.equal(p.app.sent.length, 0);
  const again = page(p.body.innerHTML, { state: { n: 3, rows: rows("a", "b") } });
  assert.deepEqual([again.texts("b"), again.texts("li")], [["3"], ["a", "b"]]);
});

test("whatever ops come, the page shows what a fresh page would", () => {
  const html = `<p w-text="title"></p><template w-each="g of groups" w-key="g.id"><section>
      <h2 w-text="g.name" w-class:on="g.id == chosen"></h2>
      <template w-each="item of g.items"><b><i w-text="$index"></i><u w-text="item.n"></u><s w-text="g.name"></s><template w-each="t of item.tags"><q w-text="t"></q></template></b></template>
      <template w-if="g.open"><em w-text="g.name"></em></template>
    </section></template><template w-each="x of groups.length > 2 ? flat : title"><code w-text="x"></code></template>`;
  for (let seed = 1; seed <= 40; seed++) {
    const random = generator(seed);
    let id = 0;
    const item = () => ({ n: random(100), tags: Array.from({ length: random(3) }, () => random(9)) });
    const group = () => ({ id: id++, name: `g${random(50)}`, open: random(2) === 1, items: Array.from({ length: random(4) }, item) });
    const state = { title: [], chosen: 1, flat: [1, 2], groups: Array.from({ length: random(5) }, group) };
    const p = page(html, { state });
    for (let step = 0; step < 12; step++) {
      const doc = structuredClone(p.app.document);
      const ops = [];
      for (let count = 1 + random(5); count > 0; count--) ops.push(...edit(doc, random, group, item));
      const hidden = random(6) === 0;
      if (hidden) Object.defineProperty(document, "hidden", { value: true, configurable: true });
      if (random(8) === 0) p.app.snapshot(doc);
      else p.app.delta(...ops);
      if (hidden) {
        delete document.hidden;
        if (random(2)) document.dispatchEvent(new Event("visibilitychange"));
        else p.app.delta();
      }
      p.frame();
      const shown = p.body.innerHTML;
      assert.deepEqual(p.app.document, doc);
      const fresh = page(html, { state: doc, root: document.createElement("body") });
      assert.equal(tidy(shown), tidy(fresh.body.innerHTML), `seed ${seed}, step ${step}: ${JSON.stringify(ops)}`);
      fresh.bound.release();
    }
    p.bound.release();
  }
});

/** One edit of `doc` and the ops that say it. */
function edit(doc, random, group, item) {
  const list = doc.groups;
  const at = random(list.length);
  const target = list[at];
  const nested = target && random(2) ? [["groups", at, "items"], target.items, item] : [["groups"], list, group];
  const [path, array, make] = nested;
  const index = random(array.length);
  switch (random(11)) {
    case 0: {
      const [place, value] = [random(array.length + 1), make()];
      array.splice(place, 0, structuredClone(value));
      return [[1, ...path, place, value]];
    }
    case 1:
      if (!array.length) return [];
      array.splice(index, 1);
      return [[2, ...path, index, 1]];
    case 2: {
      if (!array.length) return [];
      const to = random(array.length);
      array.splice(to, 0, ...array.splice(index, 1));
      return [[3, ...path, index, to]];
    }
    case 3: {
      const order = array.map((_, place) => place).sort(() => random(3) - 1);
      array.splice(0, array.length, ...order.map((from) => array[from]));
      return [[8, ...path, order]];
    }
    case 4: {
      const values = Array.from({ length: random(20) }, make);
      array.splice(index, 0, ...structuredClone(values));
      return [[7, ...path, index, values]];
    }
    case 5: {
      if (!array.length) return [];
      const value = make();
      array[index] = structuredClone(value);
      return [[...path, index, value]];
    }
    case 6:
      if (!target) return [];
      target.name += "!";
      return [[4, "groups", at, "name", "!"]];
    case 7:
      if (!target) return [];
      target.open = !target.open;
      return [["groups", at, "open", target.open]];
    case 8:
      doc.chosen = random(6);
      return [["chosen", doc.chosen]];
    case 9: {
      const value = Array.from({ length: random(4) }, make);
      array.splice(0, array.length, ...structuredClone(value));
      return [[...path, value]];
    }
    default: {
      const inner = target?.items[0];
      if (!inner) return [];
      inner.tags.unshift(7);
      return [[1, "groups", at, "items", 0, "tags", 0, 7]];
    }
  }
}

/** Park and Miller's: a few lines, and the same everywhere. */
function generator(seed) {
  let state = seed * 7919;
  return (below) => {
    state = (state * 48271) % 2147483647;
    return below > 0 ? state % below : 0;
  };
}

/** An attribute that was set and emptied is as good as none. */
function tidy(html) {
  return html.replaceAll(' class=""', "");
}

test("a region is busy while a job of that name waits or runs, whatever becomes of the action that started it", async () => {
  const job = (name, status) => ({ id: "1.1", name, status, progress: 0.25 });
  const p = page(
    `<button w-on:click="train" w-busy="train"></button>
     <template w-each="job of $jobs" w-key="job.id"><progress w-attr:value="job.progress"></progress></template>`,
    { state: { $jobs: [] } },
  );
  const busy = () => p.$("button").getAttribute("aria-busy");
  assert.equal(busy(), null);
  p.$("button").click();
  p.delta(["$jobs", [job("other", "running")]]);
  assert.equal(busy(), null);
  p.delta(["$jobs", [job("train", "queued")]]);
  assert.equal(busy(), "true");
  p.app.sent[0].resolve();
  await new Promise((resolve) => setTimeout(resolve));
  p.delta(["$jobs", 0, "status", "running"]);
  assert.deepEqual([busy(), p.$("progress").getAttribute("value")], ["true", "0.25"]);
  p.delta(["$jobs", 0, "progress", null]);
  assert.equal(p.$("progress").hasAttribute("value"), false, "a progress that nobody knows is indeterminate");
  p.delta(["$jobs", 0, "status", "done"]);
  assert.equal(busy(), null);
});

test("w-busy names a job, and $dismiss is an action of its own", async () => {
  const p = page(`<i w-busy=""></i><b w-on:click="$dismiss" w-arg="'1.2'"></b><u w-on:click="$dismiss"></u>`, { state: {} });
  assert.deepEqual(p.codes(), ["expression"]);
  p.$("b").click();
  p.$("u").click();
  assert.deepEqual(p.app.sent.map(({ name, payload }) => [name, payload]), [["$dismiss", "1.2"], ["$dismiss", null]]);
});

test("names of prototypes are data like any other, in paths, keys, fields and writes", async () => {
  const state = JSON.parse('{"__proto__": {"x": "own"}, "constructor": "c", "rows": [{"id": "__proto__", "hasOwnProperty": 1}, {"id": "constructor", "hasOwnProperty": 2}]}');
  const p = page(
    `<b w-text="__proto__.x"></b><i w-text="constructor"></i><s w-text="rows.toString"></s>
     <template w-each="row of rows" w-key="row.id"><u w-text="row.hasOwnProperty"></u></template><input w-model="__proto__.x">`,
    { state },
  );
  p.frame();
  assert.deepEqual([p.texts("b"), p.texts("i"), p.texts("s"), p.texts("u")], [["own"], ["c"], [""], ["1", "2"]]);
  p.$("input").value = "typed";
  p.$("input").dispatchEvent(new Event("input", { bubbles: true }));
  p.frame();
  assert.deepEqual(p.texts("b"), ["typed"]);
  p.delta(["__proto__", "x", "y"], ["rows", 1, "hasOwnProperty", 3]);
  assert.deepEqual(p.texts("u"), ["1", "3"]);
  assert.deepEqual(p.app.sent.map(({ payload }) => payload), [{ path: ["__proto__", "x"], value: "typed" }]);
  assert.equal({}.x, undefined, "nothing is polluted");
});
