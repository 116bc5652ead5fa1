/**
 * What the server and the connection have to say to a person: toasts, the bar, and addresses that the app leads to.
 *
 * Loaded by a page of `auto.js` right after it is bound, so that none of this stands in the way of its first values.
 *
 * @module
 */

import { bar } from "./bar.js";
import { Base, fill, h, mount, write } from "./dom.js";
import { Toasts } from "./toasts.js";
import { speakWith, words } from "./words.js";

/** @typedef {import("./actions.js").Refusal} Refusal */
/** @typedef {import("./bar.js").Connected} Connected */
/** @typedef {ReturnType<typeof notices>} Notices */

/**
 * Also what other parts draw with, so that there is one look.
 *
 * @param {Pick<import("./later.js").Kit, "labels">} kit
 */
export default function notices({ labels }) {
  speakWith(labels);
  return { Base, fill, h, show, write };
}

/**
 * @param {Connected} app
 * @param {(url: string) => void} refuse hears of an address that is not followed
 * @returns {(event: Event) => void} shows what is told: by the session, and by `w-refused`
 */
function show(app, refuse) {
  const stack = mount("windlass-toasts", Toasts);
  const line = bar(app);
  return (event) => {
    const { type, detail, defaultPrevented } = /** @type {CustomEvent} */ (event);
    if (type === "w-refused") {
      const { code, text, action, shown } = /** @type {Refusal} */ (detail);
      // Whoever shows it beside the control prevents the default; what ended with its session the bar has told.
      if (!defaultPrevented && !shown && !TOLD.has(code)) stack.show({ level: "error", text, id: `refused ${action}` });
    } else if (type === "navigate" || type === "download") {
      const { href } = h("a", { href: detail.url });
      // A server that was talked into sending a stranger's address does not lead people there. As text: the origin of a
      // `blob:` is its maker's, and that of a `javascript:` is "null" as that of a frame in a sandbox.
      if (!href.startsWith(`${location.origin}/`)) refuse(detail.url);
      else if (type === "navigate") location.assign(href);
      else h("a", { href, download: detail.name ?? "" }).click();
    } else {
      stack.tell(type, detail);
      line.tell(type, detail);
    }
  };
}

const TOLD = new Set(["session_gone", "outcome_unknown", "closed", "taken_over"]);
