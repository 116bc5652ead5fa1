/**
 * A client's share in a session, from hello to the outcome of every action. The names in brackets are the rules of
 * protocol.md that the test holds.
 *
 * @module
 */

import assert from "node:assert/strict";
import { test } from "node:test";
import { EPOCH, World, settled } from "./support/world.js";

const OTHER_SESSION = "ffffffffffffffffffffffff";

test("[HELLO-1] hello is the first message and nothing else comes before the welcome", async () => {
  const world = new World();
  const app = await world.connect();
  app.action("add", 1);
  assert.equal(world.socket.protocol, "windlass.v1");
  world.socket.open();
  const messages = world.socket.all();
  assert.equal(messages.length, 1);
  const [tag, hello] = messages[0];
  assert.equal(tag, "h");
  assert.match(hello.client, /^[0-9a-f]{24}$/);
  assert.match(hello.instance, /^[0-9a-f]{1,32}$/);
  assert.deepEqual({ ...hello, client: "", instance: "" }, {
    token: null, client: "", instance: "", epoch: 0, n: 0, event: [0, 0], seq: 1, page: "/", can: [],
  });
});

test("[UNKNOWN-1] unknown members and items at the end are ignored", async () => {
  const world = new World();
  const app = await world.connect();
  world.welcome({ shiny: { new: true } });
  world.socket.receive(["s", 1, 0, { count: 1 }, { shiny: 1 }, "more"]);
  world.socket.receive(["d", 2, 0, [["count", 2]], {}, "more"]);
  assert.deepEqual(app.document, { count: 2 });
});

test("[UNKNOWN-2] a message of a later version is ignored", async () => {
  const world = new World();
  const app = await world.live();
  world.socket.receive(["zz", 1]);
  assert.equal(app.connection.state, "live");
});

test("what is no message closes the connection with a code, and the client comes back", async () => {
  for (const bad of ["", "{", "null", "[]", "[1]", '["d",2]', '["d",-1,0,[]]', '["d",2,0,[1]]', '["s",2,0,[]]',
    '["d",2,0,[],{"r":[[1,"odd"]]}]', '["d",2,0,[],{"e":[[1,1,"notify",null]]}]', '["w",{}]']) {
    const world = new World();
    const app = await world.connect();
    world.welcome();
    world.socket.receive(["s", 1, 0, {}]);
    const socket = world.socket;
    socket.receiveRaw(bad);
    assert.deepEqual(socket.closed, { code: 4400, reason: '{"code":"bad_message"}' }, bad);
    assert.equal(app.connection.state, "waiting");
    assert.equal(app.connection.code, "bad_message");
  }
});

test("[NUMBER-1] a delta is applied only as the next one; any other closes the connection and hello tells where we are", async () => {
  for (const n of [1, 3]) {
    const world = new World();
    const app = await world.live();
    world.socket.receive(["d", n, 0, [["count", 9]]]);
    assert.deepEqual(app.document, { count: 0 });
    assert.notEqual(world.socket.closed, null);
    world.waitForSocket();
    const hello = world.welcome({ resumed: true });
    assert.deepEqual([hello.epoch, hello.n, hello.token], [EPOCH, 1, "token-1"]);
    world.socket.receive(["d", 2, 0, [["count", 5]]]);
    assert.deepEqual(app.document, { count: 5 });
  }
});

test("[ATOMIC-1] a delta that does not apply changes nothing, asks for a snapshot, and deltas before it are ignored", async () => {
  const world = new World();
  const app = await world.live();
  const before = app.document;
  const notified = [];
  app.addEventListener("notify", ({ detail }) => notified.push(detail.text));
  const done = app.action("add", 1);
  world.socket.all();
  world.socket.receive(["d", 2, 1, [["count", 7], ["gone", 0, 1]], { r: [[1, "applied", "reply"]], e: [[1, 1, "notify", { text: "one" }]] }]);
  assert.equal(app.document, before);
  assert.deepEqual(world.socket.all(), [["r"]]);
  assert.equal(world.errors[0].code, "patch_failed");
  world.socket.receive(["d", 3, 1, [["count", 8]], { e: [[1, 2, "notify", { text: "two" }]] }]);
  assert.equal(app.document, before);
  world.socket.receive(["s", 4, 1, { count: 8 }]);
  assert.deepEqual(app.document, { count: 8 });
  assert.deepEqual(world.socket.all(), [["k", 4]]);
  // What the two carried beside their ops still holds.
  assert.equal(await done, "reply");
  assert.deepEqual(notified, ["one", "two"]);
});

test("[ACK-1] an ack follows a snapshot and an ask at once, 16 KiB of frames at once, and anything else within a second", async () => {
  const world = new World();
  await world.live();
  const { socket } = world;
  socket.receive(["d", 2, 0, [["count", 1]]]);
  assert.deepEqual(socket.all(), []);
  world.clock.advance(999);
  assert.deepEqual(socket.all(), []);
  world.clock.advance(1);
  assert.deepEqual(socket.all(), [["k", 2]]);

  world.clock.advance(1_500);
  socket.receive(["d", 3, 0, [["count", 2]]]);
  assert.deepEqual(socket.all(), [["k", 3]], "more than a second since the last");

  socket.receive(["d", 4, 0, [["text", "é".repeat(8_100)]]]);
  assert.deepEqual(socket.all(), []);
  socket.receive(["d", 5, 0, [["text", "é".repeat(100)]]]);
  assert.deepEqual(socket.all(), [["k", 5]], "bytes, not characters");

  socket.receive(["q"]);
  assert.deepEqual(socket.all(), [["k", 5]]);
  socket.receive(["s", 6, 0, {}]);
  assert.deepEqual(socket.all(), [["k", 6]]);
  world.clock.advance(1_000);
  assert.deepEqual(socket.all(), [], "nothing is unacknowledged");
});

test("[ACTION-1] actions are numbered from 1 without a gap and sent in order, between welcome and close", async () => {
  const world = new World();
  const app = await world.connect();
  app.action("a", 1);
  app.action("b");
  world.welcome();
  app.action("c", { x: null });
  assert.deepEqual(world.socket.all(), [["a", 1, "a", 1], ["a", 2, "b", null], ["a", 3, "c", { x: null }]]);
  world.socket.lose();
  app.action("d", 4);
  world.waitForSocket();
  world.welcome({ resumed: true, ack: 3 });
  assert.deepEqual(world.socket.all().filter(([tag]) => tag === "a"), [["a", 4, "d", 4]]);
});

test("[ACTION-2] after a welcome what is above the ack goes out again unchanged, and nothing at or below it", async () => {
  const world = new World();
  const app = await world.live();
  const payload = { list: [1] };
  app.action("one", payload);
  app.action("two", payload);
  app.action("three", payload);
  const sent = [...world.socket.sent];
  payload.list.push(2);
  const hello = world.resume({ ack: 1 });
  assert.equal(hello.seq, 1);
  assert.deepEqual(world.socket.sent, sent.slice(1));
});

test("numbers that another page has used for this client are not used again, and nobody is told that they were applied", async () => {
  const world = new World();
  const app = await world.live();
  const lost = app.action("one", 1);
  world.resume({ ack: 3 });
  await assert.rejects(lost, { code: "outcome_unknown", seq: 1 });
  app.action("two", 2);
  assert.deepEqual(world.socket.sent.at(-1), JSON.stringify(["a", 4, "two", 2]));
});

test("[ACTION-5] what was answered before a crash is sent again without counting as unanswered", async () => {
  const world = new World();
  const limits = { actions_in_flight: 2, message_bytes_max: 65536 };
  const app = await world.live({ welcome: { limits, saved: 0 } });
  for (let i = 1; i <= 4; i++) {
    app.action("add", i);
    world.socket.receive(["d", 1 + i, i, []]);
  }
  app.action("add", 5);
  world.resume({ resumed: false, epoch: EPOCH + 1, ack: 0, saved: 0, limits });
  assert.deepEqual(world.socket.all().filter(([tag]) => tag === "a").map(([, seq]) => seq), [1, 2, 3, 4, 5]);
});

test("[ACTION-6] a number that another page had used before a crash undid it is sent as a void", async () => {
  const world = new World();
  const app = await world.live({ welcome: { ack: 1, saved: 0 } });
  app.action("add", 7);
  assert.deepEqual(world.socket.all(), [["a", 2, "add", 7]]);
  world.resume({ resumed: false, epoch: EPOCH + 1, ack: 0, saved: 0 });
  assert.deepEqual(world.socket.all().filter(([tag]) => tag !== "r"), [["v", 1], ["a", 2, "add", 7]]);
});

test("an ack that is asked for before the snapshot of a new epoch names no frame of the old one", async () => {
  const world = new World();
  await world.live();
  world.resume({ resumed: false, epoch: EPOCH + 1 });
  world.socket.all();
  world.socket.receive(["q"]);
  assert.deepEqual(world.socket.all(), [["k", 0]]);
  world.socket.receive(["s", 1, 0, { count: 3 }]);
  assert.deepEqual(world.socket.all(), [["k", 1]]);
});

test("[ACTION-5] no more than `actions_in_flight` are sent and unanswered; the others wait in the outbox", async () => {
  const world = new World();
  const app = await world.live({ welcome: { limits: { actions_in_flight: 2, message_bytes_max: 65536 } } });
  for (let i = 1; i <= 5; i++) app.action("add", i);
  assert.deepEqual(world.socket.all().map(([, seq]) => seq), [1, 2]);
  assert.equal(app.pending, 5);
  world.socket.receive(["d", 2, 1, []]);
  assert.deepEqual(world.socket.all().map(([, seq]) => seq), [3]);
  world.socket.receive(["d", 3, 3, []]);
  assert.deepEqual(world.socket.all().map(([, seq]) => seq), [4, 5]);
});

test("[OUTCOME-1] an action up to the ack that is not listed was applied with null; the others as they are listed", async () => {
  const world = new World();
  const app = await world.live();
  const states = [];
  const actions = ["plain", "reply", "fails", "refused"].map((name) =>
    app.action(name, null, { onState: (state) => states.push(`${name} ${state}`) }));
  const results = Promise.allSettled(actions);
  world.socket.receive(["d", 2, 4, [], { r: [[2, "applied", 42], [3, "failed", "no_luck", "try again"], [4, "refused", "forbidden", "not you"]] }]);
  const [plain, reply, fails, refused] = await results;
  assert.equal(plain.value, null);
  assert.equal(reply.value, 42);
  assert.deepEqual({ ...fails.reason }, { name: "WindlassError", code: "no_luck", text: "try again", seq: 3 });
  assert.equal(refused.reason.code, "forbidden");
  assert.deepEqual(states.slice(-4), ["plain applied", "reply applied", "fails failed", "refused refused"]);
  assert.equal(app.pending, 0);
});

test("[OUTCOME-2] an outcome that comes a second time changes nothing", async () => {
  const world = new World();
  const app = await world.live();
  const done = assert.rejects(app.action("x"), { code: "forbidden" });
  world.socket.receive(["d", 2, 1, [], { r: [[1, "refused", "forbidden", "no"]] }]);
  await done;
  world.resume({ ack: 1 });
  world.socket.receive(["d", 3, 1, [], { r: [[1, "refused", "forbidden", "no"]] }]);
  assert.deepEqual(world.errors, []);
  assert.equal(app.connection.state, "live");
});

test("[RESUME-1] replayed frames go on where the document is", async () => {
  const world = new World();
  const app = await world.live();
  world.resume({});
  world.socket.receive(["d", 2, 0, [["count", 1]]]);
  world.socket.receive(["d", 3, 0, [["count", 2]]]);
  assert.deepEqual(app.document, { count: 2 });
});

test("[RESUME-2] a welcome of an epoch lower than one seen for the session is refused", async () => {
  const world = new World();
  const app = await world.live();
  world.resume({ epoch: EPOCH - 1, resumed: false });
  assert.notEqual(world.socket.closed, null);
  assert.equal(app.connection.state, "waiting");
  assert.deepEqual(world.socket.all(), []);
});

test("[RESUME-3] resumed in a higher epoch, the document stays and n starts again at 0", async () => {
  const world = new World();
  const app = await world.live();
  const before = app.document;
  world.resume({ epoch: EPOCH + 5 });
  assert.equal(app.document, before);
  world.socket.receive(["d", 1, 0, [["count", 4]]]);
  assert.deepEqual(app.document, { count: 4 });
  const hello = world.resume({ epoch: EPOCH + 5 });
  assert.deepEqual([hello.epoch, hello.n], [EPOCH + 5, 1]);
});

test("[FRESH-1] another session gets nothing from the outbox; what was pending is rejected and the person is told", async () => {
  const world = new World();
  const app = await world.live();
  const fresh = [];
  app.addEventListener("fresh", ({ detail }) => fresh.push(detail));
  const sent = assert.rejects(app.action("delete", 5), { code: "outcome_unknown", seq: 1 });
  world.socket.lose();
  const queued = assert.rejects(app.action("delete", 6), { code: "session_gone", seq: 2 });
  world.waitForSocket();
  world.welcome({ session: OTHER_SESSION, token: "token-2", epoch: 1 });
  assert.deepEqual(world.socket.all(), []);
  await Promise.all([sent, queued]);
  assert.deepEqual(fresh, [{ reason: "session_gone", rejected: 2 }]);
  world.socket.receive(["s", 1, 0, { count: 0 }]);
  app.action("add", 1);
  assert.deepEqual(world.socket.all(), [["k", 1], ["a", 1, "add", 1]]);
});

test("[EVENT-2] an event is handled once, in order of id, also when it comes again after a resume or a reload", async () => {
  const world = new World();
  const app = await world.live();
  const seen = [];
  const listen = (to) => to.addEventListener("notify", ({ detail }) => seen.push(detail.text));
  listen(app);
  const event = (epoch, n, text) => [epoch, n, "notify", { level: "info", text }];
  world.socket.receive(["d", 2, 0, [], { e: [event(1, 1, "a"), event(1, 2, "b")] }]);
  world.socket.receive(["d", 3, 0, [], { e: [event(1, 2, "b"), event(2, 1, "c"), event(1, 9, "old")] }]);
  assert.deepEqual(seen, ["a", "b", "c"]);
  assert.deepEqual(world.resume({}).event, [2, 1]);
  listen(await world.reload());
  assert.deepEqual(world.welcome({ resumed: true }).event, [2, 1]);
  world.socket.receive(["d", 4, 0, [], { e: [event(2, 1, "c"), event(2, 2, "d"), [2, 3, "of a later version", {}]] }]);
  assert.deepEqual(seen, ["a", "b", "c", "d"]);
});

test("[TAKEOVER-1] on in_use token, client id and outbox are dropped and a session of its own begins", async () => {
  const world = new World();
  const app = await world.live();
  const client = JSON.parse(world.storage.items.get("windlass:ws://127.0.0.1/socket").split("\n")[0]).client;
  world.socket.lose();
  const lost = assert.rejects(app.action("add", 1), { code: "session_gone" });
  world.waitForSocket();
  world.socket.open();
  world.socket.lose(4423, { code: "in_use" });
  await lost;
  world.waitForSocket();
  const hello = world.welcome({ session: OTHER_SESSION, epoch: 9 });
  assert.notEqual(hello.client, client);
  assert.deepEqual([hello.token, hello.epoch, hello.n, hello.seq], [null, 0, 0, 1]);
  assert.deepEqual(world.socket.all(), []);
});

test("[TAKEOVER-2] after taken_over nothing reconnects until the person asks, and what is stored is left alone", async () => {
  const world = new World();
  const app = await world.live();
  let told = 0;
  app.addEventListener("taken_over", () => told++);
  const pending = assert.rejects(app.action("add", 1), { code: "outcome_unknown" });
  world.socket.lose(4409, { code: "taken_over" });
  await pending;
  assert.equal(told, 1);
  const stored = [...world.storage.items];
  world.clock.advance(3_600_000);
  world.window.show("hidden");
  world.window.show("visible");
  world.window.dispatchEvent(new Event("online"));
  assert.equal(world.sockets.length, 1);
  assert.deepEqual([app.connection.state, app.connection.code], ["stopped", "taken_over"]);
  await assert.rejects(app.action("add", 2), { code: "taken_over" });
  assert.deepEqual([...world.storage.items], stored);

  app.retry();
  // The other page went on in between: our numbers follow the server's.
  world.welcome({ ack: 7 });
  app.action("add", 3);
  assert.deepEqual(world.socket.all().at(-1), ["a", 8, "add", 3]);
});

test("with a durable store an action stays in the outbox until it is saved, and is sent again when a crash undid it", async () => {
  const world = new World();
  const app = await world.live({ welcome: { saved: 0 } });
  const states = [];
  const saved = app.action("add", 1, { until: "saved", onState: (state) => states.push(state) });
  const applied = app.action("add", 2);
  world.socket.receive(["d", 2, 2, [["count", 3]]]);
  assert.equal(await applied, null);
  assert.deepEqual(states, ["queued", "sent", "applied"]);
  world.socket.receive(["d", 3, 2, [], { saved: 1 }]);
  await saved;
  assert.deepEqual(states, ["queued", "sent", "applied", "saved"]);

  world.socket.all();
  const hello = world.resume({ resumed: false, epoch: EPOCH + 1, ack: 1, saved: 1 });
  assert.equal(hello.seq, 3);
  assert.deepEqual(world.socket.all(), [["a", 2, "add", 2]]);
  let restored = 0;
  app.addEventListener("restored", () => restored++);
  world.socket.receive(["s", 1, 1, { count: 1 }, { restored: true }]);
  assert.equal(restored, 1);
  world.socket.receive(["d", 2, 2, [], { r: [[2, "refused", "forbidden", "no longer"]] }]);
  assert.deepEqual(world.errors.map(({ code, seq }) => [code, seq]), [["forbidden", 2]], "what was undone and is not applied again is said");
});

test("[FRESH-1] who waits for the disk is told when the session goes before", async () => {
  const world = new World();
  const app = await world.live({ welcome: { saved: 0 } });
  const saved = app.action("add", 1, { until: "saved" });
  assert.equal(await first(saved, () => world.socket.receive(["d", 2, 1, [["count", 1]]])), "waits");
  const hello = world.resume({ session: "b".repeat(24), resumed: false, ack: 0, saved: 0, token: "b.b" });
  assert.deepEqual(hello.sent, [EPOCH, 1], "a crash may have undone what is answered and not saved");
  await assert.rejects(saved, { code: "outcome_unknown" });

  async function first(promise, act) {
    act();
    await settled();
    return Promise.race([promise, Promise.resolve("waits")]);
  }
});

test("after `later` nothing more is sent on this connection, and all of it after the next welcome", async () => {
  const world = new World();
  const app = await world.live();
  app.action("add", 1);
  app.action("add", 2);
  world.socket.all();
  world.socket.receive(["o", 2, "store_unavailable", "wait", 3_000]);
  app.action("add", 3);
  assert.deepEqual(world.socket.all(), []);
  world.clock.advance(3_000);
  assert.equal(world.sockets.length, 2);
  world.welcome({ resumed: true, ack: 1 });
  assert.deepEqual(world.socket.all().map(([, seq]) => seq), [2, 3]);
});

test("an action that is too large, or that a close blames, is rejected and its number used up", async () => {
  const world = new World();
  const app = await world.live();
  const large = assert.rejects(app.action("say", "x".repeat(70_000)), { code: "too_large" });
  const blamed = assert.rejects(app.action("say", "odd"), { code: "bad_message" });
  await large;
  assert.deepEqual(world.socket.all(), [["v", 1], ["a", 2, "say", "odd"]]);
  world.socket.lose(4400, { code: "bad_message", seq: 2 });
  await blamed;
  world.waitForSocket();
  world.welcome({ resumed: true, ack: 1 });
  assert.deepEqual(world.socket.all(), [["v", 2]]);
});

test("a signal withdraws an action that was not sent, and only the wait for one that was", async () => {
  const world = new World();
  const app = await world.connect();
  const controller = new AbortController();
  const unsent = assert.rejects(app.action("add", 1, { signal: controller.signal }), { name: "AbortError" });
  controller.abort();
  await unsent;
  world.welcome();
  assert.deepEqual(world.socket.all(), [["v", 1]]);
  const second = new AbortController();
  const sent = assert.rejects(app.action("add", 2, { signal: second.signal }), { name: "AbortError" });
  second.abort();
  await sent;
  assert.deepEqual(world.socket.all(), [["a", 2, "add", 2]]);
  await assert.rejects(app.action("add", 3, { signal: second.signal }), { name: "AbortError" });
  assert.deepEqual(world.socket.all(), []);
});

test("a timeout withdraws an action that was not sent, and only the wait for one that was", async () => {
  const world = new World();
  const app = await world.connect();
  const unsent = assert.rejects(app.action("add", 1, { timeout_ms: 1_000 }), { code: "timeout", seq: 1 });
  world.clock.advance(1_000);
  await unsent;
  world.welcome();
  assert.deepEqual(world.socket.all(), [["v", 1]]);
  world.socket.receive(["s", 1, 1, {}]);
  const sent = assert.rejects(app.action("add", 2, { timeout_ms: 1_000 }), { code: "timeout", seq: 2 });
  const answered = app.action("add", 3, { timeout_ms: 2_000 });
  world.clock.advance(1_000);
  await sent;
  world.socket.receive(["d", 2, 3, []]);
  assert.equal(await answered, null);
  await settled();
  world.clock.advance(1_000);
});

test("the outbox is bounded, and says so at the call", async () => {
  const world = new World();
  const app = await world.connect();
  for (let i = 0; i < 1_000; i++) app.action("add", i);
  await assert.rejects(app.action("add", 1), { code: "outbox_full" });
  const wide = await new World().connect();
  wide.action("say", "x".repeat(600_000));
  await assert.rejects(wide.action("say", "x".repeat(600_000)), { code: "outbox_full" });
});

test("the document is committed, then watched, then events come, then promises; all before the socket's task ends", async () => {
  const world = new World();
  const app = await world.live();
  const order = [];
  const before = app.document;
  app.onCommit((commit) => order.push(["commit", commit.before === before, commit.after === app.document, commit.ops]));
  app.subscribe(() => order.push("subscriber"));
  app.subscribe("count", (count) => order.push(["count", count]));
  app.subscribe("other", () => order.push("never"));
  app.addEventListener("emit", () => order.push("event"));
  const done = app.action("add", 1, { onState: (state) => order.push(state) }).then(() => order.push("promise"));
  order.length = 0;
  world.socket.receive(["d", 2, 1, [["count", 1]], { e: [[1, 1, "emit", { name: "x", value: 1 }]] }]);
  assert.deepEqual(order, [["commit", true, true, [["count", 1]]], "subscriber", ["count", 1], "event", "applied"]);
  await done;
  assert.equal(order.at(-1), "promise");
});

test("a snapshot over a document keeps the references of all that is equal", async () => {
  const world = new World();
  const app = await world.live({ document: { rows: [{ id: 1 }, { id: 2 }], same: { deep: [1] } } });
  const { rows, same } = app.document;
  let told = 0;
  app.subscribe(() => told++);
  world.socket.receive(["s", 2, 0, { rows: [{ id: 0 }, { id: 1 }, { id: 2 }], same: { deep: [1] } }]);
  assert.equal(app.document.same, same);
  assert.equal(app.document.rows[1], rows[0]);
  assert.equal(app.document.rows[2], rows[1]);
  assert.equal(told, 1);
  const all = app.document;
  world.socket.receive(["s", 3, 0, structuredClone(all)]);
  assert.equal(app.document, all);
  assert.equal(told, 1);
});

test("close is the end: what was not sent never is, what was has no known outcome", async () => {
  const world = new World();
  const app = await world.live();
  const sent = assert.rejects(app.action("add", 1), { code: "outcome_unknown" });
  world.socket.lose();
  const queued = assert.rejects(app.action("add", 2), { code: "closed" });
  app.close();
  await Promise.all([sent, queued]);
  world.clock.advance(60_000);
  assert.equal(world.sockets.length, 1);
  await assert.rejects(app.action("add", 3), { code: "closed" });
  await world.connect();
  world.welcome({ resumed: true, ack: 1 });
  assert.deepEqual(world.socket.all(), [["v", 2]], "its number is used up, its content is gone");
});

test("without storage all works, and a reload starts afresh", async () => {
  const world = new World();
  const app = await world.live({ options: { storage: null } });
  assert.equal(app.connection.state, "live");
  assert.deepEqual(world.storage.items.size, 0);
});

test("storage that fails is left with nothing old in it, and said once", async (t) => {
  const warn = t.mock.method(console, "warn", () => {});
  const world = new World();
  const app = await world.live();
  world.storage.setItem = () => {
    throw new DOMException("full", "QuotaExceededError");
  };
  app.action("add", 1);
  app.action("add", 2);
  assert.equal(warn.mock.callCount(), 1);
  assert.match(warn.mock.calls[0].arguments[0], /\[no_storage\]/);
  assert.equal(world.storage.items.size, 0);
  assert.deepEqual(world.socket.all().map(([, seq]) => seq), [1, 2]);
});

test("a server that has counted on and falls back does not hold up the page", async () => {
  const world = new World();
  const app = await world.live();
  app.action("add", 1).catch(() => {});
  world.resume({ ack: 2 ** 53 - 2 });
  world.resume({ ack: 0 });
  assert.ok(world.socket.all().length <= 1_024, "the rest is sent with what comes next");
  app.close();
});

test("a limit that is no number holds nothing back", async () => {
  const world = new World();
  const app = await world.live({ welcome: { limits: { actions_in_flight: "many", message_bytes_max: {} } } });
  app.action("add", 1).catch(() => {});
  assert.deepEqual(world.socket.next(), ["a", 1, "add", 1]);
  app.close();
});
