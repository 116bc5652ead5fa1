/**
 * Parts of the client that are loaded when a page uses them: they lie beside its own file, and get what they need of it
 * handed in, so that there is one table of labels and of formats.
 *
 * @module
 */

import * as dom from "./dom.js";
import { cached, formats, language, numbers } from "./formats.js";
import { labels } from "./labels.js";

/**
 * What parts leave behind for the bundle.
 *
 * @type {{ describe?: (problem: import("./report.js").Problem) => string }}
 */
export const parts = {};

const kit = { ...dom, cached, formats, labels, language, numbers, parts };
/** @typedef {typeof kit} Kit what such a part is handed; its default export takes it */

/** Written out each, so that bundlers take the files along. @type {{ [name: string]: () => URL }} */
const FILES = {
  "more-formats": () => new URL("./more-formats.js", import.meta.url),
  messages: () => new URL("./messages.js", import.meta.url),
  "job-card": () => new URL("./job-card.js", import.meta.url),
};

/** @type {Map<string, Promise<void>>} */
const loading = new Map();

/**
 * @param {string} name
 * @returns {Promise<void>}
 */
export function later(name) {
  let loaded = loading.get(name);
  if (!loaded) {
    loaded = import(String(FILES[name]?.())).then((part) => part.default(kit));
    loading.set(name, loaded);
    // Without a network now, there may be one when the next one asks.
    loaded.catch(() => loading.delete(name));
  }
  return loaded;
}
