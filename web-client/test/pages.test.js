/**
 * docs/pages.md, executed: each example binds without a complaint, shows what the page says, and sends what it says.
 *
 * @module
 */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { page } from "./support/page.js";

const { later } = await import("../src/later.js");
const TEXT = readFileSync(new URL("../../docs/pages.md", import.meta.url), "utf8");
const EXAMPLE = /```html\n([^]*?)```\nWith `(\{.*\})`(?::\n```html\n([^]*?)```| a `(\w+)` on `(.*?)` sends `(.*?)`\.| a change of `(.*?)` to `(.*?)` writes `(.*?)`\.)/g;

const examples = [...TEXT.matchAll(EXAMPLE)];

test("every example of docs/pages.md is one that this test runs", () => {
  const blocks = TEXT.match(/^```html\n/gm).length;
  const results = examples.filter(([, , , shown]) => shown !== undefined).length;
  assert.ok(examples.length > 12);
  assert.equal(blocks, examples.length + results);
});

test("every attribute that there is has its place in docs/pages.md", () => {
  const source = readFileSync(new URL("../src/template.js", import.meta.url), "utf8");
  const [, plain] = /const PLAIN = new Set\(\[(.*?)\]/.exec(source);
  const words = ["text", "show", "class", "style", "attr", "prop", "each", "if", "on", "arg", "busy", "model", "error", "ignore", ...plain.match(/\w+/g)];
  for (const word of words) assert.match(TEXT, new RegExp(`w-${word}\\b`), `w-${word}`);
});

for (const [, html, state, shown, type, selector, sent, control, typed, path] of examples) {
  test(`docs/pages.md: ${html.trim().split("\n")[0].slice(0, 80)}`, async () => {
    await Promise.all(["more-formats", "job-card"].map(later));
    document.documentElement.lang = "en";
    const p = page(html, { state: JSON.parse(state) });
    await new Promise((resolve) => setImmediate(resolve));
    p.frame();
    assert.deepEqual(p.messages, []);
    if (shown !== undefined) assert.equal(plain(p.body), plain(made(shown)));
    if (type) {
      p.$(selector).dispatchEvent(new window.Event(type, { bubbles: true, cancelable: true }));
      assert.deepEqual(p.app.sent.map(({ name, payload }) => [name, payload]), [JSON.parse(sent)]);
    }
    if (control) {
      p.$(control).value = typed;
      for (const type of ["input", "change"]) p.$(control).dispatchEvent(new window.Event(type, { bubbles: true }));
      assert.deepEqual(p.app.sent.map(({ name, payload }) => [name, payload]), [["$set", { path: JSON.parse(path), value: typed }]]);
    }
  });
}

function made(html) {
  const element = document.createElement("body");
  element.innerHTML = html;
  return element;
}

/** What a person could see of a tree: no comments, no attributes of the bindings, no blanks that do not count. */
function plain(root) {
  const one = (node) => {
    if (node.nodeType === 3) return node.data.replace(/\s+/g, " ");
    if (node.nodeType !== 1) return "";
    const attributes = [...node.attributes].filter(({ name }) => !name.startsWith("w-")).map(({ name, value }) => `${name}=${value.replace(/\s/g, "")}`);
    return `<${[node.localName, ...attributes.sort()].join(" ")}>${[...node.childNodes].map(one).join("")}</>`;
  };
  return [...root.childNodes].map(one).join("").replace(/\s+/g, " ").trim();
}
