/**
 * What other scripts add to the bound tree, and take out of it.
 *
 * Watches the tree except while the bindings themselves change it, so that ten thousand rows of a list cost nothing
 * here. What was moved, or was grown from a template, is no news.
 *
 * @module
 */

import { isElement } from "./template.js";
import { GROWN } from "./view.js";

export class Strangers {
  #observer = new MutationObserver((records) => this.#see(records));

  /**
   * @param {Element} root
   * @param {(element: Element) => void} added
   * @param {(element: Element) => void} removed
   */
  constructor(root, added, removed) {
    this.root = root;
    this.added = added;
    this.removed = removed;
    this.#watch();
  }

  /**
   * Runs a change of the bindings' own.
   *
   * @param {() => void} change
   */
  aside(change) {
    const before = this.#observer.takeRecords();
    this.#observer.disconnect();
    try {
      change();
    } finally {
      this.#watch();
    }
    this.#see(before);
  }

  release() {
    this.#observer.disconnect();
  }

  #watch() {
    this.#observer.observe(this.root, { childList: true, subtree: true });
  }

  /** @param {MutationRecord[]} records */
  #see(records) {
    if (!records.length) return;
    const gone = elements(records, "removedNodes");
    const come = elements(records, "addedNodes");
    for (const element of gone) if (!this.root.contains(element)) this.removed(element);
    for (const element of come) {
      const { parentElement } = element;
      if (gone.has(element) || !parentElement || !this.root.contains(element)) continue;
      if (GROWN in element || parentElement.closest("[w-ignore]")) continue;
      // Its parent may have come with it, and then is bound with all that is in it.
      let outside = true;
      for (let at = /** @type {Element | null} */ (parentElement); at && at !== this.root; at = at.parentElement) {
        outside &&= !come.has(at);
      }
      if (outside) this.added(element);
    }
  }
}

/**
 * @param {MutationRecord[]} records
 * @param {"addedNodes" | "removedNodes"} which
 */
function elements(records, which) {
  return new Set(records.flatMap((record) => Array.from(record[which]).filter(isElement)));
}
