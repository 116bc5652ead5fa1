/**
 * What the bindings tell the person who writes the page: a code that stays the same, the element, the attribute as it
 * is written, and what to do about it.
 *
 * Nothing here throws at a visitor: a binding that is wrong is reported when it is bound and left out, the rest works.
 * The words are in `messages.js`, which no page loads that is right.
 *
 * @module
 */

import { later, parts } from "./later.js";

/**
 * @typedef {object} Message
 * @property {MessageCode} code
 * @property {string} text what is wrong, and the fix
 * @property {Element} [element]
 * @property {string} [attribute] name and value as they stand in the page
 */

/**
 * @typedef {"expression" | "unknown_name" | "unknown_format" | "unknown_attribute" | "refused_attribute"
 *   | "refused_element" | "refused_url" | "template_only" | "one_root" | "not_a_list" | "duplicate_key" | "no_key"
 *   | "not_a_control" | "not_loaded"} MessageCode
 */

/** @typedef {(message: Message) => void} Report */

/** @typedef {{ code: MessageCode, why?: string, details: unknown[] }} Problem what is wrong, before it is put into words */

/** What is wrong with one attribute; caught where the attribute's element is known. */
export class BindError extends Error {
  /**
   * @param {MessageCode} code
   * @param {string} [why] which of the things that the code tells of
   * @param {unknown[]} details what the text speaks of
   */
  constructor(code, why, ...details) {
    super(code);
    this.code = code;
    this.why = why;
    this.details = details;
  }
}

/**
 * Reports in words: at once when they are there, else when they have come, or the code alone when they cannot.
 *
 * @param {Report} report
 * @param {Problem} problem
 * @param {Element} [element]
 * @param {string} [attribute]
 */
export function tell(report, problem, element, attribute) {
  const { code, details } = problem;
  const say = () => report({ code, text: parts.describe?.(problem) ?? `${details.join(", ")} (see docs/errors.md)`, element, attribute });
  if (parts.describe) say();
  else void later("messages").then(say, say);
}

/** @type {Report} */
export function toConsole({ code, text, element, attribute }) {
  console.error(`windlass[${code}] ${attribute ?? ""}: ${text}`, element ?? "");
}
