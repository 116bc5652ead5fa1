/**
 * Runs conformance/ on the stranger's client, or on another at a path, as its READMEs say; prints how much there was.
 *
 * @module
 */

import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import { isDeepStrictEqual } from "node:util";

const { Client, arrays, objects } = await import(process.argv[2] ?? "./client.mjs");

const FOLDER = new URL("../../../conformance/", import.meta.url);
const read = (path) => JSON.parse(readFileSync(new URL(path, FOLDER), "utf8"));
const files = (folder) => readdirSync(new URL(folder, FOLDER)).filter((name) => name.endsWith(".json")).map((name) => folder + name);

let patches = 0;
for (const { name, before, ops, after, error, patch, appending_patch } of files("patches/").flatMap(read)) {
  const kept = structuredClone(before);
  if (error) assert.throws(() => arrays.apply(before, ops), undefined, name);
  else assert.ok(isDeepStrictEqual(arrays.apply(before, ops), after), name);
  for (const operations of [patch, appending_patch]) if (operations) assert.ok(isDeepStrictEqual(objects.apply(before, operations), after), name);
  assert.ok(isDeepStrictEqual(before, kept), name);
  patches += 1;
}

let messages = 0;
for (const { name, text, then } of read("messages/server.json")) {
  if (then === "bad_message") assert.throws(() => arrays.read(JSON.parse(text)), undefined, name);
  else arrays.read(JSON.parse(text));
  messages += 1;
}

let transcripts = 0;
for (const file of [...files("transcripts/"), ...files("transcripts/json-patch/")]) {
  const { name, dialect = "windlass.v1", steps } = read(file);
  const run = new Proving(dialect);
  for (const step of steps) {
    try {
      run.step(step);
    } catch (why) {
      console.error(`${file}: ${name}\n  at ${JSON.stringify(step)}\n  ${why.stack}`);
      process.exit(1);
    }
  }
  assert.deepEqual(run.unread(), [], file);
  transcripts += 1;
}
console.log(`${patches} patches, ${messages} messages, ${transcripts} transcripts`);

/** One transcript on one page. */
function Proving(dialect) {
  let now = 1000;
  let sockets = [];
  let taken = 0;
  const storage = new Map();
  const bound = new Map();
  const outcomes = [];
  const isAck = (message) => message[0] === "k" || message.type === "ack";

  const open = () => {
    const socket = { said: [], send: (text) => socket.said.push(JSON.parse(text)), close: () => (socket.gone = true) };
    sockets.push(socket);
    return socket;
  };
  const page = () => new Client({ dialect, storage, open, now });
  let client = page();

  const pass = (ms) => {
    for (const end = now + ms; now < end; ) client.tick((now += Math.min(50, end - now)));
  };
  const socket = () => sockets[sockets.length - 1];
  this.unread = () => socket().said.filter((message) => !isAck(message));

  this.step = (step) => {
    if (step.socket === "open") {
      for (let waited = 0; sockets.length === taken; waited += 100) {
        assert.ok(waited < 60_000, "it comes back");
        pass(100);
      }
      taken += 1;
      client.opened();
    } else if (step.socket === "lost") {
      if (client.socket) client.closed(1006, {});
    } else if (step.client) {
      let message = socket().said.shift();
      while (message && isAck(message) && !isAck(step.client)) message = socket().said.shift();
      assert.ok(meets(step.client, message), `it said ${JSON.stringify(message)}`);
    } else if (step.server) {
      if (!step.lost) client.received(JSON.stringify(fill(step.server)));
    } else if (step.close) client.closed(step.close.code, step.close.reason);
    else if (step.call) {
      const at = outcomes.push("pending") - 1;
      client.action(step.call[1], step.call[2], step.secret, (outcome) => (outcomes[at] = outcome));
    } else if (step.outcome) assert.equal(outcomes[step.outcome[0] - 1], step.outcome[1]);
    else if (step.page) client = page();
    else if (step.wait) pass(step.wait);
    else if (step.nothing) {
      pass(step.nothing);
      assert.equal(sockets.length, taken);
      assert.deepEqual(this.unread(), []);
    } else assert.ok(step.sessions || step.store || step.other_page || step.late || step.drain || step.settle, "a step of a known kind");
  };

  const stands = (value) => typeof value === "string" && /^\$(session|client|instance|token|epoch)\d?$/.test(value);
  const meets = (expected, actual) => {
    if (stands(expected)) {
      if (!bound.has(expected) && ![...bound.values()].includes(actual)) bound.set(expected, actual);
      return bound.get(expected) === actual;
    }
    if (typeof expected !== "object" || expected === null || typeof actual !== "object" || actual === null) return expected === actual;
    const keys = Object.keys(expected);
    return keys.length === Object.keys(actual).length && keys.every((key) => meets(expected[key], actual[key]));
  };
  const fill = (value) => {
    if (stands(value)) {
      if (!bound.has(value)) bound.set(value, value.startsWith("$epoch") ? (bound.size + 1) * 2 ** 32 : `${value}-${bound.size}`);
      return bound.get(value);
    }
    if (typeof value !== "object" || value === null) return value;
    if (Array.isArray(value)) return value.map(fill);
    return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, fill(inner)]));
  };
}
