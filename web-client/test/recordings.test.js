/**
 * Recordings that somebody else has made: malformed, huge and hostile ones. Each is refused with a code, or is shown;
 * none throws, and none touches the prototypes of this page.
 *
 *     WINDLASS_SEED=7 node --test test/recordings.test.js
 *
 * @module
 */

import assert from "node:assert/strict";
import { test } from "node:test";

import { FILE_MAX, RecordingError, read } from "../src/devtools/recording.js";
import { KINDS, filtered, itemText, latency, timelineOf } from "../src/devtools/timeline.js";
import { random } from "./support/random.js";

/** A recording in which everything happens that there is. */
const WHOLE = {
  format: "windlass-recording",
  version: 1,
  recorded_at: "2026-01-01T00:00:00.000Z",
  page: "/",
  start: { epoch: 1, n: 1, stale: false, document: { count: 1, $jobs: [] } },
  entries: [
    { at_ms: 0, kind: "connect" },
    { at_ms: 1, kind: "open" },
    { at_ms: 2, kind: "out", bytes: 9, message: ["h", { token: null, client: "00", instance: "1", epoch: 0, n: 0 }] },
    { at_ms: 3, kind: "in", bytes: 9, message: ["w", { session: "a", client: "b", epoch: 2, ack: 0, saved: 0, resumed: false }] },
    { at_ms: 4, kind: "in", bytes: 9, message: ["s", 1, 0, { count: 1, rows: [{ id: 1 }], $jobs: [] }] },
    { at_ms: 5, kind: "queued", seq: 1, name: "add", payload: { by: 1 } },
    { at_ms: 5, kind: "out", bytes: 9, message: ["a", 1, "add", { by: 1 }] },
    { at_ms: 6, kind: "in", bytes: 9, message: ["d", 2, 1, [["count", 2]], { r: [[1, "applied", 42]], e: [[2, 1, "notify", { level: "info", text: "told" }]], saved: 1 }] },
    { at_ms: 6, kind: "out", bytes: 9, message: ["k", 2] },
    { at_ms: 7, kind: "in", bytes: 9, message: ["d", 3, 1, [[1, "$jobs", 0, { id: "2.1", name: "work", status: "running", attempt: 1, progress: 0.5, text: "half", log: ["a line"] }]]] },
    { at_ms: 8, kind: "in", bytes: 9, message: ["d", 4, 1, [["rows", 0, "id", 2], [4, "$jobs", 0, "text", "way"]], { r: [[2, "failed", "own", "no"]] }] },
    { at_ms: 8, kind: "in", bytes: 9, message: ["o", 3, "draining", "it goes down", 1500] },
    { at_ms: 8, kind: "out", bytes: 9, message: ["v", 3] },
    { at_ms: 9, kind: "close", code: 4503, reason: { code: "draining", retry_after_ms: 100 } },
    { at_ms: 9, kind: "status", state: "waiting", code: "draining", attempt: 1, retry_in_ms: 100 },
    { at_ms: 9, kind: "told", event: "fresh", detail: { reason: "x" } },
    { at_ms: 9, kind: "ended", seq: 3, code: "timeout", text: "no answer" },
  ],
};

/** Shows all of it, as the panel does; a refusal by code is an answer too. @param {string} text */
function shows(text) {
  try {
    const timeline = timelineOf(read(text));
    const items = filtered(timeline.items, new Set(KINDS), "a");
    latency(timeline.items);
    return [...timeline.items, ...items].map(itemText);
  } catch (error) {
    assert.ok(error instanceof RecordingError, `${error.stack ?? error}\nof ${text.slice(0, 2_000)}`);
    return error.code;
  }
}

/** @param {object} change what is other than in a good one */
const file = (change) => JSON.stringify({ ...WHOLE, ...change });
/** @param {object} entry the only one */
const only = (entry) => file({ entries: [{ at_ms: 0, bytes: 1, ...entry }] });
const nested = (levels) => `${"[".repeat(levels)}${"]".repeat(levels)}`;

test("a recording in which everything happens is shown", () => {
  const shown = shows(file({}));
  assert.ok(Array.isArray(shown) && shown.length > 15, String(shown));
});

test("an entry of wrong types is refused before the page is touched", () => {
  for (const entry of [
    { kind: "out", message: ["h"] }, { kind: "out", message: ["h", null] }, { kind: "out", message: "h" },
    { kind: "queued", seq: {}, name: "a" }, { kind: "queued", seq: 1, name: ["<b>"] }, { kind: "close", code: [] },
    { kind: "status", state: {}, attempt: 1 }, { kind: "ended", seq: 1, code: "a", text: {} }, { kind: "told", event: [] },
    { kind: "in", message: null }, { kind: "in", message: ["s", 1, 0, {}], bytes: [] },
  ]) assert.equal(shows(only(entry)), "bad_entry", JSON.stringify(entry));
});

test("what is too large or too deep is refused", () => {
  assert.equal(shows(" ".repeat(FILE_MAX + 1)), "too_large");
  assert.equal(shows(file({}).replace('"count":1,"$jobs"', `"deep":${nested(100_000)},"$jobs"`)), "bad_entry", "at the start");
  assert.equal(shows(file({}).replace('["count",2]', `["count",${nested(100_000)}]`)), "bad_entry", "in a delta");
});

test("names of prototypes, markup and jobs of any shape are data", () => {
  for (const jobs of [[null], [1, "x"], [{}], [{ id: 1, name: { a: 1 }, progress: "half", log: 5 }], "jobs", [[[]]], [{ id: "__proto__", name: "<img src=x onerror=alert(1)>", status: "constructor" }]]) {
    const shown = shows(only({ kind: "in", message: ["s", 1, 0, { $jobs: jobs }] }));
    assert.ok(Array.isArray(shown), `${JSON.stringify(jobs)}: ${shown}`);
  }
  const hostile = file({}).replaceAll('"count"', '"__proto__"').replaceAll('"rows"', '"constructor"');
  assert.ok(Array.isArray(shows(hostile)));
  for (const kind of ["__proto__", "constructor", "toString"]) assert.ok(Array.isArray(shows(only({ kind }))), kind);
  assert.equal(/** @type {any} */ ({}).polluted ?? Object.keys(Object.prototype).length, 0);
});

test("whatever a recording becomes, it is shown or refused with a code", () => {
  const seed = Number(process.env.WINDLASS_SEED ?? 7);
  console.log(`replay: WINDLASS_SEED=${seed} node --test test/recordings.test.js`);
  const below = random(seed);
  const STRANGE = [null, true, -1, 0.5, 2 ** 53, "", "__proto__", "<script>", [], {}, [null], { __proto: 1 }, [[]], ["a"], "x".repeat(1_000)];
  let shown = 0;
  for (let round = 0; round < 20_000; round++) {
    const recording = structuredClone(WHOLE);
    for (let changes = 1 + below(3); changes > 0; changes--) {
      /** @type {any} */
      let at = below(4) && recording.entries?.length ? recording.entries[below(recording.entries.length)] : recording;
      // Down to somewhere, and something else in its place.
      for (;;) {
        const keys = Object.keys(at ?? {});
        if (typeof at !== "object" || keys.length === 0) break;
        const key = keys[below(keys.length)];
        if (typeof at[key] === "object" && at[key] !== null && below(4)) {
          at = at[key];
          continue;
        }
        if (below(5) === 0) delete at[key];
        else at[key] = structuredClone(STRANGE[below(STRANGE.length)]);
        break;
      }
    }
    if (Array.isArray(shows(JSON.stringify(recording)))) shown++;
  }
  assert.ok(shown > 1_000 && shown < 19_000, `${shown} were shown: both must happen`);
});
