/**
 * The parts that a page loads when it uses them: formats, and the card of a job.
 *
 * @module
 */

import assert from "node:assert/strict";
import { test } from "node:test";

import { page } from "./support/page.js";

const { later } = await import("../src/later.js");
const { labels } = await import("../src/labels.js");

// What a page loads first is in the loader's table from then on.
const loaded = () => Promise.all(["more-formats", "job-card"].map(later)).then(() => new Promise((resolve) => setImmediate(resolve)));

test("a page shows its first values when the formats that they need are there", async () => {
  const p = page(`<b w-text="size | bytes"></b><i w-text="n">old</i>`, { state: { size: 1536, n: 1 } });
  assert.deepEqual([p.texts("b"), p.texts("i")], [[""], ["old"]]);
  await loaded();
  p.frame();
  assert.deepEqual([p.texts("b"), p.texts("i")], [["1.5 kB"], ["1"]]);
  p.delta(["size", 10]);
  assert.deepEqual(p.texts("b"), ["10 byte"]);
});

test("a relative time is written again as time goes by, and no longer than it is shown", async (t) => {
  await loaded();
  t.mock.timers.enable({ apis: ["Date", "setInterval"], now: 1_000_000 });
  const p = page(`<template w-if="on"><b w-text="at | relative"></b></template>`, { state: { on: true, at: 1_000_000 } });
  // Loaded already, and yet awaited.
  await new Promise((resolve) => setImmediate(resolve));
  p.frame();
  assert.deepEqual(p.texts("b"), ["now"]);
  t.mock.timers.tick(70_000);
  p.frame();
  assert.deepEqual(p.texts("b"), ["1 minute ago"]);
  p.delta(["on", false]);
  t.mock.timers.tick(60_000);
  assert.equal(p.framed, 0);
});

function job(more) {
  return { id: "1.1", name: "Train", status: "queued", attempt: 1, rank: 2, eta_ms: 61_000, elapsed_ms: 0, progress: null, text: null, log: [], ...more };
}

test("a job card shows its job, asks for its end, and says aloud only how it ended", async () => {
  const p = page(
    `<template w-each="job of $jobs" w-key="job.id"><windlass-job w-prop:job="job" w-on:cancel="$cancel" w-on:dismiss="$dismiss" w-arg="job.id"></windlass-job></template>`,
    { state: { $jobs: [job()] } },
  );
  await loaded();
  p.frame();
  const root = p.$("windlass-job").shadowRoot;
  const shown = () => ["name", "status", "text", "button"].map((part) => root.querySelector(`[part=${part}]`).textContent);
  const [bar, said] = [root.querySelector("progress"), root.querySelector("[role=status]")];
  assert.deepEqual(shown(), ["Train", "Waiting", "no. 2 in the queue · about 1 min 1 s left", "Cancel"]);
  assert.equal(bar.hidden, true);
  p.delta(["$jobs", [job({ status: "running", rank: null, progress: 0.5, text: "epoch 5", attempt: 2, log: ["a", "b"] })]]);
  assert.deepEqual(shown(), ["Train", "Running, attempt 2", "epoch 5 · about 1 min 1 s left", "Cancel"]);
  assert.deepEqual([bar.hidden, bar.value, root.querySelector("pre").textContent, said.textContent], [false, 0.5, "a\nb", ""]);
  root.querySelector("button").click();
  p.delta(["$jobs", [job({ status: "cancelled", rank: null, eta_ms: null })]]);
  assert.deepEqual([shown()[1], shown()[3], said.textContent], ["Cancelled", "Dismiss", "Train: Cancelled"]);
  labels.job.dismiss = "Weg";
  p.delta(["$jobs", 0, "text", "x"]);
  assert.equal(shown()[3], "Weg");
  labels.job.dismiss = "Dismiss";
  document.documentElement.lang = "en";
  await new Promise((resolve) => setImmediate(resolve));
  assert.equal(shown()[3], "Dismiss", "its job has ended and changes no more, but the page's language does");
  root.querySelector("button").click();
  assert.deepEqual(p.app.sent.map(({ name, payload }) => [name, payload]), [["$cancel", "1.1"], ["$dismiss", "1.1"]]);
});

test("a part that cannot be loaded is told of", async () => {
  const first = later("unheard-of");
  assert.equal(later("unheard-of"), first);
  await assert.rejects(first);
  const second = later("unheard-of");
  assert.notEqual(second, first, "and asked for again the next time");
  await assert.rejects(second);
});
