/**
 * What comes from a server, changed at random: bytes, messages, ops, close reasons.
 *
 * `WINDLASS_SEED=7 node --test test/fuzz.test.js` makes one seed's again, `WINDLASS_FUZZ_MINUTES=10` goes on that long.
 *
 * @module
 */

import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import { test } from "node:test";

// First, since it makes the window that the client is loaded into.
import "./support/page.js";
import { NAMES, mutator } from "./support/mutate.js";
import { EPOCH, World, settled } from "./support/world.js";
import { PatchError, apply } from "../src/patch.js";
import { decode } from "../src/wire.js";

const { start } = await import("../src/auto.js?manual");

const { WINDLASS_SEED, WINDLASS_FUZZ_MINUTES = "0" } = process.env;
const ends = Date.now() + Number(WINDLASS_FUZZ_MINUTES) * 60_000;
const timeout = 60_000 + 4 * Number(WINDLASS_FUZZ_MINUTES) * 60_000;

/** Runs each seed; more than those only for as long as was asked for. */
async function seeds(count, run) {
  if (WINDLASS_SEED) return run(Number(WINDLASS_SEED));
  for (let seed = 1; seed <= count || Date.now() < ends; seed++) {
    try {
      await run(seed);
    } catch (error) {
      error.message = `${error.message}\nagain: WINDLASS_SEED=${seed} node --test test/fuzz.test.js`;
      throw error;
    }
  }
}

const contract = new URL("../../conformance/", import.meta.url);
const cases = (file) => JSON.parse(readFileSync(new URL(file, contract), "utf8"));
const messages = cases("messages/server.json").filter(({ dialect }) => dialect === "windlass.v1").map(({ text }) => text);
const patches = readdirSync(new URL("patches/", contract)).flatMap((file) => cases(`patches/${file}`));

/** Nothing that all objects have was touched. */
function prototypesAreWhole() {
  assert.deepEqual(Object.keys(Object.prototype), []);
  assert.equal({}.polluted, undefined);
  assert.equal([].polluted, undefined);
}

function frozen(value) {
  if (typeof value === "object" && value !== null) Object.values(Object.freeze(value)).forEach(frozen);
  return value;
}

/** A message of the contract, changed. */
function strange({ below, one, structure, text, value }) {
  const whole = one(messages);
  if (below(3) === 0) return text(whole);
  if (below(8) === 0) return JSON.stringify(value());
  try {
    return JSON.stringify(structure(JSON.parse(whole)));
  } catch {
    return text(whole);
  }
}

test("whatever text comes is a message, nothing, or an error", { timeout }, async () => {
  await seeds(300, (seed) => {
    const changes = mutator(seed);
    for (let nth = 0; nth < 30; nth++) {
      const text = strange(changes);
      try {
        const message = decode(text);
        assert.ok(message === null || typeof message[0] === "string", text);
      } catch (error) {
        assert.ok(error instanceof TypeError || error instanceof SyntaxError, `${error} of ${text}`);
      }
    }
    for (const data of [undefined, null, 1, {}, new Uint8Array(4), new Blob([])]) assert.throws(() => decode(data));
  });
  prototypesAreWhole();
});

test("[ATOMIC-1] whatever ops come, all apply or none, and the document before stays as it was", { timeout }, async () => {
  let applied = 0;
  await seeds(300, (seed) => {
    const { below, one, op, structure } = mutator(seed);
    for (let nth = 0; nth < 30; nth++) {
      const { before = DOCUMENT, ops: known = [] } = below(2) ? one(patches) : {};
      const document = frozen(structuredClone(below(4) ? before : DOCUMENT));
      const text = JSON.stringify(document);
      const ops = [...(below(2) ? structure(known) : known), ...Array.from({ length: below(3) }, op)].filter(Array.isArray);
      try {
        const after = apply(document, frozen(ops));
        JSON.stringify(after);
        applied += 1;
      } catch (error) {
        assert.ok(error instanceof PatchError, `${error?.stack} of ${JSON.stringify(ops)}`);
      }
      assert.equal(JSON.stringify(document), text);
    }
  });
  assert.ok(WINDLASS_SEED || applied > 500, `only ${applied} applied`);
  prototypesAreWhole();
});

test("[ATOMIC-1] whatever a server says, a page holds whole frames, and ends each connection with a code", { timeout }, async (t) => {
  t.mock.method(location, "assign", (url) => assert.equal(new URL(url).origin, location.origin));
  t.mock.method(console, "error", () => {});
  t.mock.method(console, "warn", () => {});
  t.mock.method(window.HTMLAnchorElement.prototype, "click", function () {
    assert.equal(new URL(this.href).origin, location.origin);
  });
  const uncaught = [];
  window.addEventListener("error", (event) => uncaught.push(event.error ?? event.message));
  let applied = 0;
  await seeds(40, async (seed) => {
    document.body.innerHTML = PAGE;
    const changes = mutator(seed);
    const { below, one, value, op, structure } = changes;
    const world = new World();
    const app = start(await world.connect());
    let n = 0;
    let welcomed;
    for (let nth = 0; nth < 40; nth++) {
      const { socket } = world;
      if (below(4) === 0) app.action(String(one(["add", "say", "__proto__"])), value()).catch(() => {});
      if (!socket.onmessage || socket.closed) {
        // It comes back, unless the server has told it not to.
        if (app.connection.state !== "waiting") break;
        // At the latest after the hour that a server may ask for.
        const count = world.sockets.length;
        for (let waited = 0; world.sockets.length === count && waited <= 3_600_000; waited += 10_000) world.clock.advance(10_000);
        assert.equal(world.sockets.length, count + 1);
      }
      if (world.socket !== welcomed) {
        welcomed = world.socket;
        welcomed.open();
        world.socket.receive(["w", { ...WELCOME, ...(below(5) ? {} : structure(WELCOME)) }]);
        world.socket.receive(["s", (n = 1), 0, DOCUMENT]);
      }
      // What was asked for comes.
      if (world.socket.all().some(([tag]) => tag === "r")) world.socket.receive(["s", (n = 1), 0, DOCUMENT]);
      const before = app.document;
      const frame = delta(changes, n + 1);
      if (below(10) === 0) world.socket.lose(one([1000, 1006, 4400, 4404, 4408, 4429, 4500]), JSON.stringify(structure(REASON)));
      else if (below(4) === 0) world.socket.receiveRaw(strange(changes));
      else {
        const text = JSON.stringify(frame);
        world.socket.receiveRaw(text);
        if (app.document !== before) {
          assert.deepEqual(app.document, apply(before, JSON.parse(text)[3]), text);
          n = frame[1];
          applied += 1;
        }
      }
      const { closed } = world.socket;
      if (closed) assert.match(JSON.parse(closed.reason || '{"code":"left"}').code, /^[a-z_]+$/, JSON.stringify(closed));
      await settled();
      assert.deepEqual(uncaught, []);
    }
    function delta({ below, value, op, structure }, next) {
      const event = [EPOCH, next, one(["notify", "navigate", "download", "emit", "close_notify"]), structure(one(BODIES))];
      const extras = below(2) ? { e: [event], r: [[1, "applied", value()]] } : undefined;
      const ops = [["text", value()], ["map", one(NAMES), value()], ...(below(2) ? [] : [op()])];
      return ["d", next, below(3), ops, ...(extras ? [below(3) ? extras : structure(extras)] : [])];
    }
    app.close();
    await settled();
    prototypesAreWhole();
  });
  assert.ok(WINDLASS_SEED || applied > 200, `only ${applied} applied`);
});

const DOCUMENT = {
  rows: [{ id: 1, name: "one" }, { id: 2, name: "two" }], text: "some", map: { name: 1 }, $jobs: [], count: 0,
};

const PAGE = `<main><b w-text="text"></b><ul><template w-for="rows" w-key="id"><li w-text=".name"></li></template></ul>
  <i w-show="map.name" w-text="count"></i></main>`;

const WELCOME = {
  session: "a1b2c3d4e5f6a7b8c9d0e1f2", client: "0f1e2d3c4b5a69788796a5b4", epoch: EPOCH, ack: 0, saved: null,
  resumed: false, token: "token-1", limits: { actions_in_flight: 32, message_bytes_max: 65_536 }, actions: {},
};

const REASON = { code: "busy", retry_after_ms: 100, seq: 1 };

const BODIES = [
  { level: "info", text: "said", id: "1" }, { url: "/next" }, { url: "javascript:alert(1)" }, { url: "//elsewhere.org/" },
  { url: "/file", name: "a.csv" }, { name: "told", value: 1 }, { count: 3 },
];
