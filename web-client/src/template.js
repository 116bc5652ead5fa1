/**
 * Reads the `w-` attributes of an element tree, once, into a list of parts: which node, what to show there, on what it
 * depends.
 *
 * The tree is the page itself or the content of a `<template>`, which is then cloned for each row. A nested template
 * becomes a comment that marks the place. What must not be set from data is refused here, so that no row ever checks.
 *
 * @module
 */

import { parse, parseBusy, parseEach, parseHandler } from "./expression.js";
import { isControl } from "./forms.js";
import { later, parts } from "./later.js";
import { BindError, tell } from "./report.js";

/** @typedef {import("./expression.js").Dependency} Dependency */
/** @typedef {import("./expression.js").Expression} Expression */
/** @typedef {import("./expression.js").Step} Step */
/** @typedef {import("./report.js").Report} Report */
/** @typedef {(node: Node, value: unknown, name: string, previous: unknown) => void} Write */

/**
 * What something depends on, sorted once for all rows.
 *
 * @typedef {object} Reach
 * @property {Expression} expression
 * @property {boolean} inside reads the row whose template this is
 * @property {Dependency[]} outside all else: outer rows, the document, `$local`, `$connection`, `$location`
 * @property {boolean} late needs the document
 */

/**
 * A value shown at a node.
 *
 * @typedef {object} ShowOnly
 * @property {"show"} kind
 * @property {number[]} path child indexes from the tree's root to the node
 * @property {Write} write
 * @property {string} name of the class, style, attribute or property
 */
/** @typedef {ShowOnly & Reach} ShowPart */

/**
 * `<template w-each>` or `<template w-if>`, which stands as a comment.
 *
 * @typedef {object} BlockOnly
 * @property {"each" | "if"} kind
 * @property {number[]} path
 * @property {Template} template
 * @property {Expression | null} key
 * @property {Element} source the template as it was written, put back on release
 * @property {(code: import("./report.js").MessageCode, detail: unknown) => void} report
 */
/** @typedef {BlockOnly & Reach} BlockPart */

/**
 * An element with `w-on`.
 *
 * @typedef {object} ActionPart
 * @property {"on"} kind
 * @property {number[]} path
 * @property {Handler[]} handlers
 * @property {Expression | null} whole `w-arg`
 * @property {[name: string, Expression][]} named `w-arg:name`
 * @property {string | null} confirm
 * @property {boolean} disable
 * @property {boolean} reset
 * @property {boolean} secret
 * @property {boolean} forms sends what is filled in, empties or disables it
 */

/**
 * @typedef {{ type: string, modifiers: Set<string>, throttle_ms: number, steps: Step[] }} Handler
 */

/**
 * A control that a field of the state follows, and that follows the field.
 *
 * @typedef {object} UnreadOnly
 * @property {"model"} kind
 * @property {number[]} path
 * @property {Element} element
 * @property {string} attribute `w-model`, and how
 * @property {string} name what the attribute says
 * @property {readonly ListAround[]} lists those around it, outermost first
 */
/** @typedef {UnreadOnly & Reach} UnreadModel */

/**
 * What `readModel` makes of it.
 *
 * @typedef {object} ReadOnly
 * @property {Dependency} address what is written to; missing as long as it is not read, and when it is wrong
 * @property {RowPlace[]} rows the rows around it, outermost first
 * @property {boolean} lazy writes when the person is through with it
 * @property {number} debounce_ms writes after so long a pause in the typing; 0 for at once
 */
/** @typedef {UnreadModel & ReadOnly} ModelPart */

/** @typedef {{ list: Expression, key: Expression | null }} ListAround */

/**
 * How a row is found again: its list, and the field that tells it from the others.
 *
 * @typedef {{ list: Dependency, key: string }} RowPlace
 */

/** @typedef {ShowPart | BlockPart | ActionPart | ModelPart} Part */

/**
 * @typedef {object} Template
 * @property {Element} root
 * @property {Part[]} parts in document order
 * @property {boolean} indexed something in it says `$index`
 */

/** @typedef {{ key: string, element: Element, attribute: string }} RootName */

/**
 * What a tree needs beside itself.
 *
 * @typedef {object} Found
 * @property {RootName[]} names the members of the document that are named
 * @property {(() => void)[]} models each reads a `w-model` when that can be done
 * @property {Set<string>} later the parts of the client that are loaded when they are used
 */

/**
 * @param {Element} root
 * @param {readonly string[]} names the rows around it, outermost first
 * @param {Report} report
 * @param {Found} found
 * @param {boolean} [isRow] the innermost of the names is the tree's own
 * @param {readonly ListAround[]} [lists] around it, outermost first
 * @returns {Template}
 */
export function compile(root, names, report, found, isRow = false, lists = []) {
  /** @type {Template} */
  const template = { root, parts: [], indexed: false };
  new Compiler(template, names, report, found, isRow, lists).element(root, []);
  return template;
}

class Compiler {
  /**
   * @param {Template} template
   * @param {readonly string[]} names
   * @param {Report} report
   * @param {Found} found
   * @param {boolean} isRow
   * @param {readonly ListAround[]} lists
   */
  constructor(template, names, report, found, isRow, lists) {
    this.template = template;
    this.names = names;
    this.report = report;
    this.found = found;
    this.isRow = isRow;
    this.lists = lists;
  }

  /**
   * @param {Element} element
   * @param {number[]} path
   */
  element(element, path) {
    if (element.hasAttribute("w-ignore")) return;
    if (element.localName === "windlass-job") this.found.later.add("job-card").add("more-formats");
    /** @type {ActionPart} */
    const on = {
      kind: "on",
      path,
      handlers: [],
      whole: null,
      named: [],
      confirm: element.getAttribute("w-confirm"),
      disable: element.hasAttribute("w-disable"),
      reset: element.hasAttribute("w-reset"),
      secret: element.hasAttribute("w-secret"),
      forms: element.localName === "form" || isControl(element) || ["w-reset", "w-disable"].some((name) => element.hasAttribute(name)),
    };
    let filled = false;
    for (const { name, value } of [...element.attributes]) {
      if (!name.startsWith("w-")) continue;
      this.try(element, name, value, () => {
        const [, word = "", argument = ""] = /^w-([^:]*):?(.*)$/s.exec(name) ?? [];
        refuseElement(element, word);
        if (word === "each" || word === "if") {
          if (element.localName !== "template") {
            throw new BindError("template_only", undefined, word);
          }
        } else if (word === "on") {
          const [type = "", ...modifiers] = argument.split(".");
          const steps = parseHandler(value, this.names);
          for (const step of steps) if ("local" in step) this.uses(step.expression, element, name);
          on.handlers.push({ type, ...parseModifiers(modifiers), steps });
        } else if (word === "arg") {
          const expression = this.expression(value, element, name);
          if (argument) on.named.push([argument, expression]);
          else on.whole = expression;
        } else if (Object.hasOwn(SHOWN, word)) {
          const shown = /** @type {Shown} */ (SHOWN[word]);
          if (shown.named === !argument) {
            throw new BindError("unknown_attribute", shown.named ? "named" : "alone", word);
          }
          shown.check?.(argument);
          const expression = this.expression(value, element, name);
          if (word === "text") {
            filled = true;
            const [first] = element.childNodes;
            // What stands there stays until there is something to show.
            if (first?.nodeType !== TEXT_NODE || first.nextSibling) element.replaceChildren("");
            if (!element.firstChild) element.append(element.ownerDocument.createTextNode(""));
          }
          this.template.parts.push({
            kind: "show",
            path: word === "text" ? [...path, 0] : path,
            ...this.reach(expression),
            write: shown.write,
            name: shown.camel ? camel(argument) : argument,
          });
        } else if (word === "busy" && !argument) {
          const expression = this.uses(parseBusy(value, this.names), element, name);
          this.template.parts.push({ kind: "show", path, ...this.reach(expression), write: writeAttribute, name: "aria-busy" });
        } else if (word === "model" || word.startsWith("model.")) {
          this.template.parts.push(this.model(element, path, value, name));
        } else if (word === "error" && value) {
          // There before what it says, so that it is read out.
          if (!element.hasAttribute("role")) element.setAttribute("role", "alert");
          later("forms").catch(() => {});
        } else if (!PLAIN.has(word)) {
          throw new BindError("unknown_attribute", "word", word);
        }
      });
    }
    if (on.handlers.length) {
      this.template.parts.push(on);
      if (on.forms && !parts.forms) this.found.later.add("forms");
    }
    if (filled) return;
    [...element.childNodes].forEach((child, at) => {
      if (!isElement(child)) return;
      if (child.localName === "template") this.block(child, [...path, at]);
      else this.element(child, [...path, at]);
    });
  }

  /**
   * What is right for a `w-model` is known to the part of the client that has them: now, or when it is there.
   *
   * @param {Element} element
   * @param {number[]} path
   * @param {string} value
   * @param {string} name
   * @returns {ModelPart}
   */
  model(element, path, value, name) {
    const expression = this.expression(value, element, name);
    const unread = { kind: "model", path, ...this.reach(expression), element, attribute: name, name: value.trim(), lists: this.lists };
    const part = /** @type {ModelPart} */ (/** @type {UnreadModel} */ (unread));
    if (parts.readModel) parts.readModel(part);
    else {
      this.found.later.add("model");
      this.found.models.push(() => this.try(element, name, value, () => parts.readModel?.(part)));
    }
    return part;
  }

  /**
   * @param {Element} element
   * @param {number[]} path
   */
  block(element, path) {
    const kind = element.hasAttribute("w-each") ? "each" : element.hasAttribute("w-if") ? "if" : null;
    if (!kind || element.hasAttribute("w-ignore")) return;
    const name = `w-${kind}`;
    const value = element.getAttribute(name) ?? "";
    this.try(element, name, value, () => {
      const content = /** @type {HTMLTemplateElement} */ (element).content;
      // In SVG a template is an element like others, without content.
      const root = content?.firstElementChild?.cloneNode(true);
      if (!root || !isElement(root) || content.childElementCount !== 1 || root.localName === "template") {
        throw new BindError("one_root");
      }
      const { name: row, list } = kind === "each" ? parseEach(value, this.names) : { name: null, list: parse(value, this.names) };
      this.uses(list, element, name);
      const names = row ? [...this.names, row] : this.names;
      const key = element.getAttribute("w-key");
      const by = row && key !== null ? parse(key, names) : null;
      const lists = row ? [...this.lists, { list, key: by }] : this.lists;
      const template = compile(root, names, this.report, this.found, row !== null, lists);
      this.template.parts.push({
        kind,
        path,
        ...this.reach(list),
        template,
        key: by,
        source: element,
        report: (code, detail) => tell(this.report, { code, details: [detail] }, element, `${name}="${value}"`),
      });
      // `$index` inside a w-if speaks of the row that the w-if is in.
      if (kind === "if") this.template.indexed ||= template.indexed;
      element.replaceWith(element.ownerDocument.createComment(` ${value} `));
    });
  }

  /**
   * @param {string} value
   * @param {Element} element
   * @param {string} name
   */
  expression(value, element, name) {
    const expression = parse(value, this.names);
    this.uses(expression, element, name);
    return expression;
  }

  /**
   * Notes what an expression needs of its surroundings.
   *
   * @param {Expression} expression
   * @param {Element} element
   * @param {string} name
   * @returns {Expression}
   */
  uses(expression, element, name) {
    if (expression.later) this.found.later.add("more-formats");
    for (const { base, hops, path } of expression.uses) {
      this.template.indexed ||= base === "index";
      const [key] = path;
      if (base === "value" && hops === this.names.length && key) {
        this.found.names.push({ key, element, attribute: `${name}="${element.getAttribute(name)}"` });
      }
    }
    return expression;
  }

  /**
   * @param {Expression} expression
   * @returns {Reach}
   */
  reach(expression) {
    const { uses } = expression;
    /** @param {Dependency} use */
    const isInside = ({ base, hops }) => this.isRow && hops === 0 && (base === "value" || base === "index");
    return {
      expression,
      inside: uses.some(isInside),
      outside: uses.filter((use) => use.base !== "event" && !isInside(use)),
      late: !!expression.later || uses.some(({ base, hops }) => base === "value" && hops === this.names.length),
    };
  }

  /**
   * @param {Element} element
   * @param {string} name
   * @param {string} value
   * @param {() => void} read
   */
  try(element, name, value, read) {
    try {
      read();
    } catch (error) {
      // A part of the client has a class of its own for them.
      if (!(error instanceof Error && "details" in error)) throw error;
      tell(this.report, /** @type {BindError} */ (error), element, `${name}="${value}"`);
    }
  }
}

/**
 * @param {Node} node
 * @returns {node is Element}
 */
export function isElement(node) {
  return node.nodeType === ELEMENT_NODE;
}

/** @param {string[]} modifiers */
function parseModifiers(modifiers) {
  let throttle_ms = 0;
  /** @type {Set<string>} */
  const known = new Set();
  for (const modifier of modifiers) {
    if (known.has("throttle") && /^\d+$/.test(modifier)) throttle_ms = Number(modifier);
    else if (MODIFIERS.includes(modifier)) known.add(modifier);
    else throw new BindError("unknown_attribute", "modifier", modifier, MODIFIERS);
    if (modifier === "throttle") throttle_ms = THROTTLE_MS;
  }
  return { modifiers: known, throttle_ms };
}

/**
 * `read-only` → `readOnly`; HTML knows no capitals in the names of attributes.
 *
 * @param {string} name
 */
function camel(name) {
  return name.replace(/-(.)/g, (_, letter) => letter.toUpperCase());
}

/**
 * @param {Element} element
 * @param {string} word
 */
function refuseElement(element, word) {
  const name = element.localName;
  if (!REFUSED_ELEMENTS.has(name) || PLAIN.has(word)) return;
  // A frame without an address is an empty page; one that would be given its address from data is none.
  if (name === "iframe" && !element.hasAttribute("src") && word !== "attr" && word !== "prop") return;
  throw new BindError("refused_element", undefined, name);
}

/** @param {string} name */
function refuseName(name) {
  const plain = name.replaceAll("-", "").toLowerCase();
  if (/^on|^(srcdoc|style|innerhtml|outerhtml|__proto__|constructor|prototype)$/.test(plain)) {
    throw new BindError("refused_attribute", undefined, name);
  }
}

/** @type {Write} */
function writeText(node, value, _name, previous) {
  const text = /** @type {Text} */ (node);
  // A growing text costs what was added, not what is there.
  if (typeof value === "string" && typeof previous === "string" && previous && value.startsWith(previous)) {
    text.appendData(value.slice(previous.length));
  } else {
    text.data = asText(value);
  }
}

/** @param {unknown} value */
function asText(value) {
  if (value == null) return "";
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}

/** @type {Write} */
function writeClass(node, value, name, previous) {
  const element = /** @type {Element} */ (node);
  // Most rows have no class at all, and even to ask for `classList` makes an object that lives with the element.
  if (value || previous || element.className) element.classList.toggle(name, !!value);
}

/** @type {Write} */
function writeAttribute(node, value, name) {
  const element = /** @type {Element} */ (node);
  if (typeof value === "boolean") value = /^(aria-|draggable|spellcheck)/.test(name) ? String(value) : value ? "" : null;
  if (value == null || !isSafe(name, value)) element.removeAttribute(name);
  else element.setAttribute(name, asText(value));
}

/** @type {Write} */
function writeProperty(node, value, name) {
  const target = /** @type {{ [name: string]: unknown }} */ (/** @type {unknown} */ (node));
  const next = isSafe(name.toLowerCase(), value) ? value ?? null : "";
  // Writing even the same text into a control moves its caret.
  if (target[name] !== next) target[name] = next;
}

/**
 * @param {string} name
 * @param {unknown} value
 */
function isSafe(name, value) {
  if (!URL_NAMES.has(name) || value == null) return true;
  // Browsers drop control characters and blanks at the front, and tabs and line ends anywhere.
  const [, scheme] = /^([a-z][a-z0-9+.-]*):/i.exec(String(value).replace(/[\0-\x20]/g, "")) ?? [];
  return !scheme || /^(https?|mailto|tel|blob)$/i.test(scheme);
}

/**
 * @typedef {object} Shown
 * @property {Write} write
 * @property {boolean} named takes `:name`
 * @property {boolean} [camel]
 * @property {(name: string) => void} [check]
 */

/** @type {{ [word: string]: Shown }} */
const SHOWN = {
  text: { write: writeText, named: false },
  show: {
    write: (node, value) => /** @type {Element} */ (node).toggleAttribute("hidden", !value),
    named: false,
  },
  class: { write: writeClass, named: true },
  style: {
    write: (node, value, name) =>
      /** @type {HTMLElement} */ (node).style.setProperty(name, value === false ? "" : asText(value)),
    named: true,
  },
  attr: { write: writeAttribute, named: true, check: refuseName },
  prop: { write: writeProperty, named: true, camel: true, check: refuseName },
};

const ELEMENT_NODE = 1;
const TEXT_NODE = 3;

/** Those that are read where they belong, or mean something to CSS only. */
const PLAIN = new Set(["key", "confirm", "disable", "reset", "secret", "cloak", "state"]);

/** What a key is called in an attribute, which knows no capitals. @type {{ [modifier: string]: string }} */
export const KEYS = {
  enter: "Enter", esc: "Escape", tab: "Tab", space: " ", delete: "Delete", backspace: "Backspace", home: "Home", end: "End",
  up: "ArrowUp", down: "ArrowDown", left: "ArrowLeft", right: "ArrowRight",
};
/** Keys that are held while another thing happens. */
export const HELD = /** @type {const} */ (["ctrl", "alt", "shift", "meta"]);
const MODIFIERS = ["prevent", "stop", "self", "once", "throttle", ...Object.keys(KEYS), ...HELD];
// Below what two deliberate clicks are apart, above a double click by mistake.
const THROTTLE_MS = 300;
const REFUSED_ELEMENTS = new Set(["script", "base", "iframe", "object", "embed", "meta", "animate", "set"]);
const URL_NAMES = new Set(["href", "src", "action", "formaction", "poster", "cite", "background", "data", "ping", "xlink:href"]);
