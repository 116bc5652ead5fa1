/**
 * conformance/messages/server.json: what this client reads, ignores and refuses.
 *
 * @module
 */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { PROTOCOL, decode } from "../src/wire.js";

const cases = JSON.parse(readFileSync(new URL("../../conformance/messages/server.json", import.meta.url), "utf8"));

for (const { name, dialect, text, then } of cases) {
  if (dialect !== PROTOCOL) continue;
  test(`messages/server.json: ${name} is ${then}`, () => {
    if (then === "bad_message") assert.throws(() => decode(text));
    else assert.deepEqual(decode(text), then === "ignored" ? null : JSON.parse(text));
  });
}

test("[UNKNOWN-1] the file has a case of each message, and of later versions", () => {
  const read = cases.filter(({ then }) => then === "read").map(({ text }) => JSON.parse(text)[0]);
  assert.deepEqual([...new Set(read)].sort(), ["d", "o", "p", "q", "s", "w", "x"]);
  assert.ok(cases.some(({ then }) => then === "ignored"));
});
