/**
 * Applies each case of a file with the client's `patch.js` and compares: a line holds a seed, a step, the document
 * before, the ops, and the document after.
 *
 * @module
 */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { apply } from "../../../web-client/src/patch.js";

let applied = 0;
for (const line of readFileSync(process.argv[2], "utf8").split("\n")) {
  if (line === "") continue;
  const { seed, step, before, ops, after } = JSON.parse(line);
  try {
    const kept = JSON.stringify(before);
    assert.deepEqual(apply(before, ops), after);
    assert.equal(JSON.stringify(before), kept, "the old document is left alone");
  } catch (error) {
    console.error(`step ${step}: ${error.message}\nops ${JSON.stringify(ops)}`);
    console.error(`run it again: WINDLASS_SEED=${seed} cargo test -p windlass-tests --test judge`);
    process.exit(1);
  }
  applied += 1;
}
console.log(`${applied} applied`);
