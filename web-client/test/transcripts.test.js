/**
 * The shared transcripts, with this client on one side and the file on the other. The format is described beside them.
 *
 * @module
 */

import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import { test } from "node:test";
import { World, settled } from "./support/world.js";

const FOLDER = new URL("../../conformance/transcripts/", import.meta.url);

const files = readdirSync(FOLDER).filter((name) => name.endsWith(".json"));

test("there are transcripts to conform to", () => {
  assert.notEqual(files.length, 0);
});

for (const file of files) {
  const { name, steps } = JSON.parse(readFileSync(new URL(file, FOLDER), "utf8"));
  test(`transcripts/${file}: ${name}`, async () => {
    const run = new Run();
    await run.start();
    for (const step of steps) await run.step(step);
    assert.deepEqual(run.unread(), [], "the client says nothing that is not in the transcript");
  });
}

class Run {
  #world = new World();
  #app;
  /** What each call ended with. */
  #outcomes = [];
  #bound = new Map();
  #taken = 0;

  async start() {
    this.#app = await this.#world.connect({ keepDocument: false });
  }

  async step(step) {
    const world = this.#world;
    const at = JSON.stringify(step);
    if (step.socket === "open") {
      if (world.sockets.length === this.#taken) world.waitForSocket();
      assert.equal(world.sockets.length, ++this.#taken, at);
      world.socket.open();
    } else if (step.socket === "lost") {
      world.socket.lose();
    } else if (step.client) {
      let message = world.socket.next();
      while (message?.[0] === "k" && step.client[0] !== "k") message = world.socket.next();
      assert.ok(this.#meets(step.client, message), `${at} but it said ${JSON.stringify(message)}`);
    } else if (step.server) {
      if (!step.lost) world.socket.receive(this.#fill(step.server));
    } else if (step.close) {
      world.socket.lose(step.close.code, step.close.reason);
    } else if (step.call) {
      const [, action, payload] = step.call;
      const { secret } = step;
      const index = this.#outcomes.push("pending") - 1;
      this.#app.action(action, payload, { secret }).then(
        () => (this.#outcomes[index] = "applied"),
        (error) => (this.#outcomes[index] = error.code),
      );
    } else if (step.outcome) {
      assert.equal(this.#outcomes[step.outcome[0] - 1], step.outcome[1], at);
    } else if (step.page === "reloaded") {
      this.#app = await world.reload({ keepDocument: false });
    } else if (step.wait) {
      world.clock.advance(step.wait);
    } else if (step.nothing) {
      world.clock.advance(step.nothing);
      assert.equal(world.sockets.length, this.#taken, at);
      assert.deepEqual(this.unread(), [], at);
    } else {
      // These are the server's own business: what the client sees of them follows.
      assert.ok(step.sessions || step.store || step.other_page || step.late || step.drain || step.settle, `unknown step ${at}`);
    }
    await settled();
  }

  unread() {
    return this.#world.socket.all().filter(([tag]) => tag !== "k");
  }

  /** Is the actual value the expected one, with placeholders bound as they are met? */
  #meets(expected, actual) {
    if (isPlaceholder(expected)) {
      if (!this.#bound.has(expected)) {
        assert.ok(![...this.#bound.values()].includes(actual), `${expected} is a value of its own`);
        this.#bound.set(expected, actual);
      }
      return this.#bound.get(expected) === actual;
    }
    if (typeof expected !== "object" || expected === null || typeof actual !== "object" || actual === null) {
      return expected === actual;
    }
    const keys = Object.keys(expected);
    return (
      Array.isArray(expected) === Array.isArray(actual) &&
      keys.length === Object.keys(actual).length &&
      keys.every((key) => this.#meets(expected[key], actual[key]))
    );
  }

  /** The message with values in place of placeholders: those bound, or new ones. */
  #fill(value) {
    if (isPlaceholder(value)) {
      if (!this.#bound.has(value)) {
        const made = this.#bound.size + 1;
        this.#bound.set(value, value.startsWith("$epoch") ? made * 2 ** 32 + 1 : `${value.slice(1)}-${made}`);
      }
      return this.#bound.get(value);
    }
    if (typeof value !== "object" || value === null) return value;
    if (Array.isArray(value)) return value.map((item) => this.#fill(item));
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, this.#fill(item)]));
  }
}

/** @param {unknown} value */
function isPlaceholder(value) {
  return typeof value === "string" && /^\$(session|client|instance|token|epoch)\d?$/.test(value);
}
