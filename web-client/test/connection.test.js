/**
 * When there is a socket: backoff, close codes, liveness, and the page that sleeps, leaves and returns.
 *
 * @module
 */

import assert from "node:assert/strict";
import { test } from "node:test";
import { backoff } from "../src/backoff.js";
import { World, settled } from "./support/world.js";

test("the wait doubles from 0.5 s to 10 s, with full jitter", () => {
  assert.deepEqual([0, 1, 2, 3, 4, 5, 6, 1_000].map((attempt) => backoff(attempt, () => 1)),
    [500, 1_000, 2_000, 4_000, 8_000, 10_000, 10_000, 10_000]);
  assert.equal(backoff(9, () => 0), 0);
});

test("what each close code asks for", async () => {
  const cases = [
    [1000, {}, "lost", 250],
    [1006, "", "lost", 250],
    [4999, {}, "lost", 250],
    [4400, { code: "bad_message" }, "bad_message", 250],
    [4401, { code: "login" }, "login", "stopped"],
    [4408, { code: "hello_timeout" }, "hello_timeout", 250],
    [4409, { code: "taken_over" }, "taken_over", "stopped"],
    [4410, { code: "elsewhere", retry_after_ms: 70, route: "b" }, "elsewhere", 70],
    [4411, { code: "sequence_gap" }, "sequence_gap", 250],
    [4413, { code: "too_large" }, "too_large", 250],
    [4429, { code: "busy", retry_after_ms: 1_234 }, "busy", 1_234],
    [4429, "no JSON", "busy", 250],
    [4429, { retry_after_ms: "soon" }, "busy", 250],
    [4500, { code: "session_failed" }, "session_failed", 250],
    [4503, { code: "draining", retry_after_ms: 2_000 }, "draining", 2_000],
    [4503, { code: "draining", retry_after_ms: 1e300 }, "draining", 3_600_000],
    [4504, { code: "silent" }, "silent", 250],
  ];
  for (const [code, reason, name, then] of cases) {
    const world = new World();
    const app = await world.live();
    world.socket.lose(code, reason);
    assert.equal(app.connection.code, name);
    if (then === "stopped") {
      assert.deepEqual([app.connection.state, app.connection.retryAt], ["stopped", null]);
      continue;
    }
    assert.deepEqual(app.connection, { state: "waiting", retryAt: world.clock.now() + then, code: name, attempt: 1 });
    world.clock.advance(then - 1);
    assert.equal(world.sockets.length, 1, name);
    world.clock.advance(1);
    assert.equal(world.sockets.length, 2, name);
    if (reason.route) assert.equal(world.socket.url, "ws://127.0.0.1/socket?route=b");
  }
});

test("attempts count up until a connection has stood for a while", async () => {
  const world = new World();
  const app = await world.connect();
  for (const attempt of [1, 2, 3]) {
    world.socket.lose();
    assert.equal(app.connection.attempt, attempt);
    world.waitForSocket();
  }
  world.welcome();
  world.socket.lose();
  assert.equal(app.connection.attempt, 4, "a server that welcomes and closes is not hammered");
  world.waitForSocket();
  world.welcome();
  world.clock.advance(10_000);
  world.socket.lose();
  assert.equal(app.connection.attempt, 1);
});

test("a socket that neither opens nor answers is given up after 10 s", async () => {
  const world = new World();
  const app = await world.connect();
  world.clock.advance(10_000);
  assert.notEqual(world.socket.closed, null);
  assert.equal(app.connection.state, "waiting");
  world.waitForSocket();
  world.socket.open();
  world.clock.advance(10_000);
  assert.equal(app.connection.state, "waiting");
});

test("a constructor that throws is a server that is not there", async () => {
  const world = new World();
  const app = await world.connect({
    WebSocket: class {
      constructor() {
        throw new DOMException("policy", "SecurityError");
      }
    },
  });
  assert.deepEqual([app.connection.state, app.connection.code], ["waiting", "lost"]);
});

test("an action unanswered for 5 s makes a ping; 5 s more without a frame and the connection is dead", async () => {
  const world = new World();
  const app = await world.live();
  const { socket } = world;
  world.clock.advance(30_000);
  socket.all();
  app.action("add", 1);
  socket.all();
  world.clock.advance(4_999);
  assert.deepEqual(socket.all(), []);
  world.clock.advance(1);
  assert.deepEqual(socket.all(), [["p"]]);
  socket.receive(["p"]);
  world.clock.advance(5_000);
  assert.deepEqual(socket.all(), [["p"]], "still unanswered");
  world.clock.advance(4_999);
  assert.equal(app.connection.state, "live");
  world.clock.advance(1);
  assert.equal(app.connection.state, "waiting");
});

test("60 s of silence make a ping while the page is visible, and none while it is hidden", async () => {
  const world = new World();
  await world.live();
  world.clock.advance(60_000);
  assert.deepEqual(world.socket.all(), [["p"]]);
  world.socket.receive(["p"]);
  world.window.show("hidden");
  world.clock.advance(300_000);
  assert.deepEqual(world.socket.all(), []);
  world.window.show("visible");
  assert.deepEqual(world.socket.all(), [["p"]]);
});

test("a timer that comes late, after a sleep, asks again before it calls the connection dead", async () => {
  const world = new World();
  const app = await world.live();
  world.window.show("visible");
  assert.deepEqual(world.socket.all(), [["p"]]);
  world.clock.sleep(3_600_000);
  world.clock.advance(0);
  assert.equal(app.connection.state, "live");
  assert.deepEqual(world.socket.all(), [["p"]]);
  world.clock.advance(5_000);
  assert.equal(app.connection.state, "waiting");
});

test("a page that is seen again, or online again, does not wait any longer", async () => {
  for (const wake of [(w) => w.show("visible"), (w) => w.dispatchEvent(new Event("online"))]) {
    const world = new World();
    const app = await world.live();
    world.socket.lose();
    wake(world.window);
    assert.equal(world.sockets.length, 2);
    assert.equal(app.connection.state, "connecting");
  }
});

test("a page that wakes finds out within seconds that its socket has died in its sleep", async () => {
  const wakes = [(w) => w.document.dispatchEvent(new Event("resume")), (w) => w.show("visible"), (w) => w.dispatchEvent(new Event("offline"))];
  for (const wake of wakes) {
    const world = new World();
    const app = await world.live();
    world.socket.all();
    world.window.document.dispatchEvent(new Event("freeze"));
    world.clock.advance(30_000);
    wake(world.window);
    assert.deepEqual(world.socket.all(), [["p"]]);
    world.clock.advance(2_499);
    assert.equal(app.connection.state, "live");
    world.clock.advance(1);
    assert.equal(app.connection.state, "waiting");
    world.clock.advance(500);
    const hello = world.welcome({ resumed: true });
    assert.equal(hello.n, 1, "it goes on where it was");
  }
});

test("retry is now; a status is the same object until it changes", async () => {
  const world = new World();
  const app = await world.live();
  const states = [];
  app.addEventListener("connection", ({ detail }) => states.push(detail.state));
  assert.equal(app.connection, app.connection);
  app.retry();
  assert.equal(world.sockets.length, 1, "there is nothing to retry");
  world.socket.lose();
  app.retry();
  assert.equal(world.sockets.length, 2);
  world.welcome({ resumed: true });
  assert.deepEqual(states, ["waiting", "connecting", "live"]);
});

test("a page that is left closes its socket, and one that comes back from the cache goes on where it was", async () => {
  const world = new World();
  const app = await world.live();
  world.window.dispatchEvent(new Event("pagehide"));
  assert.equal(world.socket.closed.code, 1000);
  assert.equal(app.connection.state, "waiting");
  world.clock.advance(600_000);
  assert.equal(world.sockets.length, 1);
  app.action("add", 1);
  world.window.dispatchEvent(Object.assign(new Event("pageshow"), { persisted: true }));
  await settled();
  const hello = world.welcome({ resumed: true });
  assert.equal(hello.n, 1);
  assert.deepEqual(world.socket.all(), [["a", 1, "add", 1]]);
});

test("what listeners throw stays theirs", async (t) => {
  const error = t.mock.method(console, "error", () => {});
  const world = new World();
  const app = await world.live();
  app.subscribe(() => {
    throw new Error("a subscriber's");
  });
  app.onCommit(() => {
    throw new Error("a listener's");
  });
  let told = 0;
  app.subscribe("count", () => told++);
  world.socket.receive(["d", 2, 0, [["count", 1]]]);
  assert.equal(told, 1);
  assert.equal(error.mock.callCount(), 2);
  assert.equal(app.connection.state, "live");
});
