/**
 * What is shipped: the bundle that is checked in is the one that the sources make, and stays small.
 *
 * @module
 */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { gzipSync } from "node:zlib";

import { bundle, ENTRIES } from "../scripts/bundle.js";

test("the bundle that is checked in is what the sources make, to the byte", async () => {
  for (const { path, text } of (await bundle(ENTRIES)).outputFiles) {
    assert.equal(readFileSync(path, "utf8") === text, true, `${path} is stale: npm run build`);
  }
});

test("the bundle exports what the sources do, with the same members", async () => {
  const [ours, bundled] = await Promise.all([import("../src/auto.js?manual"), import("../dist/windlass.js?manual")]);
  const members = (value) => (typeof value === "function" ? Object.getOwnPropertyNames(value.prototype ?? {}) : Object.keys(value ?? {}));
  const shape = (module) => Object.keys(module).sort().map((name) => [name, members(module[name]).sort()]);
  assert.deepEqual(shape(bundled), shape(ours));
  assert.ok(members(ours.Session).includes("action"));
});

// The session alone, and all that a page gets. A byte here is paid by every visitor: raise it only for a feature.
for (const [entry, budget] of [
  ["src/session.js", 8_340], ["src/auto.js", 19_690], ["src/notices.js", 4_700], ["src/more-formats.js", 760], ["src/job-card.js", 1_730],
  ["src/messages.js", 1_280], ["src/forms.js", 1_050], ["src/model.js", 2_420], ["src/devtools.js", 21_700],
]) {
  test(`${entry} with all it imports is at most ${budget} bytes, minified and compressed`, async () => {
    const script = (await bundle([entry])).outputFiles.find(({ path }) => path.endsWith(".js"));
    const bytes = gzipSync(script.contents, { level: 9 }).length;
    assert.ok(bytes <= budget, `${bytes} bytes`);
  });
}
