/**
 * The whole page: a session over a socket, its document bound, its events shown and followed.
 *
 * @module
 */

import assert from "node:assert/strict";
import { test } from "node:test";

// First, since it makes the window that the client is loaded into.
import "./support/page.js";
import { EPOCH, World, settled } from "./support/world.js";

const { app: automatic, start } = await import("../src/auto.js?manual");

let events = 0;
const event = (kind, body) => [EPOCH, ++events, kind, body];

test("?manual connects nothing", () => {
  assert.equal(automatic, undefined);
});

test("an action of the page comes back as a change of the page", async () => {
  document.body.innerHTML = `<main w-cloak><b w-text="count">0</b><button w-on:click="add" w-arg="2"></button></main>`;
  const world = new World();
  const app = start(await world.live({ document: { count: 1, $jobs: [] } }));
  const button = document.querySelector("button");
  assert.equal(document.querySelector("[w-cloak]"), null);
  button.click();
  assert.deepEqual(world.socket.next(), ["a", 1, "add", 2]);
  assert.deepEqual([button.getAttribute("w-state"), button.getAttribute("aria-busy"), app.pending], ["sent", "true", 1]);
  world.socket.receive(["d", 2, 1, [["count", 3]]]);
  await settled();
  assert.deepEqual([button.getAttribute("w-state"), button.hasAttribute("aria-busy")], ["applied", false]);
  await new Promise(requestAnimationFrame);
  assert.equal(document.querySelector("b").textContent, "3");
  app.close();
});

test("a refusal that nobody handles is a toast, one that somebody does is not", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  document.body.innerHTML = `<b w-on:click="no"></b><i w-on:click="never"></i>`;
  const world = new World();
  const app = start(await world.live());
  document.querySelector("i").addEventListener("w-refused", (event) => event.preventDefault());
  document.querySelector("b").click();
  document.querySelector("i").click();
  world.socket.receive(["d", 2, 2, [], { r: [[1, "refused", "unknown_action", "no action 'no'"], [2, "failed", "mine", "never"]] }]);
  await settled();
  const cards = [...document.querySelector("windlass-toasts").shadowRoot.querySelectorAll(".body")];
  assert.deepEqual(cards.map((card) => card.textContent), ["no action 'no'"]);
  app.close();
});

test("navigate and download follow addresses of the page's own origin only", async (t) => {
  document.body.innerHTML = "";
  const world = new World();
  const app = start(await world.live());
  const followed = [];
  t.mock.method(location, "assign", (url) => followed.push(url));
  t.mock.method(console, "error", () => {});
  const click = window.HTMLAnchorElement.prototype.click;
  window.HTMLAnchorElement.prototype.click = function () {
    followed.push(`${this.href} as ${this.download}`);
  };
  const strange = ["https://elsewhere.org/", "//elsewhere.org/x", "javascript:alert(1)", "data:text/html,x", "http://[", "blob:http://elsewhere.org/1", "blob:http://localhost/1", "http://somebody@localhost/"];
  world.socket.receive([
    "d", 2, 0, [],
    { e: [
      event("navigate", { url: "/next?x=1" }),
      event("download", { url: "/file.csv", name: "a.csv" }),
      ...strange.flatMap((url) => [event("navigate", { url }), event("download", { url })]),
    ] },
  ]);
  assert.deepEqual(followed, [], "what follows them is a part of the client that has not come");
  await settled();
  window.HTMLAnchorElement.prototype.click = click;
  assert.deepEqual(followed, ["http://localhost/next?x=1", "http://localhost/file.csv as a.csv"]);
  assert.equal(console.error.mock.callCount(), 2 * strange.length);
  app.close();
});
