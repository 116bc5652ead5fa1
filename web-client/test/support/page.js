/**
 * A session without a server, a document without a browser, and frames that come when the test says so.
 *
 * @module
 */

import { Window } from "happy-dom";

// All that the client takes from the window; a session's events are then of the same kind as the page's.
const WINDOW = [
  "document", "location", "EventTarget", "Event", "CustomEvent", "HTMLElement", "customElements", "CSSStyleSheet",
  "requestAnimationFrame", "MutationObserver",
];
const window = new Window({ url: "http://localhost/" });
Object.assign(globalThis, { window });
for (const name of WINDOW) globalThis[name] = window[name];

// The custom elements extend what HTMLElement is when they are loaded.
export const { bind } = await import("../../src/bind.js");

// There already, so that what follows from an event follows at once.
const { later } = await import("../../src/later.js");
await Promise.all(["messages", "forms", "model", "notices"].map(later));

const { FakeApp } = await import("./fake-app.js");
export { FakeApp };

let before;

/**
 * Binds `html` and gives the test its hands: the root, the app, a frame. Its root is the body, where it takes the place
 * of the page before, or an element of its own.
 */
export function page(html, { state, root = document.body, ...options } = {}) {
  if (root === document.body) before?.release();
  root.innerHTML = html;
  const app = new FakeApp();
  const messages = [];
  let frames = [];
  if (state) app.document = state;
  const bound = bind(root, app, {
    report: (message) => messages.push(message),
    frame: (callback) => frames.push(callback),
    ...options,
  });
  if (root === document.body) before = bound;
  return {
    app,
    bound,
    messages,
    codes: () => messages.map(({ code }) => code),
    body: root,
    $: (selector) => root.querySelector(selector),
    texts: (selector) => [...root.querySelectorAll(selector)].map((element) => element.textContent),
    get framed() {
      return frames.length;
    },
    frame() {
      const due = frames;
      frames = [];
      for (const callback of due) callback();
    },
    delta(...ops) {
      app.delta(...ops);
      this.frame();
    },
  };
}
