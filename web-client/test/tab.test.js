/**
 * What a reload finds again, and what a duplicated tab must not.
 *
 * @module
 */

import assert from "node:assert/strict";
import { test } from "node:test";
import { World, channels, settled } from "./support/world.js";

test("a reload paints at once, and resumes by number as the same client in a new instance", async () => {
  const world = new World();
  await world.live();
  world.socket.receive(["d", 2, 0, [["count", 7]]]);
  const app = await world.reload();
  assert.deepEqual(app.document, { count: 7 });
  const hello = world.welcome({ resumed: true });
  assert.deepEqual([hello.token, hello.n, hello.seq], ["token-1", 2, 1]);
  world.socket.receive(["d", 3, 0, [["count", 8]]]);
  assert.deepEqual(app.document, { count: 8 });
});

test("actions that had no outcome before a reload are sent again after it, and what is wrong with them is told", async () => {
  const world = new World();
  const app = await world.live();
  app.action("sent", { text: 'with "quotes"\nand lines' });
  world.socket.lose();
  app.action("queued", 2);
  await world.reload();
  world.welcome({ resumed: true });
  assert.deepEqual(world.socket.all(), [["a", 1, "sent", { text: 'with "quotes"\nand lines' }], ["a", 2, "queued", 2]]);
  world.socket.receive(["d", 2, 2, [], { r: [[2, "refused", "unknown_action", "no action"]] }]);
  assert.deepEqual(world.errors.map(({ code, seq }) => [code, seq]), [["unknown_action", 2]]);
});

test("of a secret action only the number is stored, and only a void is sent after a reload", async () => {
  const world = new World();
  const app = await world.live();
  world.socket.lose();
  app.action("login", "hunter2", { secret: true });
  assert.ok(![...world.storage.items.values()].some((text) => text.includes("hunter2")));
  await world.reload();
  world.welcome({ resumed: true });
  assert.deepEqual(world.socket.all(), [["v", 1]]);

  const other = new World();
  const page = await other.live();
  page.action("login", "hunter2", { secret: true });
  other.resume({});
  assert.deepEqual(other.socket.all(), [["a", 1, "login", "hunter2"]], "the page that asked still knows it");
});

test("the outbox is written in the task of the action", async () => {
  const world = new World();
  const app = await world.connect();
  app.action("add", 1);
  assert.ok([...world.storage.items.values()].some((text) => text.endsWith('\n["a",1,"add",1]')));
});

test("the two newest tokens are kept, the newest is said", async () => {
  const world = new World();
  await world.live();
  for (const token of ["token-2", "token-3"]) world.resume({ token });
  assert.equal(world.resume({}).token, "token-3");
  assert.deepEqual(JSON.parse([...world.storage.items.values()][0].split("\n")[0]).tokens, ["token-3", "token-2"]);
});

test("a document of more than 512 KB, or one that is not wanted, is not stored", async () => {
  for (const [options, text] of [[{}, "x".repeat(600_000)], [{ keepDocument: false }, "small"]]) {
    const world = new World();
    await world.live({ options, document: { text } });
    const app = await world.reload(options);
    assert.equal(app.document, undefined);
    assert.deepEqual([world.welcome().n], [0]);
  }
});

test("a document that waits for a snapshot is not stored as if it were whole", async () => {
  const world = new World();
  await world.live();
  world.socket.receive(["d", 2, 0, [["count", 7], [5, "absent"]]]);
  const app = await world.reload();
  assert.equal(app.document, undefined);
});

test("a record that makes no sense is as good as none", async () => {
  for (const text of ["", "{", '{"version":0}', '{"version":1,"entries":[[1,false,null]]}']) {
    const world = new World();
    world.storage.setItem("windlass:ws://127.0.0.1/socket", text);
    await world.connect();
    assert.deepEqual([world.welcome().seq], [1]);
  }
});

/** A second page over a copy of the first one's storage, as a browser duplicates a tab. */
async function duplicate(world, options = {}) {
  const copy = new World();
  copy.storage = world.storage.copy();
  copy.locks = world.locks;
  copy.clock = world.clock;
  await copy.connect(options);
  world.clock.advance(300);
  await settled();
  return copy;
}

test("a lock that is this page's is waited for, however late a busy thread hears of it", async () => {
  const world = new World();
  await world.live();
  const { client } = world.resume({});
  let grant;
  const request = (name, { signal }, run) =>
    new Promise((resolve, reject) => {
      grant = () => resolve(run({ name }));
      signal.addEventListener("abort", () => reject(signal.reason));
    });
  world.locks = { request, query: async () => ({ held: [], pending: [] }) };
  await world.reload();
  world.clock.advance(1_000);
  await settled();
  grant();
  await settled();
  assert.equal(world.welcome().client, client);
  assert.deepEqual(world.fresh, []);
});

const CHANNELS = { "Web Locks": () => ({}), "a BroadcastChannel": () => ({ locks: null, BroadcastChannel: channels() }) };

for (const [means, make] of Object.entries(CHANNELS)) {
  test(`a duplicated tab finds by ${means} that the client is another page's, and drops token and outbox`, async () => {
    const options = make();
    const world = new World();
    const app = await world.connect(options);
    world.clock.advance(300);
    await settled();
    const hello = world.welcome({ token: "token-1" });
    world.socket.receive(["s", 1, 0, { count: 0 }]);
    world.socket.lose();
    app.action("add", 1);

    const copy = await duplicate(world, options);
    assert.deepEqual(copy.fresh, [{ reason: "in_use", rejected: 0 }]);
    const other = copy.welcome({ session: "ffffffffffffffffffffffff" });
    assert.notEqual(other.client, hello.client);
    assert.deepEqual([other.token, other.n, other.seq], [null, 0, 1]);
    assert.deepEqual(copy.socket.all(), [], "the copied outbox is the other page's");

    if (world.sockets.length === 1) world.waitForSocket();
    world.welcome({ resumed: true });
    assert.deepEqual(world.socket.all(), [["a", 1, "add", 1]]);
  });

  test(`a reload claims by ${means} what the page before it let go`, async () => {
    const options = make();
    const world = new World();
    await world.connect(options);
    world.clock.advance(300);
    await settled();
    const before = world.welcome({ token: "token-1" });
    await world.reload(options);
    world.clock.advance(300);
    await settled();
    const after = world.welcome({ resumed: true });
    assert.equal(after.client, before.client);
    assert.equal(after.token, "token-1");
    assert.notEqual(after.instance, before.instance);
  });
}
