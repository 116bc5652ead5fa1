/**
 * Parts of the client that are loaded when a page uses them. In the bundle they are files beside its own, and get what
 * they share with it handed in, so that there is one table of labels and of formats.
 *
 * @module
 */

import { cached, formats, language, numbers } from "./formats.js";
import { labels } from "./labels.js";

/**
 * What parts leave here for the others.
 *
 * @typedef {object} Parts
 * @property {(problem: import("./report.js").Problem) => string} [describe]
 * @property {import("./forms.js").Forms} [forms]
 * @property {typeof import("./model.js").Model} [Model]
 * @property {typeof import("./model.js").readModel} [readModel]
 * @property {typeof import("./ahead.js").Ahead} [Ahead]
 */

/** @type {Parts} */
export const parts = {};

const kit = { cached, formats, labels, language, later, numbers, parts };
/** @typedef {typeof kit} Kit what such a part is handed; its default export takes it */

/** Written out each, so that bundlers see them. @type {{ [name: string]: () => Promise<{ default: (kit: Kit) => unknown }> }} */
const FILES = {
  notices: () => import("./notices.js"),
  "more-formats": () => import("./more-formats.js"),
  "job-card": () => import("./job-card.js"),
  messages: () => import("./messages.js"),
  forms: () => import("./forms.js"),
  model: () => import("./model.js"),
  devtools: () => import("./devtools.js"),
};

/** @type {Map<string, Promise<unknown>>} */
const loading = new Map();

/**
 * @param {string} name
 * @returns {Promise<any>} what the part makes of the kit
 */
export function later(name) {
  let loaded = loading.get(name);
  if (!loaded) {
    loaded = load(name);
    loading.set(name, loaded);
    // Without a network now, there may be one when the next one asks.
    loaded.catch(() => {
      loading.delete(name);
      failed.set(name, (failed.get(name) ?? 0) + 1);
    });
  }
  return loaded;
}

/** How often. @type {Map<string, number>} */
const failed = new Map();

/** @param {string} name */
async function load(name) {
  const again = failed.get(name);
  // Browsers remember that an address could not be imported, and ask no second time for the same one.
  const part = await (again ? import(`${new URL(`${name}.js`, import.meta.url)}?again=${again}`) : FILES[name]?.());
  if (!part) throw new Error(`no part ${name}`);
  return part.default(kit);
}
