/**
 * The examples of docs/pages.md: what each page is, the state beside it, and what it then shows or sends.
 *
 * @module
 */

import { readFileSync } from "node:fs";

export const TEXT = readFileSync(new URL("../../../docs/pages.md", import.meta.url), "utf8");
const EXAMPLE = /```html\n([^]*?)```\nWith `(\{.*\})`(?:(?:, which .*)?:\n```html\n([^]*?)```| a `(\w+)(?: (?:(\w+)\+)?(\w+))?` on `(.*?)` sends `(.*?)`\.| a change of `(.*?)` to `(.*?)` writes `(.*?)`\.)/g;

/** `shown`, `event` or `change` is there. */
export const EXAMPLES = [...TEXT.matchAll(EXAMPLE)].map(([, html, state, shown, type, held, key, selector, sends, control, value, path]) => ({
  html,
  state: () => JSON.parse(state, (_, value) => (value === "now-180000" ? Date.now() - 180_000 : value)),
  shown,
  event: type && { type, held, key, selector, sends: JSON.parse(sends) },
  change: control && { selector: control, value, path: JSON.parse(path) },
}));

/** What a person could see of a tree: no comments, no attributes of the bindings, no blanks that do not count. Also sent into a browser. */
export function plain(root) {
  const one = (node) => {
    if (node.nodeType === 3) return node.data.replace(/\s+/g, " ");
    if (node.nodeType !== 1) return "";
    const attributes = [...node.attributes].filter(({ name }) => !name.startsWith("w-")).map(({ name, value }) => `${name}=${value.replace(/\s/g, "")}`);
    return `<${[node.localName, ...attributes.sort()].join(" ")}>${[...node.childNodes].map(one).join("")}</>`;
  };
  return [...root.childNodes].map(one).join("").replace(/\s+/g, " ").trim();
}
