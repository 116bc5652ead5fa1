/**
 * docs/pages.md, executed: each example binds without a complaint, shows what the page says, and sends what it says.
 *
 * @module
 */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { EXAMPLES, plain, TEXT } from "./support/examples.js";
import { page } from "./support/page.js";

const { later } = await import("../src/later.js");
test("every example of docs/pages.md is one that this test runs", () => {
  const blocks = TEXT.match(/^```html\n/gm).length;
  const results = EXAMPLES.filter(({ shown }) => shown !== undefined).length;
  assert.ok(EXAMPLES.length > 12);
  assert.equal(blocks, EXAMPLES.length + results);
});

const source = (name) => readFileSync(new URL(`../src/${name}.js`, import.meta.url), "utf8");
const shown = EXAMPLES.map(({ html }) => html).join("\n");
const sorted = (words) => [...new Set(words)].sort();

/** The members of an object or the strings of a list in a source, by its name. */
function listed(text, name) {
  const [, body] = new RegExp(`const ${name} =[^{\\[(]*(?:new Set\\()?(?:\\/\\*\\* @type[^]*?\\*\\/ )?\\(?[{\\[]([^]*?)[}\\]]`).exec(text);
  return body;
}

test("the attributes of docs/pages.md are those of the client, both ways, each with an example", () => {
  const text = source("template");
  const words = [
    ...[...text.slice(text.indexOf("const SHOWN = {")).matchAll(/^  (\w+): \{/gm)].map(([, word]) => word),
    ...listed(text, "PLAIN").match(/\w+/g),
    ...[...text.matchAll(/word === "(\w+)"/g)].map(([, word]) => word),
    "ignore",
  ];
  // Events of the client have the same beginning, and `w-state` is written by it.
  const events = ["files", "refused"];
  const told = [...TEXT.matchAll(/\bw-([a-z]+)/g)].map(([, word]) => word).filter((word) => !events.includes(word));
  assert.deepEqual(sorted(told), sorted(words));
  const without = sorted(words).filter((word) => word !== "state" && !new RegExp(`w-${word}\\b`).test(shown));
  assert.deepEqual(without, []);
});

test("the formats of docs/pages.md are those of the client, both ways, each with an example", async () => {
  const { formats } = await import("../src/formats.js");
  await later("more-formats");
  const table = /\| format \| \|\n([^]*?)\n\n/.exec(TEXT)[1];
  const told = table.split("\n").flatMap((row) => [...row.split("|")[1].matchAll(/`(\w+)/g)].map(([, name]) => name));
  assert.deepEqual(sorted(told), sorted(Object.keys(formats)));
  assert.deepEqual(Object.keys(formats).filter((name) => !new RegExp(`\\| ${name}\\b`).test(shown)), []);
});

test("the reserved names of docs/pages.md are those of the client, both ways, each with an example", () => {
  const text = source("expression");
  const names = [...text.matchAll(/\$(?:jobs|index|cancel|dismiss)\b/g), ...listed(text, "BASES").matchAll(/\$\w+/g)].map(([name]) => name);
  assert.deepEqual(sorted(TEXT.match(/\$[a-z]+/g)), sorted(names));
  assert.deepEqual(sorted(names).filter((name) => !shown.includes(name)), []);
});

const { HELD, KEYS } = await import("../src/template.js");
const PARAGRAPH = /^- `\.prevent[^]*?`\.ctrl[^`]*`/m.exec(TEXT)[0];

test("the modifiers of docs/pages.md are those of the client, both ways", () => {
  const [, own] = /const MODIFIERS = \[(.*?)\.\.\./.exec(source("template"));
  const told = [...PARAGRAPH.matchAll(/\.([a-z]+)\b/g)].map(([, word]) => word);
  assert.deepEqual(sorted(told), sorted([...own.match(/\w+/g), ...Object.keys(KEYS), ...HELD]));
  for (const word of own.match(/\w+/g)) assert.match(shown, new RegExp(`w-on:[a-z.]*\\.${word}\\b`), word);
});

for (const [word, key] of Object.entries(KEYS)) {
  test(`docs/pages.md: .${word} is ${JSON.stringify(key)} and no other key`, () => {
    const p = page(`<input w-on:keydown.${word}="pressed" w-arg="1">`, { state: {} });
    for (const pressed of ["q", key]) p.$("input").dispatchEvent(new window.KeyboardEvent("keydown", { key: pressed, bubbles: true, cancelable: true }));
    assert.equal(p.app.sent.length, 1);
  });
}

for (const held of HELD) {
  test(`docs/pages.md: .${held} is that key held`, () => {
    const p = page(`<button w-on:click.${held}="pressed"></button>`, { state: {} });
    for (const is of [false, true]) p.$("button").dispatchEvent(new window.MouseEvent("click", { [`${held}Key`]: is, bubbles: true, cancelable: true }));
    assert.equal(p.app.sent.length, 1);
  });
}

for (const { html, state, shown, event, change } of EXAMPLES) {
  test(`docs/pages.md: ${html.trim().split("\n")[0].slice(0, 80)}`, async () => {
    await Promise.all(["more-formats", "job-card"].map(later));
    document.documentElement.lang = "en";
    const p = page(html, { state: state(), confirm: () => true });
    await new Promise((resolve) => setImmediate(resolve));
    p.frame();
    assert.deepEqual(p.messages, []);
    if (shown !== undefined) assert.equal(plain(p.body), plain(made(shown)));
    if (event) {
      const { type, held, key, selector, sends } = event;
      const init = { bubbles: true, cancelable: true, ...(key && { key, [`${held}Key`]: true }) };
      p.$(selector).dispatchEvent(key ? new window.KeyboardEvent(type, init) : new window.Event(type, init));
      assert.deepEqual(p.app.sent.map(({ name, payload }) => [name, payload]), [sends]);
    }
    if (change) {
      const { selector, value, path } = change;
      p.$(selector).value = value;
      for (const type of ["input", "change"]) p.$(selector).dispatchEvent(new window.Event(type, { bubbles: true }));
      assert.deepEqual(p.app.sent.map(({ name, payload }) => [name, payload]), [["$set", { path, value }]]);
    }
  });
}

function made(html) {
  const element = document.createElement("body");
  element.innerHTML = html;
  return element;
}
