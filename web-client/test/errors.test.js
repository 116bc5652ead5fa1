/**
 * docs/errors.md names every code of client and server, and no other.
 *
 * @module
 */

import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

import { messages } from "../src/messages.js";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));

test("docs/errors.md has each code of the sources once in each of its sections, and none that there is not", () => {
  const listed = [...readFileSync(`${ROOT}docs/errors.md`, "utf8").matchAll(/^\| `([a-z_]+)` \|/gm)].map(([, code]) => code);
  const known = new Set([...Object.keys(messages), ...ofClient(), ...ofServer()]);
  assert.ok(known.size > 50, "the patterns still find them");
  assert.deepEqual([...new Set(listed)].sort(), [...known].sort());
});

test("each message has words for what it is told of", () => {
  for (const [code, reasons] of Object.entries(messages)) {
    for (const [why, text] of Object.entries(reasons)) assert.ok(text("a", ["b"]).length > 10, `${code} ${why}`);
  }
});

function* ofClient() {
  for (const text of sources("web-client/src", ".js")) {
    const script = text.replaceAll(/^\s*\/\/.*$/gm, "");
    for (const [, code] of script.matchAll(/(?:(?:new WindlassError|\bfail|\bstop|#afresh)\(|(?:#refuse|#abandon)\(entry, |\[\d{4}, |\bcode: )"([a-z_]+)"/g)) yield code;
    for (const [, code] of script.matchAll(/windlass ?\[([a-z_]+)\]/g)) yield code;
    const [, reasons = ""] = /@typedef \{([^}]*)\} PatchReason/.exec(script) ?? [];
    for (const [, reason] of reasons.matchAll(/"([a-z_]+)"/g)) yield reason;
  }
}

function* ofServer() {
  for (const crate of ["protocol", "engine", "jobs", "windlass"]) {
    for (const text of sources(`crates/${crate}/src`, ".rs")) {
      // Tests and examples have codes of their own.
      const script = text.split("#[cfg(test)]")[0].replaceAll(/^\s*\/\/.*$/gm, "");
      const pattern = /(?:\b(?:refuse|refused|fail|failed)\(\s*|code: |Err\(\(|outcome_body\("\w+", |=> |UNSERIALISABLE: &str = )"([a-z]+(?:_[a-z]+)*)"/g;
      for (const [, code] of script.matchAll(pattern)) yield code;
    }
  }
}

function sources(folder, ending) {
  const paths = readdirSync(ROOT + folder, { recursive: true }).filter((path) => path.endsWith(ending) && !/(^|\/)tests?(\.rs|\/)/.test(path));
  assert.ok(paths.length, folder);
  return paths.map((path) => readFileSync(`${ROOT}${folder}/${path}`, "utf8"));
}
