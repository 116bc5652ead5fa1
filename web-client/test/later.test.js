/**
 * Outcomes that come later, writes that take each other's place, what the server says of its actions, and a client
 * that its session has forgotten.
 *
 * @module
 */

import assert from "node:assert/strict";
import { test } from "node:test";
import { EPOCH, World, settled } from "./support/world.js";

test("[PENDING-2] an action that is pending stays in the outbox until its outcome comes, over acks and later ones", async () => {
  const world = new World();
  const app = await world.live();
  const asked = app.action("ask", 1);
  const later = app.action("add", 1);
  world.socket.receive(["d", 2, 1, [], { r: [[1, "pending"]] }]);
  world.socket.receive(["d", 3, 2, [["count", 1]]]);
  assert.equal(await later, null);
  assert.equal(app.pending, 1);
  world.socket.receive(["d", 4, 2, [["count", 2]]]);
  await settled();
  assert.equal(app.pending, 1);
  world.socket.receive(["d", 5, 2, [], { r: [[1, "applied", "tea"]] }]);
  assert.equal(await asked, "tea");
  assert.equal(app.pending, 0);
  app.action("add", 1);
  assert.deepEqual(world.socket.all().filter(([tag]) => tag === "a").at(-1), ["a", 3, "add", 1]);
});

test("[PENDING-2] a reload finds it pending again, and hello says so", async () => {
  const world = new World();
  const first = await world.live();
  first.action("ask", 1).catch(() => {});
  first.action("add", 1);
  world.socket.receive(["d", 2, 2, [], { r: [[1, "pending"]] }]);
  const app = await world.reload();
  const hello = world.welcome({ ack: 2, resumed: true, pending: [1] });
  assert.deepEqual([hello.seq, hello.sent], [1, [EPOCH, 1]]);
  world.socket.receive(["d", 3, 2, []]);
  assert.deepEqual(world.socket.all().filter(([tag]) => tag === "a"), [], "it was consumed");
  assert.equal(app.pending, 1);
  world.socket.receive(["d", 4, 2, [], { r: [[1, "failed", "own", "no"]] }]);
  assert.deepEqual([app.pending, world.errors.map(({ code }) => code)], [0, ["own"]]);
});

test("[PENDING-3] what the welcome does not list as pending has told its outcome elsewhere", async () => {
  const world = new World();
  const app = await world.live();
  const asked = [app.action("ask", 1), app.action("ask", 2)];
  world.socket.receive(["d", 2, 2, [], { r: [[1, "pending"], [2, "pending"]] }]);
  world.resume({ ack: 2, pending: [2] });
  await assert.rejects(asked[0], { code: "outcome_unknown" });
  world.socket.receive(["d", 3, 2, [], { r: [[2, "applied", 5]] }]);
  assert.equal(await asked[1], 5);
});

test("those that are pending hold up none of `actions_in_flight`", async () => {
  const world = new World();
  const app = await world.live({ welcome: { limits: { actions_in_flight: 1 } } });
  app.action("ask", 1).catch(() => {});
  app.action("add", 1);
  assert.equal(world.socket.all().length, 1);
  world.socket.receive(["d", 2, 1, [], { r: [[1, "pending"]] }]);
  assert.deepEqual(world.socket.all(), [["a", 2, "add", 1]]);
});

test("[SET-3] a write takes the place of one of the same path that is the last and was not sent", async () => {
  const world = new World();
  const app = await world.live();
  world.socket.lose();
  const writes = ["h", "he"].map((value) => app.set(["text"], value));
  app.set(["other"], 1);
  app.set(["text"], "hel");
  const last = app.set(["text"], "hell");
  assert.equal(app.pending, 3);
  world.waitForSocket();
  world.welcome({ resumed: true });
  assert.deepEqual(world.socket.all(), [
    ["a", 1, "$set", { path: ["text"], value: "he" }],
    ["a", 2, "$set", { path: ["other"], value: 1 }],
    ["a", 3, "$set", { path: ["text"], value: "hell" }],
  ]);
  world.socket.receive(["d", 2, 3, []]);
  assert.deepEqual(await Promise.all([...writes, last]), [null, null, null], "whoever asked is answered");
});

test("[SEEN-1] an action that asks for what was seen says which frame the page shows, others do not", async () => {
  const world = new World();
  const app = await world.live({ welcome: { actions: { drop: { only_if_seen: true } } } });
  app.action("drop", 1);
  app.action("add", 1);
  world.socket.receive(["d", 2, 2, []]);
  app.action("drop", 2);
  assert.deepEqual(world.socket.all(), [["a", 1, "drop", 1, [EPOCH, 1]], ["a", 2, "add", 1], ["a", 3, "drop", 2, [EPOCH, 2]]]);
});

test("what the server calls secret is kept from storage, also right after a reload", async () => {
  const world = new World();
  await world.live({ welcome: { actions: { login: { secret: true } } } });
  const app = await world.reload();
  app.action("login", "hunter2").catch(() => {});
  assert.ok(!JSON.stringify([...world.storage.items]).includes("hunter2"));
});

test("[FRESH-2] a client that its session has forgotten rejects what is pending and begins anew", async () => {
  const world = new World();
  const app = await world.live();
  const sent = app.action("add", 1);
  world.socket.lose();
  const queued = app.action("add", 2);
  world.waitForSocket();
  world.welcome({ forgotten: true, token: "token-2" });
  await assert.rejects(sent, { code: "outcome_unknown" });
  await assert.rejects(queued, { code: "session_gone" });
  assert.deepEqual(world.fresh, [{ reason: "forgotten", rejected: 2 }]);
  world.socket.receive(["s", 1, 0, { count: 9 }]);
  app.action("add", 3);
  assert.deepEqual(world.socket.all(), [["k", 1], ["a", 1, "add", 3]]);
});

test("an address that changes without a reload is told to an app that takes it", async () => {
  for (const [actions, expected] of [[{ $navigate: {} }, [["a", 1, "$navigate", "/b?x=1"], ["a", 2, "$navigate", "/"]]], [{}, []]]) {
    const world = new World();
    const { location } = world.window;
    world.window.history = { pushState: (_state, _title, url) => ([location.pathname, location.search] = [url.split("?")[0], `?${url.split("?")[1]}`]) };
    const app = await world.live({ welcome: { actions } });
    app.navigate("/b?x=1");
    [location.pathname, location.search] = ["/", ""];
    world.window.dispatchEvent(new Event("popstate"));
    assert.deepEqual(world.socket.all(), expected);
  }
});

test("a popstate within the page tells nothing, and a client without a window is where it says", async () => {
  const world = new World();
  await world.live({ welcome: { actions: { $navigate: {} } } });
  world.window.dispatchEvent(new Event("popstate"));
  assert.deepEqual(world.socket.all(), [], "as when only the part behind # has changed");
  const other = new World();
  const app = await other.live({ options: { window: undefined }, welcome: { actions: { $navigate: {} } } });
  app.navigate("/b?x=1");
  assert.deepEqual(other.socket.all(), [["a", 1, "$navigate", "/b?x=1"]]);
});

test("[ACTION-2] what was pending before a crash is sent again, and makes no gap", async () => {
  const world = new World();
  const app = await world.live({ welcome: { saved: 0 } });
  const asked = app.action("ask", 1);
  world.socket.receive(["d", 2, 1, [], { r: [[1, "pending"]] }]);
  app.action("add", 1).catch(() => {});
  world.socket.lose();
  world.waitForSocket();
  world.welcome({ epoch: EPOCH + 1, ack: 0, saved: 0 });
  assert.deepEqual(world.socket.all(), [["a", 1, "ask", 1], ["a", 2, "add", 1]]);
  world.socket.receive(["s", 1, 1, { count: 0 }]);
  assert.equal(await asked, null, "this time its handler answered at once");
});

test("[SET-3] a write that the outbox has no room for leaves the one that it was to replace", async () => {
  const world = new World();
  const app = await world.live();
  world.socket.lose();
  const first = app.set(["text"], "short");
  await assert.rejects(app.set(["text"], "x".repeat(1024 * 1024)), { code: "outbox_full" });
  await assert.rejects(app.set(["text"], 1n), TypeError);
  world.waitForSocket();
  world.welcome({ resumed: true });
  assert.deepEqual(world.socket.all(), [["a", 1, "$set", { path: ["text"], value: "short" }]]);
  world.socket.receive(["d", 2, 1, []]);
  assert.equal(await first, null);
});

test("a write that was replaced and is withdrawn then leaves the outbox as it is", async () => {
  const world = new World();
  const app = await world.live();
  world.socket.lose();
  const stop = new AbortController();
  const first = app.set(["text"], "x".repeat(600_000), { signal: stop.signal });
  const second = app.set(["text"], "y".repeat(600_000));
  stop.abort(new Error("withdrawn"));
  await assert.rejects(first, { message: "withdrawn" });
  await assert.rejects(app.set(["other"], "z".repeat(600_000)), { code: "outbox_full" }, "it holds what replaced it");
  assert.equal(app.pending, 1);
  second.catch(() => {});
});
