/**
 * Shows at the foot of each card the last change that reached it, and lets changed cells of the table glow.
 *
 * The examples need none of this: without it the page works the same.
 * @module
 */

import { app } from "./windlass/windlass.js";

// A permutation of ten thousand rows is 60 KB; nobody reads more of it than a line.
const SHOWN_MAX = 160;
// So long that the rest of the page is on the screen by then.
const LAY_OUT_AFTER_MS = 300;

const wires = [...document.querySelectorAll("[data-wire]")].map((element) => ({
  element,
  path: element.dataset.wire.split("."),
}));

const sheet = document.querySelector(".sheet");

app.onCommit(({ ops }) => {
  if (!ops) {
    // A snapshot: nothing changed, all is new. The page can be used before its ten thousand rows are laid out.
    setTimeout(() => sheet.classList.add("laid-out"), LAY_OUT_AFTER_MS);
    return;
  }
  for (const { element, path } of wires) {
    const own = ops.filter((op) => startsWith(pathOf(op), path));
    if (own.length > 0) {
      const text = JSON.stringify(own);
      const bytes = new TextEncoder().encode(text).length;
      element.textContent = `${bytes.toLocaleString("en")} bytes  ${text.slice(0, SHOWN_MAX)}`;
    }
  }
});

/** A set begins with its path and ends with its value; every other op begins with its number. */
function pathOf(op) {
  return typeof op[0] === "string" ? op.slice(0, -1) : op.slice(1);
}

function startsWith(path, start) {
  return start.every((step, index) => path[index] === step);
}

const still = matchMedia("(prefers-reduced-motion: reduce)");

new MutationObserver((changes) => {
  if (still.matches) return;
  for (const { target } of changes) {
    const cell = (target.nodeType === Node.TEXT_NODE ? target.parentElement : target)?.closest("[role=cell]");
    cell?.animate([{ background: "color-mix(in srgb, var(--brass) 50%, transparent)" }, {}], 1200);
  }
}).observe(sheet, { subtree: true, childList: true, characterData: true });
