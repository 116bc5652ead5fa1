/**
 * Toasts and connection bar: what a person is shown, what is read aloud, and for how long.
 *
 * @module
 */

import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";

import { FakeApp } from "./support/page.js";

// After the window: the custom elements extend its HTMLElement.
const { bar, toasts } = await import("../src/index.js");

beforeEach(() => {
  document.body.innerHTML = "";
});

function stackOf(app) {
  const root = toasts(app).shadowRoot;
  return {
    root,
    cards: () => [...root.querySelectorAll("li")].map((card) => card.querySelector(".body").textContent),
    levels: () => [...root.querySelectorAll("li")].map((card) => card.className.split(" ")[1]),
    said: (role) => [...root.querySelector(`[role=${role}]`).children].map((node) => node.textContent),
  };
}

function barOf(app) {
  const root = bar(app).shadowRoot;
  return {
    root,
    shown: () => {
      const card = root.querySelector(".card");
      const [text, count, button] = ["text", "count", "button"].map((part) => root.querySelector(`[part=${part}]`).textContent);
      return card.hidden ? null : [text, count, button].filter(Boolean).join(" | ");
    },
  };
}

test("what is notified is shown and said once, what went wrong at once", (t) => {
  t.mock.timers.enable({ apis: ["setTimeout", "Date"] });
  const app = new FakeApp();
  const p = stackOf(app);
  app.tell("notify", { level: "info", text: "started" });
  app.tell("notify", { level: "error", title: "Failed", text: "no disk" });
  app.tell("notify", { level: "unheard of", text: "odd" });
  assert.deepEqual([p.cards(), p.levels()], [["started", "Failedno disk", "odd"], ["info", "error", "info"]]);
  assert.deepEqual([p.said("status"), p.said("alert")], [["started", "odd"], ["Error: Failed: no disk"]]);
});

test("an id updates its card in place and is said again only on another level", (t) => {
  t.mock.timers.enable({ apis: ["setTimeout", "Date"] });
  const app = new FakeApp();
  const p = stackOf(app);
  app.tell("notify", { id: "job", text: "10 %" });
  app.tell("notify", { text: "other" });
  const [card] = p.root.querySelectorAll("li");
  const button = card.querySelector("button");
  app.tell("notify", { id: "job", text: "20 %" });
  assert.deepEqual([p.cards(), p.said("status")], [["20 %", "other"], ["10 %", "other"]]);
  app.tell("notify", { id: "job", level: "success", text: "done" });
  assert.deepEqual([p.levels(), p.said("status").at(-1), card.querySelector("button")], [["success", "info"], "done", button]);
  app.tell("close_notify", { id: "job" });
  app.tell("close_notify", { id: "job" });
  assert.deepEqual(p.cards(), ["other"]);
});

test("time ends a card, but not an error, and not what an update has given new time", (t) => {
  t.mock.timers.enable({ apis: ["setTimeout", "Date"] });
  const app = new FakeApp();
  const p = stackOf(app);
  app.tell("notify", { text: "a", id: "a" });
  app.tell("notify", { text: "b", duration_ms: 100 });
  app.tell("notify", { text: "c", level: "error" });
  app.tell("notify", { text: "d", duration_ms: 0 });
  t.mock.timers.tick(100);
  assert.deepEqual(p.cards(), ["a", "c", "d"]);
  t.mock.timers.tick(5000);
  app.tell("notify", { text: "A", id: "a" });
  t.mock.timers.tick(5999);
  assert.deepEqual(p.cards(), ["A", "c", "d"]);
  t.mock.timers.tick(1);
  assert.deepEqual(p.cards(), ["c", "d"]);
});

test("time stands still while nobody sees the page", (t) => {
  t.mock.timers.enable({ apis: ["setTimeout", "Date"] });
  const app = new FakeApp();
  const p = stackOf(app);
  app.tell("notify", { text: "a" });
  t.mock.timers.tick(2000);
  Object.defineProperty(document, "hidden", { value: true, configurable: true });
  document.dispatchEvent(new window.Event("visibilitychange"));
  app.tell("notify", { text: "b" });
  t.mock.timers.tick(60_000);
  assert.deepEqual(p.cards(), ["a", "b"]);
  delete document.hidden;
  document.dispatchEvent(new window.Event("visibilitychange"));
  t.mock.timers.tick(4000);
  assert.deepEqual(p.cards(), ["b"]);
  t.mock.timers.tick(2000);
  assert.deepEqual(p.cards(), []);
});

test("a full stack lets the oldest go, errors last", (t) => {
  t.mock.timers.enable({ apis: ["setTimeout", "Date"] });
  const app = new FakeApp();
  const p = stackOf(app);
  for (const [text, level] of [["1", "error"], ["2"], ["3", "error"], ["4"], ["5"], ["6"], ["7", "error"], ["8", "error"], ["9", "error"], ["10"], ["11"]]) {
    app.tell("notify", { text, level });
  }
  assert.deepEqual(p.cards(), ["3", "7", "8", "9", "11"]);
  assert.ok(p.said("status").length <= 5);
});

test("the button and Escape close a card", (t) => {
  t.mock.timers.enable({ apis: ["setTimeout", "Date"] });
  const app = new FakeApp();
  const p = stackOf(app);
  for (const text of ["a", "b", "c"]) app.tell("notify", { text });
  const [first, second] = p.root.querySelectorAll("li");
  assert.equal(first.querySelector("button").getAttribute("aria-label"), "Close");
  first.querySelector("button").click();
  second.dispatchEvent(new window.KeyboardEvent("keydown", { key: "Escape" }));
  assert.deepEqual(p.cards(), ["c"]);
});

test("text from the server is text", (t) => {
  t.mock.timers.enable({ apis: ["setTimeout", "Date"] });
  const app = new FakeApp();
  const p = stackOf(app);
  app.tell("notify", { text: "<img src=x>", title: "<b>", level: "constructor" });
  assert.deepEqual([p.cards(), p.root.querySelector("img")], [["<b><img src=x>"], null]);
});

test("a blip shows nothing, a longer loss counts down, and the return is said for a moment", (t) => {
  t.mock.timers.enable({ apis: ["setTimeout", "Date"] });
  const app = new FakeApp();
  const p = barOf(app);
  const become = (connection) => {
    app.connection = { retryAt: null, code: null, ...connection };
    app.tell("connection", app.connection);
  };
  become({ state: "waiting", retryAt: Date.now() + 400 });
  t.mock.timers.tick(500);
  become({ state: "live" });
  t.mock.timers.tick(5000);
  assert.equal(p.shown(), null);

  become({ state: "waiting", retryAt: Date.now() + 500 });
  t.mock.timers.tick(500);
  become({ state: "connecting" });
  t.mock.timers.tick(400);
  become({ state: "waiting", retryAt: Date.now() + 3000 });
  assert.equal(p.shown(), null);
  t.mock.timers.tick(100);
  assert.equal(p.shown(), "Reconnecting… | in 3 s | Try now");
  app.pending = 2;
  t.mock.timers.tick(2000);
  assert.equal(p.shown(), "Reconnecting… | in 1 s · 2 changes wait | Try now");
  p.root.querySelector("[part=button]").click();
  assert.ok(app.retried);
  become({ state: "connecting" });
  assert.equal(p.shown(), "Reconnecting… | 2 changes wait");
  become({ state: "live" });
  assert.equal(p.shown(), "Connected again");
  t.mock.timers.tick(2500);
  assert.equal(p.shown(), null);
});

test("the first connection is no reconnect", (t) => {
  t.mock.timers.enable({ apis: ["setTimeout", "Date"] });
  const app = new FakeApp();
  app.connection = { state: "connecting", retryAt: null, code: null };
  const p = barOf(app);
  t.mock.timers.tick(1000);
  assert.equal(p.shown(), "Connecting…");
  app.connection = { state: "live", retryAt: null, code: null };
  app.tell("connection");
  assert.equal(p.shown(), null);
});

test("a fresh start is said until it is closed, also over a loss that follows", (t) => {
  t.mock.timers.enable({ apis: ["setTimeout", "Date"] });
  const app = new FakeApp();
  const p = barOf(app);
  app.tell("fresh", { reason: "session_gone", rejected: 2 });
  const said = "The server restarted: this page started afresh. 2 changes were not carried over.";
  t.mock.timers.tick(60_000);
  assert.equal(p.shown(), said);
  app.connection = { state: "connecting", retryAt: null, code: "lost" };
  app.tell("connection");
  t.mock.timers.tick(1000);
  app.connection = { state: "live", retryAt: null, code: null };
  app.tell("connection");
  t.mock.timers.tick(2500);
  assert.equal(p.shown(), said);
  p.root.querySelector("[part=close]").click();
  assert.equal(p.shown(), null);
});

test("a page that was taken over says so at once and can take back", (t) => {
  t.mock.timers.enable({ apis: ["setTimeout", "Date"] });
  const app = new FakeApp();
  const p = barOf(app);
  app.connection = { state: "stopped", retryAt: null, code: "taken_over" };
  app.tell("connection");
  assert.equal(p.shown(), "This page is now used in another tab. | Use it here");
  p.root.querySelector("[part=button]").click();
  assert.ok(app.retried);
  app.connection = { state: "stopped", retryAt: null, code: "closed" };
  app.tell("connection");
  assert.equal(p.shown(), null);
});
