/**
 * Elements and style sheets made by script, under a policy that forbids inline styles and HTML from text.
 *
 * @module
 */

/**
 * `h("button", { type: "button" }, "Close")`
 *
 * @template {keyof HTMLElementTagNameMap} Name
 * @param {Name} name
 * @param {{ [attribute: string]: string }} [attributes]
 * @param {...(Node | string)} children
 * @returns {HTMLElementTagNameMap[Name]}
 */
export function h(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [attribute, value] of Object.entries(attributes)) element.setAttribute(attribute, value);
  element.append(...children);
  return element;
}

/**
 * A line drawing on a ground of 20 by 20.
 *
 * @param {string} path
 */
export function drawing(path) {
  const [svg, line] = ["svg", "path"].map((name) => document.createElementNS("http://www.w3.org/2000/svg", name));
  svg?.setAttribute("viewBox", "0 0 20 20");
  svg?.setAttribute("aria-hidden", "true");
  line?.setAttribute("d", path);
  svg?.append(/** @type {Element} */ (line));
  return /** @type {SVGElement} */ (svg);
}

/**
 * Gives a custom element its inside, in the look that all share.
 *
 * @param {HTMLElement} element
 * @param {string} rules its own
 * @param {...Node} children
 */
export function fill(element, rules, ...children) {
  const root = element.attachShadow({ mode: "open" });
  adopt(root, LOOK + rules);
  root.append(...children);
}

/**
 * Changes a text that is another one: the same words put in again would be said again.
 *
 * @param {Element} element
 * @param {string} text
 */
export function write(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/**
 * A constructed sheet passes `style-src 'self'`, where `<style>` does not.
 *
 * @param {Document | ShadowRoot} where
 * @param {string} rules
 */
export function adopt(where, rules) {
  let sheet = sheets.get(rules);
  if (!sheet) {
    sheet = new CSSStyleSheet();
    sheet.replaceSync(rules);
    sheets.set(rules, sheet);
  }
  if (!where.adoptedStyleSheets.includes(sheet)) where.adoptedStyleSheets = [...where.adoptedStyleSheets, sheet];
}

/**
 * The element of that name in the page, or a new one at its end.
 *
 * @template {HTMLElement} T
 * @param {string} name
 * @param {new () => T} Type
 * @returns {T}
 */
export function mount(name, Type) {
  if (!customElements.get(name)) customElements.define(name, Type);
  const there = document.querySelector(name);
  if (there) return /** @type {T} */ (there);
  const element = new Type();
  document.body.append(element);
  return element;
}

/**
 * What a custom element extends; outside of a browser a class that is never made, so that importing touches no window.
 */
export const Base = globalThis.HTMLElement ?? /** @type {typeof HTMLElement} */ (class {});

/** @type {Map<string, CSSStyleSheet>} */
const sheets = new Map();

/**
 * What toasts and bar look like, said once. A page changes it with the custom properties, set on `:root`. The colours
 * follow the page's `color-scheme`, so a page that has no dark side gets none.
 */
export const LOOK = /* css */ `
:host {
  --surface: var(--windlass-surface, light-dark(#fff, #20252b));
  --text: var(--windlass-text, light-dark(#1b2127, #e9edf1));
  --dim: var(--windlass-dim, light-dark(#57626d, #a7b1bb));
  --line: var(--windlass-line, light-dark(#d5dbe1, #3a424b));
  --info: var(--windlass-info, light-dark(#1f6feb, #6cb0ff));
  --success: var(--windlass-success, light-dark(#1a7f37, #5bd07d));
  --warning: var(--windlass-warning, light-dark(#9a6200, #f0b952));
  --error: var(--windlass-error, light-dark(#cf222e, #ff8a85));
  all: initial;
  position: fixed;
  z-index: var(--windlass-layer, 2147483000);
  box-sizing: border-box;
  margin: 0; padding: 0; border: 0; background: none; overflow: visible;
  color-scheme: inherit;
  color: var(--text);
  font: 400 0.9375rem/1.45 var(--windlass-font, system-ui, sans-serif);
  pointer-events: none;
}
.card {
  box-sizing: border-box;
  pointer-events: auto;
  color: var(--text);
  background: var(--surface);
  border: 1px solid var(--line);
  border-radius: var(--windlass-radius, 0.75rem);
  box-shadow: var(--windlass-shadow, 0 1px 2px #0002, 0 8px 28px #0003);
}
button {
  all: unset;
  box-sizing: border-box;
  cursor: pointer;
  border-radius: 0.5rem;
}
button:focus-visible { outline: 2px solid var(--info); outline-offset: 1px; }
button:hover { background: color-mix(in srgb, currentColor 12%, transparent); }
.action { flex: none; padding: 0.125rem 0.75rem; border: 1px solid var(--line); }
.close { flex: none; width: 1.75rem; line-height: 1.75rem; text-align: center; font-size: 1.25rem; color: var(--dim); }
.info { --accent: var(--info); }
.success { --accent: var(--success); }
.warning { --accent: var(--warning); }
.error { --accent: var(--error); }
.unseen { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
[hidden] { display: none !important; }
@keyframes come { from { opacity: 0; transform: translateY(0.5rem); } }
@media (prefers-reduced-motion: no-preference) { .card { animation: come 0.18s ease-out; } }
@media (forced-colors: active) { .card { border-color: CanvasText; } button { outline: 1px solid; } }
`;
