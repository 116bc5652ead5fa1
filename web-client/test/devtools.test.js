/**
 * Devtools without a page: what is recorded and what is not, the file, its replay, the timeline, the simulated network.
 *
 * @module
 */

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { test } from "node:test";

import { apply } from "../src/patch.js";
import { Player } from "../src/devtools/player.js";
import { Probe } from "../src/devtools/probe.js";
import { BYTES_MAX, ENTRIES_MAX, Recorder } from "../src/devtools/recorder.js";
import { FORMAT, RecordingError, read, write } from "../src/devtools/recording.js";
import { Replay } from "../src/devtools/replay.js";
import { opPath, opText, pathText, preview } from "../src/devtools/text.js";
import { ITEMS_MAX, KINDS, Timeline, filtered, itemText, latency } from "../src/devtools/timeline.js";
import { FOUND_MAX, allContainers, idsOf, pathOf, rowsOf, search } from "../src/devtools/tree.js";
import { random } from "./support/random.js";
import { World, settled } from "./support/world.js";

/** A live client that is looked into. */
async function probed(options = {}) {
  const world = new World();
  const app = await world.live(options);
  let changes = 0;
  const probe = new Probe(app, () => changes++);
  return { world, app, probe, changes: () => changes };
}

/** The items of a kind, as `title badge`. */
const told = (probe, kind) => probe.timeline.items.filter((item) => item.kind === kind).map(({ title, badge }) => `${title} ${badge}`.trim());

const withOutcome = (...outcomes) => ({ r: outcomes });

test("a recording begins with what the page holds, also when the page is long connected", async () => {
  const { world, probe } = await probed({ document: { count: 7 } });
  world.socket.receive(["d", 2, 0, [["count", 8]]]);
  const recording = read(write(probe.recording));
  assert.deepEqual(recording.start, { epoch: 4294967297, n: 1, stale: false, document: { count: 7 } });
  const player = new Player(recording);
  assert.deepEqual([...player.all()].map(({ held }) => held.document), [{ count: 8 }]);
});

test("an action is one item with its life, its latency and its bytes", async () => {
  const { world, app, probe } = await probed({ welcome: { saved: 0 } });
  const added = app.action("add", { by: 2 });
  world.clock.advance(40);
  world.socket.receive(["d", 2, 1, [["count", 2]], withOutcome([1, "applied", 42])]);
  assert.equal(await added, 42);
  world.clock.advance(60);
  world.socket.receive(["d", 3, 1, [], { saved: 1 }]);
  const [item] = probe.timeline.items.filter(({ kind }) => kind === "action");
  assert.deepEqual(item.life.map(({ state, at_ms }) => [state, at_ms]), [["queued", 0], ["sent", 0], ["applied", 40], ["saved", 100]]);
  assert.deepEqual([item.title, item.badge, item.latency_ms, item.bytes], ["add", "saved", 40, '["a",1,"add",{"by":2}]'.length]);
  assert.match(itemText(item), /queued \+0\.0 ms → sent \+0\.0 ms → applied \+40 ms → saved \+100 ms/);
  assert.match(item.lines.join("\n"), /reply 42/);
});

test("an action that is refused says so with its code, one that waits is queued until there is a connection", async () => {
  const { world, app, probe } = await probed();
  world.socket.lose();
  const refused = app.action("nothing");
  assert.deepEqual(told(probe, "action"), ["nothing queued"]);
  world.waitForSocket();
  world.welcome({ resumed: true });
  assert.deepEqual(told(probe, "action"), ["nothing sent"]);
  world.socket.receive(["d", 2, 1, [], withOutcome([1, "refused", "unknown_action", "no action"])]);
  await assert.rejects(refused);
  await settled();
  assert.deepEqual(told(probe, "action"), ["nothing refused unknown_action"]);
  const late = app.action("slow", 1, { timeout_ms: 100 });
  world.clock.advance(100);
  await assert.rejects(late);
  await settled();
  assert.deepEqual(told(probe, "action").at(-1), "slow timeout");
});

test("the latency of the last actions is told by the middle one and the slowest", async () => {
  const { world, app, probe } = await probed();
  assert.equal(latency(probe.timeline.items), null);
  for (const [at, ms] of [10, 500, 20].entries()) {
    app.action("add", 1);
    world.clock.advance(ms);
    world.socket.receive(["d", 2 + at, 1 + at, [["count", at]]]);
  }
  assert.deepEqual(latency(probe.timeline.items), { count: 3, median_ms: 20, max_ms: 500 });
});

test("what a crash undid is seen to be sent again", async () => {
  const { world, app, probe } = await probed({ welcome: { saved: 0 } });
  app.action("add", 1);
  world.socket.receive(["d", 2, 1, [["count", 1]]]);
  world.resume({ resumed: false, saved: 0, ack: 0 });
  world.socket.receive(["s", 1, 1, { count: 1 }]);
  const [item] = probe.timeline.items.filter(({ kind }) => kind === "action");
  assert.deepEqual(item.life.map(({ state }) => state), ["queued", "sent", "applied", "sent again", "applied"]);
});

test("connections tell how they were resumed and why they ended", async () => {
  const { world, probe } = await probed();
  world.resume();
  world.socket.lose(4429, { code: "busy", retry_after_ms: 2_000 });
  world.waitForSocket();
  world.welcome({ resumed: false });
  assert.deepEqual(told(probe, "connection"), [
    "closed 1006 lost", "waits after attempt 1 lost", "connected replay",
    "closed 4429 busy", "waits after attempt 2 busy", "connected snapshot",
  ]);
  const [item] = probe.timeline.items.filter(({ badge }) => badge === "snapshot");
  assert.deepEqual(item.life.map(({ state }) => state), ["connecting", "open", "hello", "welcome"]);
});

test("events are told once, jobs with each status, and their progress within it", async () => {
  const { world, probe } = await probed();
  const job = { id: "1.1", name: "Train", status: "queued", attempt: 1, rank: 1, eta_ms: null, elapsed_ms: 0, progress: null, text: null, log: [] };
  const notify = [1, 1, "notify", { level: "error", text: "broken" }];
  world.socket.receive(["d", 2, 0, [["$jobs", [job]]], { e: [notify] }]);
  world.socket.receive(["d", 3, 0, [["$jobs", 0, "status", "running"]], { e: [notify] }]);
  for (const [at, progress] of [0.1, 0.2, 0.3].entries()) world.socket.receive(["d", 4 + at, 0, [["$jobs", 0, "progress", progress]]]);
  world.socket.receive(["d", 7, 0, [["$jobs", 0, "status", "done"], ["$jobs", 0, "elapsed_ms", 900]]]);
  assert.deepEqual(told(probe, "event"), ["notify error"]);
  assert.deepEqual(told(probe, "job"), ["Train queued", "Train running", "Train done"]);
  const [, running, done] = probe.timeline.items.filter(({ kind }) => kind === "job");
  assert.deepEqual([running.detail, done.latency_ms, done.tone], ["30 % · no. 1", 900, "success"]);
});

test("no token, query or secret gets into a recording", async () => {
  const { world, app, probe } = await probed({ options: { page: "/shop?session=hunter2" }, welcome: { actions: { pay: { secret: true }, $navigate: {} } } });
  app.action("login", { password: "hunter2" }, { secret: true });
  app.action("pay", "hunter2");
  app.action("open", "fine");
  const { location } = world.window;
  world.window.history = { pushState: () => Object.assign(location, { pathname: "/cart", search: "?card=hunter2" }) };
  app.navigate("/cart?card=hunter2");
  const event = [1, 1, "download", { url: "/file?key=hunter2", name: "a.csv" }];
  world.socket.receive(["d", 2, 4, [], { r: [[1, "applied", "hunter2"], [2, "failed", "no", "hunter2"], [3, "applied", "reply"]], e: [event] }]);
  await settled();
  world.socket.lose(4410, { code: "elsewhere", route: "hunter2", retry_after_ms: 1 });
  world.waitForSocket();
  world.welcome({ token: "hunter2-token", resumed: true });
  const text = write(probe.recording);
  assert.doesNotMatch(text, /hunter2|token-1/);
  for (const kept of ["fine", "reply", '"/file"', '"/cart"', "a.csv", "[redacted]"]) assert.ok(text.includes(kept), kept);
  assert.doesNotMatch(probe.timeline.items.map(itemText).join("\n") + JSON.stringify(probe.timeline.items), /hunter2|token-1/);
});

test("what it puts in the way it takes out again", async () => {
  const { world, app, probe, changes } = await probed();
  assert.ok(Object.hasOwn(app, "action"));
  probe.release();
  assert.equal(Object.hasOwn(app, "action"), false);
  const before = changes();
  app.action("add", 1);
  world.socket.receive(["d", 2, 1, [["count", 1]]]);
  assert.deepEqual(app.document, { count: 1 });
  world.socket.lose();
  world.waitForSocket();
  world.welcome({ resumed: true });
  assert.equal(app.connection.state, "live");
  assert.equal(changes(), before);
});

test("a recorder keeps to its bounds, and what falls out is in its start", () => {
  let heard = 0;
  const recorder = new Recorder({ now: () => 0, heard: () => heard++ });
  recorder.add({ kind: "in", bytes: 10, message: ["w", { session: "a", epoch: 1, ack: 0, saved: null, resumed: false }] });
  recorder.add({ kind: "in", bytes: 10, message: ["s", 1, 0, { count: 0 }] });
  for (let n = 2; n <= ENTRIES_MAX + 100; n++) recorder.add({ kind: "in", bytes: 10, message: ["d", n, 0, [["count", n]]] });
  assert.equal(recorder.entries.length, ENTRIES_MAX);
  const player = new Player(recorder.recording("/"));
  assert.equal(player.held.document.count, player.held.n);
  player.seek(Infinity);
  assert.deepEqual(player.held.document, { count: ENTRIES_MAX + 100 });
  recorder.add({ kind: "in", bytes: BYTES_MAX + 1, message: ["s", ENTRIES_MAX + 101, 0, { count: "huge" }] });
  assert.deepEqual([recorder.entries.length, recorder.bytes], [0, 0]);
  assert.deepEqual(recorder.recording("/").start.document, { count: "huge" });
  assert.equal(heard, ENTRIES_MAX + 102);
});

test("a player is at the same document whichever way it came, for any seed", () => {
  const seed = Number(process.env.WINDLASS_SEED ?? Math.floor(Math.random() * 2 ** 32));
  const below = random(seed);
  const entries = [];
  let document = { rows: [] };
  const states = [document];
  for (let n = 2; n < 400; n++) {
    const { length } = document.rows;
    const ops = length === 0 || below(3) ? [[1, "rows", below(length + 1), { n }]] : [[2, "rows", below(length), 1]];
    document = apply(document, ops);
    entries.push({ at_ms: n * 10, kind: "in", bytes: 1, message: ["d", n, 0, ops] });
    states.push(document);
  }
  const start = { epoch: 1, n: 1, stale: false, document: { rows: [] } };
  const player = new Player(read(write({ format: "windlass-recording", version: 1, recorded_at: "", page: "/", start, entries })));
  for (let turn = 0; turn < 60; turn++) {
    const at = below(entries.length + 1);
    player.seek(at);
    assert.deepEqual(player.held.document, states[at], `replay with WINDLASS_SEED=${seed}`);
  }
  assert.equal(player.indexAt(19), 0);
  assert.equal(player.indexAt(20), 1);
  assert.equal(player.indexAt(player.duration_ms), entries.length);
});

test("a file that is no recording is refused with a code and what to do", () => {
  const good = { format: "windlass-recording", version: 1, start: {}, entries: [] };
  const bad = [
    ["{", "not_json", /choose a file/],
    ["null", "not_a_recording", /windlass-recording/],
    [JSON.stringify({ ...good, format: "har" }), "not_a_recording", /format/],
    [JSON.stringify({ ...good, version: 2 }), "unknown_version", /newer client/],
    [JSON.stringify({ ...good, start: { document: [] } }), "bad_entry", /no object/],
    [JSON.stringify({ ...good, entries: [{ at_ms: 5, kind: "open" }, { at_ms: 4, kind: "open" }] }), "bad_entry", /entry 1 of 2: its at_ms/],
    [JSON.stringify({ ...good, entries: [{ at_ms: 5, kind: "in", message: ["d", -1] }] }), "bad_entry", /entry 0 of 1: TypeError: bad "d"/],
    [JSON.stringify({ ...good, entries: [{ at_ms: 5, kind: "out", message: "x" }] }), "bad_entry", /no array/],
  ];
  for (const [text, code, why] of bad) {
    assert.throws(() => read(text), (error) => error instanceof RecordingError && error.code === code && why.test(error.message), text);
  }
  assert.deepEqual(read(JSON.stringify({ ...good, entries: [{ at_ms: 0, kind: "of a later version" }] })).entries, []);
});

test("keys of prototypes are data in a recording as well", () => {
  const text = '{"format":"windlass-recording","version":1,"start":{"epoch":1,"n":1,"stale":false,"document":{"__proto__":{"a":1}}},"entries":[{"at_ms":0,"kind":"in","bytes":1,"message":["d",2,0,[["__proto__","a",2]]]}]}';
  const player = new Player(read(text));
  player.step();
  assert.equal(JSON.stringify(player.held.document), '{"__proto__":{"a":2}}');
  assert.equal(rowsOf(player.held.document, new Set(["/__proto__"]), null).length, 2);
});

test("a replay drives the document, sends nothing, stores nothing, and gives the page back as it was", async () => {
  const { world, app, probe } = await probed({ document: { count: 1 } });
  for (const [at, count] of [2, 3].entries()) {
    world.clock.advance(1_000);
    world.socket.receive(["d", 2 + at, 0, [["count", count]], { e: [[1, 1 + at, "emit", { name: "told", value: count }]] }]);
  }
  const recording = read(write(probe.recording));
  const commits = [];
  const events = [];
  app.onCommit(({ ops }) => commits.push(ops));
  app.addEventListener("emit", ({ detail }) => events.push(detail.value));
  const sockets = world.sockets.length;
  const kept = world.storage.items.get("windlass:ws://127.0.0.1/socket:document");
  const replay = new Replay(app, probe, recording, () => {});
  assert.deepEqual([app.document, app.connection.state], [{ count: 1 }, "stopped"]);
  await assert.rejects(app.action("add", 1), { code: "replayed" });
  replay.play();
  world.clock.advance(999);
  assert.deepEqual(app.document, { count: 1 });
  world.clock.advance(1);
  assert.deepEqual(app.document, { count: 2 });
  replay.pace(10);
  world.clock.advance(100);
  assert.deepEqual([app.document, replay.isPlaying, events], [{ count: 3 }, false, [2, 3]]);
  assert.deepEqual(commits.at(-1), [["count", 3]], "its ops go straight to the bindings");
  replay.step(-1);
  assert.deepEqual(app.document, { count: 2 });
  replay.step(-1);
  assert.deepEqual(app.document, { count: 1 });
  replay.step(1);
  assert.deepEqual(app.document, { count: 2 });
  world.window.show("hidden");
  world.window.show("visible");
  assert.equal(world.storage.items.get("windlass:ws://127.0.0.1/socket:document"), kept);
  world.clock.advance(60_000);
  assert.equal(world.sockets.length, sockets, "no server is asked");
  replay.end();
  assert.deepEqual(app.document, { count: 3 });
  const hello = world.welcome({ resumed: true });
  assert.deepEqual([hello.n, app.connection.state], [3, "live"]);
  world.socket.receive(["d", 4, 0, [["count", 4]]]);
  assert.deepEqual(app.document, { count: 4 });
  app.action("add", 1);
  assert.deepEqual(world.socket.all(), [["a", 1, "add", 1]]);
});

test("a replay needs no server that was ever there", async () => {
  const { probe: other, world: first } = await probed({ document: { count: 5 } });
  first.socket.receive(["d", 2, 0, [["count", 6]]]);
  const world = new World();
  const app = await world.connect();
  const probe = new Probe(app, () => {});
  const replay = new Replay(app, probe, read(write(other.recording)), () => {});
  replay.speed = Infinity;
  replay.play();
  world.clock.advance(1);
  assert.deepEqual(app.document, { count: 6 });
});

test("a simulated delay holds messages up each way, in order", async () => {
  const { world, app, probe } = await probed();
  probe.link.delay_ms = 100;
  app.action("add", 1);
  app.action("add", 2);
  assert.deepEqual(world.socket.all(), []);
  world.clock.advance(99);
  assert.deepEqual(world.socket.all(), []);
  world.clock.advance(1);
  assert.deepEqual(world.socket.all().map(([, seq]) => seq), [1, 2]);
  probe.link.jitter_ms = 500;
  world.socket.receive(["d", 2, 1, [["count", 1]]]);
  probe.link.jitter_ms = 0;
  world.socket.receive(["d", 3, 2, [["count", 3]]]);
  world.clock.advance(349);
  assert.deepEqual(app.document, { count: 0 });
  world.clock.advance(1);
  assert.deepEqual(app.document, { count: 3 }, "what comes after a slow one waits for it");
  const [item] = probe.timeline.items.filter(({ kind }) => kind === "action");
  assert.equal(item.latency_ms, 450);
});

test("a simulated cut loses what is under way, and the client comes back by itself", async () => {
  const { world, app, probe } = await probed();
  probe.link.delay_ms = 50;
  app.action("add", 1);
  const { socket } = world;
  probe.link.cut();
  assert.deepEqual([socket.all(), socket.closed.code, app.connection.state], [[], 1000, "waiting"]);
  probe.link.delay_ms = 0;
  world.waitForSocket();
  world.welcome({ resumed: true });
  assert.deepEqual(world.socket.all(), [["a", 1, "add", 1]]);
  assert.deepEqual(told(probe, "connection").slice(0, 1), ["closed 1006 lost"]);
});

test("offline for a time: no socket is opened before it is over, and then at once", async () => {
  const { world, app, probe } = await probed();
  const sockets = world.sockets.length;
  probe.link.offline(30_000);
  world.clock.advance(29_999);
  assert.deepEqual([world.sockets.length, app.connection.state === "live", probe.link.isSimulating], [sockets, false, true]);
  world.clock.advance(1);
  assert.equal(world.sockets.length, sockets + 1);
  world.welcome({ resumed: true });
  assert.deepEqual([app.connection.state, probe.link.isSimulating], ["live", false]);
});

test("a cut after so many frames counts those of both ways", async () => {
  const { world, app, probe } = await probed();
  probe.link.cutAfter = 3;
  app.action("add", 1);
  world.socket.receive(["d", 2, 1, [["count", 1]]]);
  assert.deepEqual([app.connection.state, probe.link.cutAfter], ["live", 1]);
  world.socket.receive(["d", 3, 1, [["count", 2]]]);
  assert.deepEqual([app.document, app.connection.state, probe.link.cutAfter, probe.link.counts.cuts], [{ count: 2 }, "waiting", null, 1]);
});

test("when devtools close, the network is a good one again and nothing is lost", async () => {
  const { world, app, probe } = await probed();
  probe.link.delay_ms = 10_000;
  app.action("add", 1);
  world.socket.receive(["d", 2, 0, [["count", 1]]]);
  assert.deepEqual(app.document, { count: 0 });
  probe.release();
  assert.deepEqual([app.document, world.socket.all()], [{ count: 1 }, [["a", 1, "add", 1]]]);
  world.socket.receive(["d", 3, 1, [["count", 2]]]);
  assert.deepEqual(app.document, { count: 2 });
});

test("ops are told in words, with where they have changed something", () => {
  const cases = [
    [["count", 2], "count = 2", ["count"]],
    [["rows", 3, "a b", true], 'rows[3]["a b"] = true', ["rows", 3, "a b"]],
    [[1, "rows", 0, { id: 1 }], "rows[0] inserted: {id: 1}", ["rows", 0]],
    [[2, "rows", 4, 1], "rows[4] removed", ["rows"]],
    [[2, "rows", 4, 3], "rows[4] and 2 more removed", ["rows"]],
    [[3, "rows", 4, 0], "rows[4] moved to [0]", ["rows", 0]],
    [[4, "log", "ken"], 'log += "ken"', ["log"]],
    [[5, "a", "b"], "a.b deleted", ["a"]],
    [[7, "rows", 2, [1, 2]], "rows 2 inserted at [2]: [1, 2]", ["rows"]],
    [[8, "rows", [1, 0]], "rows put in another order", ["rows"]],
    [[0, {}], "(all) = {}", []],
  ];
  for (const [op, text, path] of cases) {
    assert.equal(opText(op), text);
    assert.deepEqual(opPath(op), path, text);
  }
  assert.equal(pathText(["$jobs", 0, "0", ""]), '$jobs[0]["0"][""]');
});

test("a preview of a large value looks at no more of it than it shows", () => {
  let reads = 0;
  const rows = new Proxy(Array.from({ length: 10_000 }, (_, id) => ({ id })), { get: (target, key) => (reads++, target[key]) });
  assert.ok(preview(rows).length <= 120);
  assert.ok(reads < 200, `${reads} reads`);
  assert.equal(preview("x".repeat(200), 10), `"${"x".repeat(9)}…"`);
});

test("a tree shows what is open, and what a search finds with what leads to it", () => {
  const state = { a: { b: [1, { "x/y": "needle" }] }, needle: 1, c: "plain" };
  const ids = (rows) => rows.map(({ id }) => id);
  assert.deepEqual(ids(rowsOf(state, new Set(), null)), ["/a", "/needle", "/c"]);
  assert.deepEqual(ids(rowsOf(state, new Set(["/a", "/a/b"]), null)), ["/a", "/a/b", "/a/b/0", "/a/b/1", "/needle", "/c"]);
  const found = search(state, "NEEDLE");
  const rows = rowsOf(state, new Set(), found);
  assert.deepEqual(ids(rows), ["/a", "/a/b", "/a/b/1", "/a/b/1/x~1y", "/needle"]);
  assert.deepEqual(rows.filter((row) => row.found).map((row) => pathText(pathOf(row))), ['a.b[1]["x/y"]', "needle"]);
  assert.deepEqual(rows.map(({ at, of }) => `${at}/${of}`), ["1/2", "1/1", "1/1", "1/1", "2/2"]);
  assert.deepEqual([...search(state, "needle", "keys").ids], ["/needle"]);
  assert.deepEqual([...search(state, "needle", "values").ids], ["/a/b/1/x~1y"]);
  assert.equal(search(state, "  "), null);
  assert.deepEqual(rowsOf(state, new Set(), search(state, "nothing")), []);
  assert.deepEqual([...allContainers(state)], ["/a", "/a/b", "/a/b/1"]);
  assert.deepEqual(idsOf(["a", "b", 1, "x/y"]), ["/a", "/a/b", "/a/b/1", "/a/b/1/x~1y"]);
  const many = search({ rows: Array.from({ length: FOUND_MAX + 5 }, () => "x") }, "x");
  assert.deepEqual([many.ids.size, many.more], [FOUND_MAX, true]);
});

test("docs/devtools.md names the bounds, kinds and codes that there are", async () => {
  const guide = await readFile(new URL("../../docs/devtools.md", import.meta.url), "utf8");
  const bounds = [
    `last ${ITEMS_MAX.toLocaleString("en")} items`, `last ${ENTRIES_MAX.toLocaleString("en")} entries and ${BYTES_MAX / 1e6} MB`,
    `at most ${FOUND_MAX.toLocaleString("en")} matches`,
  ];
  for (const word of [...bounds, ...KINDS.map((kind) => `| ${kind} |`), FORMAT, "not_json", "not_a_recording", "unknown_version", "bad_entry", "too_large"]) {
    assert.ok(guide.includes(word), word);
  }
});

test("the timeline keeps to its bound and is filtered by kind and text", () => {
  const timeline = new Timeline();
  const held = { epoch: 1, n: 0, stream: 1, stale: false, document: {} };
  for (let n = 1; n <= ITEMS_MAX + 10; n++) timeline.add({ at_ms: n, kind: "in", bytes: 1, message: ["d", n, 0, [["count", n]]] }, held, held);
  timeline.add({ at_ms: 9_999, kind: "out", bytes: 7, message: ["k", 5] }, held, held);
  assert.equal(timeline.items.length, ITEMS_MAX);
  assert.equal(filtered(timeline.items, new Set(KINDS), "COUNT = 500").length, 1);
  assert.deepEqual(filtered(timeline.items, new Set(["control"]), "").map(({ title }) => title), ["ack"]);
});
