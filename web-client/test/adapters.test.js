/**
 * The adapters, each with the real library that it is for.
 *
 * @module
 */

import assert from "node:assert/strict";
import { test } from "node:test";
import { Window } from "happy-dom";

import { World, settled } from "./support/world.js";

const browser = new Window({ url: "http://127.0.0.1/" });
for (const name of ["document", "HTMLElement", "HTMLIFrameElement", "Event", "Node"]) globalThis[name] = browser[name];
globalThis.window = browser;
globalThis.navigator ??= browser.navigator;
globalThis.IS_REACT_ACT_ENVIRONMENT = true;

const { StrictMode, act, createElement } = await import("react");
const { createRoot } = await import("react-dom/client");
const { renderToString } = await import("react-dom/server");
const react = await import("../src/adapters/react.js");
const { shared, hold } = await import("../src/adapters/shared.js");
const svelte = await import("../src/adapters/svelte.js");
const { follow, toSignal } = await import("../src/adapters/signals.js");

const { WindlassProvider, useAction, useApp, useConnection, useEvent, useJobs, useWindlass } = react;
const TODOS = { count: 0, todos: [{ id: 1, title: "one" }, { id: 2, title: "two" }] };

/** Renders a component within a session, and counts how often it rendered. */
async function mount(app, component) {
  const host = document.createElement("div");
  const root = createRoot(host);
  const mounted = { host, renders: 0, unmount: () => act(async () => root.unmount()) };
  const Counted = () => {
    mounted.renders++;
    return component();
  };
  await act(async () => root.render(createElement(WindlassProvider, { app }, createElement(Counted))));
  return mounted;
}

test("React: a component shows what it selects, and renders again only when that has changed", async () => {
  const world = new World();
  const app = await world.live({ document: TODOS });
  const { host, unmount } = await mount(app, () =>
    createElement("p", null, useWindlass((state) => state.todos[1].title)));
  const counter = await mount(app, () => useWindlass((state) => state.count));
  assert.equal(host.textContent, "two");
  assert.equal(counter.renders, 1);
  await act(async () => world.socket.receive(["d", 2, 0, [["todos", 1, "title", "zwei"]]]));
  assert.equal(host.textContent, "zwei");
  assert.equal(counter.renders, 1, "another's change is nothing to it");
  await act(async () => world.socket.receive(["d", 3, 0, [["count", 5]]]));
  assert.equal(counter.host.textContent, "5");
  assert.equal(counter.renders, 2);
  await unmount();
  await counter.unmount();
});

test("React: a selector that makes a new object each time renders by `isEqual`, and never for ever", async () => {
  const world = new World();
  const app = await world.live({ document: TODOS });
  const same = (a, b) => a.length === b.length && a.every((item, at) => item === b[at]);
  const seen = [];
  const view = await mount(app, () => {
    const titles = useWindlass((state) => state.todos.map(({ title }) => title), same);
    seen.push(titles);
    return titles.join();
  });
  await act(async () => world.socket.receive(["d", 2, 0, [["count", 1]]]));
  assert.equal(view.renders, 1);
  await act(async () => world.socket.receive(["d", 3, 0, [["todos", 0, "title", "eins"]]]));
  assert.equal(view.host.textContent, "eins,two");
  assert.notEqual(seen.at(-1), seen[0]);
  await view.unmount();
});

test("React: an action is pending until its outcome, and its error stays until the next call", async () => {
  const world = new World();
  const app = await world.live();
  let run;
  const view = await mount(app, () => {
    const [add, { pending, error }] = useAction("add");
    run = add;
    return `${pending} ${error?.code}`;
  });
  const call = (...payload) => act(async () => void run(...payload).catch(() => {}));
  await call(1);
  assert.deepEqual(world.socket.all(), [["a", 1, "add", 1]]);
  assert.equal(view.host.textContent, "true undefined");
  await act(async () => world.socket.receive(["d", 2, 1, [], { r: [[1, "refused", "too_many", "no more"]] }]));
  assert.equal(view.host.textContent, "false too_many");
  await call(2);
  assert.equal(view.host.textContent, "true undefined");
  await act(async () => world.socket.receive(["d", 3, 2, []]));
  assert.equal(view.host.textContent, "false undefined");
  await view.unmount();
});

test("React: jobs, the connection and events reach the components that ask for them", async () => {
  const world = new World();
  const job = { id: "1.1", name: "train", status: "running" };
  const app = await world.live({ document: { $jobs: [job] } });
  const heard = [];
  const view = await mount(app, () => {
    useEvent("notify", ({ text }) => heard.push(text));
    return `${useJobs().map(({ name }) => name)} ${useConnection().state}`;
  });
  assert.equal(view.host.textContent, "train live");
  await act(async () => world.socket.receive(["d", 2, 0, [], { e: [[1, 1, "notify", { level: "info", text: "hi" }]] }]));
  assert.deepEqual(heard, ["hi"]);
  await act(async () => world.socket.lose());
  assert.equal(view.host.textContent, "train waiting");
  await view.unmount();
  world.resume({ resumed: true });
  world.socket.receive(["d", 3, 0, [], { e: [[1, 2, "notify", { level: "info", text: "late" }]] }]);
  assert.deepEqual(heard, ["hi"], "a component that has gone hears nothing");
});

/** A session that is shared by its address, over the sockets of a world. */
function options(world, url) {
  const { clock, sockets, storage, locks, window } = world;
  class Socket extends EventTarget {
    constructor(address) {
      super();
      this.url = address;
      sockets.push(this);
    }
    close() {
      this.closed = true;
    }
  }
  return { url, storage, locks, window, WebSocket: Socket, setTimeout: clock.setTimeout, now: clock.now };
}

test("React: components without a provider's session share one, also under StrictMode, and the last one closes it", async () => {
  const world = new World();
  const settings = options(world, "ws://127.0.0.1/together");
  const apps = new Set();
  const Part = () => {
    apps.add(useApp());
    return null;
  };
  const tree = (...parts) =>
    createElement(StrictMode, null, createElement(WindlassProvider, { options: settings }, ...parts));
  const root = createRoot(document.createElement("div"));
  await act(async () => root.render(tree(createElement(Part, { key: 1 }), createElement(Part, { key: 2 }))));
  await settled();
  assert.equal(apps.size, 1);
  assert.equal(world.sockets.length, 1);
  const [app] = apps;
  await act(async () => root.render(tree(createElement(Part, { key: 3 }))));
  await new Promise((resolve) => setTimeout(resolve));
  assert.notEqual(app.connection.state, "stopped", "one still needs it");
  await act(async () => root.unmount());
  await new Promise((resolve) => setTimeout(resolve));
  assert.equal(app.connection.state, "stopped");
  assert.notEqual(shared(settings), app, "whoever comes later gets a new one");
  shared(settings).close();
});

test("a held session outlives others' letting go, and letting go twice counts once", async () => {
  const world = new World();
  const app = shared(options(world, "ws://127.0.0.1/held"));
  const [one, other] = [hold(app), hold(app)];
  one();
  one();
  await new Promise((resolve) => setTimeout(resolve));
  assert.notEqual(app.connection.state, "stopped");
  other();
  await new Promise((resolve) => setTimeout(resolve));
  assert.equal(app.connection.state, "stopped");
});

test("React: a server renders the first paint without a state and connects to nothing", () => {
  const Page = () => createElement("p", null, useWindlass((state) => state.count) ?? "loading");
  delete globalThis.window;
  try {
    assert.equal(renderToString(createElement(Page)), "<p>loading</p>");
  } finally {
    globalThis.window = browser;
  }
});

test("Svelte: a store has its value at once, follows the server, works in Svelte's own, and stops", async () => {
  const { derived, get } = await import("svelte/store");
  const world = new World();
  const app = await world.live({ document: TODOS });
  const title = svelte.state(app, "todos.0.title");
  const loud = derived(title, (text) => text.toUpperCase());
  assert.equal(get(loud), "ONE");
  const seen = [];
  const stop = loud.subscribe((value) => seen.push(value));
  world.socket.receive(["d", 2, 0, [["todos", 0, "title", "eins"]]]);
  world.socket.receive(["d", 3, 0, [["count", 1]]]);
  stop();
  world.socket.receive(["d", 4, 0, [["todos", 0, "title", "uno"]]]);
  assert.deepEqual(seen, ["ONE", "EINS"]);
  assert.equal(get(svelte.state(app)), app.document);
  assert.equal(get(svelte.connection(app)).state, "live");
  assert.deepEqual(get(svelte.jobs(app)), []);
});

test("Svelte: what is set in a field is shown at once and sent; a refusal gives back the server's value and says so", async () => {
  const world = new World();
  const app = await world.live({ document: { title: "old" } });
  const title = svelte.field(app, ["title"]);
  const seen = [];
  const stop = title.subscribe((value) => seen.push(value));
  title.set("new");
  assert.deepEqual(world.socket.all(), [["a", 1, "$set", { path: ["title"], value: "new" }]]);
  world.socket.receive(["d", 2, 1, [["title", "new"]]]);
  await settled();
  title.update((text) => `${text}!`);
  world.socket.receive(["d", 3, 2, [], { r: [[2, "refused", "too_long", "no"]] }]);
  await settled();
  assert.deepEqual(seen, ["old", "new", "new!", "new"]);
  assert.equal(world.errors.at(-1).code, "too_long");
  stop();
});

test("Svelte: while a field's value is on its way, what the server says meanwhile does not undo it", async () => {
  const world = new World();
  const app = await world.live({ document: { title: "a" } });
  const title = svelte.field(app, ["title"]);
  const seen = [];
  title.subscribe((value) => seen.push(value));
  title.set("ab");
  title.set("abc");
  world.socket.receive(["d", 2, 1, [["title", "ab"]]]);
  await settled();
  world.socket.receive(["d", 3, 2, [["title", "abc"]]]);
  await settled();
  assert.deepEqual(seen, ["a", "ab", "abc"]);
});

test("signals: Preact's and Vue's follow a path, and any function can", async () => {
  const { computed, signal } = await import("@preact/signals-core");
  const { shallowRef } = await import("@vue/reactivity");
  const world = new World();
  const app = await world.live({ document: { count: 1 } });
  const preact = toSignal(app, "count", signal);
  const vue = toSignal(app, ["count"], shallowRef);
  const double = computed(() => preact.value.value * 2);
  const told = [];
  const stop = follow(app, "", (state) => told.push(state.count));
  assert.deepEqual([double.value, vue.value.value], [2, 1]);
  world.socket.receive(["d", 2, 0, [["count", 4]]]);
  assert.deepEqual([double.value, vue.value.value, told], [8, 4, [1, 4]]);
  for (const end of [preact.stop, vue.stop, stop]) end();
  world.socket.receive(["d", 3, 0, [["count", 5]]]);
  assert.deepEqual([double.value, vue.value.value, told], [8, 4, [1, 4]]);
});
