/**
 * What is shipped: the bundle that is checked in is the one that the sources make, and stays small.
 *
 * @module
 */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { build } from "esbuild";

const FOLDER = fileURLToPath(new URL("..", import.meta.url));

// As `npm run build` says it, read from there so that the two cannot drift apart.
const { scripts } = JSON.parse(readFileSync(`${FOLDER}package.json`, "utf8"));

test("the bundle that is checked in is what the sources make, to the byte", async () => {
  const entries = Object.fromEntries([...scripts.build.matchAll(/(\S+)=(src\/\S+)/g)].map(([, name, path]) => [name, path]));
  assert.ok(Object.keys(entries).length > 1, scripts.build);
  for (const { path, text } of await bundle(entries)) {
    assert.equal(readFileSync(path, "utf8") === text, true, `${path} is stale: npm run build`);
  }
});

// The session alone, and all that a page gets. A byte here is paid by every visitor: raise it only for a feature.
for (const [entry, budget] of [["src/session.js", 8_350], ["src/auto.js", 26_250], ["src/more-formats.js", 1_100], ["src/job-card.js", 2_000]]) {
  test(`${entry} with all it imports is at most ${budget} bytes, minified and compressed`, async () => {
    const script = (await bundle([entry])).find(({ path }) => path.endsWith(".js"));
    const bytes = gzipSync(script.contents, { level: 9 }).length;
    assert.ok(bytes <= budget, `${bytes} bytes`);
  });
}

async function bundle(entryPoints) {
  const flag = (name) => new RegExp(`--${name}=(\\S+)`).exec(scripts.build)?.[1];
  const { outputFiles } = await build({
    absWorkingDir: FOLDER,
    entryPoints,
    outdir: flag("outdir"),
    format: flag("format"),
    target: flag("target"),
    charset: flag("charset"),
    legalComments: flag("legal-comments"),
    bundle: true,
    minify: true,
    sourcemap: true,
    write: false,
  });
  return outputFiles;
}
