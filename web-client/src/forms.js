/**
 * What a form sends: its fields by name, each with the type that its control suggests.
 *
 * Number and range are a number, or null when empty; a checkbox is a bool; several controls of one name are a list (of
 * checkboxes, the values of the checked ones); a multiple select is a list; radios are the value chosen, or null; of
 * files their names, sizes and types are told, in a list; all others are text. Controls that are disabled or have no name
 * are left out.
 *
 * @module
 */

/** Loaded by pages where a form or a control sends something, or that say what is beside what was refused. @param {import("./later.js").Kit} kit */
export default function install({ parts }) {
  parts.forms = forms;
}

/** @typedef {import("./fields.js").Control} Control */
/** @typedef {import("./fields.js").Field} Field */
/** @typedef {{ name: string, size: number, type: string }} FileValue what an app learns of a file before it has it */
/** @typedef {string | number | boolean | null | string[] | FileValue[]} FieldValue */

/**
 * @param {Field[]} fields of a form
 * @param {HTMLElement | null} [submitter] the button that was pressed; named, it counts as a field
 * @returns {{ [name: string]: FieldValue | FieldValue[] }}
 */
export function formValues(fields, submitter) {
  /** @type {Map<string, Field[]>} */
  const named = new Map();
  for (const field of fields) {
    const { name, type, disabled, control } = field;
    if (!name || disabled || (control !== submitter && BUTTON.test(type))) continue;
    named.set(name, [...(named.get(name) ?? []), field]);
  }
  // `fromEntries` defines own members, so a field named `__proto__` is a field.
  return Object.fromEntries([...named].map(([name, fields]) => [name, together(fields)]));
}

/**
 * @param {Field | Control} control
 * @returns {FieldValue}
 */
export function controlValue(control) {
  switch (control.type) {
    case "number":
    case "range": {
      const number = control.value === "" ? NaN : Number(control.value);
      return Number.isNaN(number) ? null : number;
    }
    case "checkbox":
      return !!control.checked;
    case "radio":
      return control.checked ? control.value : null;
    case "file":
      return Array.from(control.files ?? [], ({ name, size, type }) => ({ name, size, type }));
    case "select-multiple":
      return Array.from(control.options ?? [])
        .filter(({ selected }) => selected)
        .map(({ value }) => value);
    default:
      return control.value;
  }
}

/**
 * @param {Element} element
 * @returns {element is Element & Control}
 */
export function isControl(element) {
  return /^(input|select|textarea)$/.test(element.localName);
}

/**
 * A control that a person fills in, and no button.
 *
 * @param {Element} element
 * @returns {element is Element & Control}
 */
export function isFilledIn(element) {
  return isControl(element) && !BUTTON.test(/** @type {Control} */ (element).type);
}

/**
 * The files that were chosen, by the names of the fields; null when there are none.
 *
 * @param {Field[]} fields
 * @returns {{ [name: string]: File[] } | null}
 */
export function filesOf(fields) {
  const chosen = fields.filter(({ files }) => files.length);
  return chosen.length ? Object.fromEntries(chosen.map(({ name, files }) => [name, files])) : null;
}

/**
 * Disables an element, or a form's buttons.
 *
 * @param {Element} element
 * @returns {() => void} undoes it
 */
function disable(element) {
  const within = element.localName === "form" ? element.querySelectorAll("button, input[type=submit]") : [element];
  const disabled = /** @type {HTMLButtonElement[]} */ (Array.from(within)).filter((control) => !control.disabled);
  const document = element.ownerDocument;
  const focused = document.activeElement;
  for (const control of disabled) control.disabled = true;
  return () => {
    for (const control of disabled) control.disabled = false;
    // A disabled control loses the focus; a person on a keyboard would start at the top of the page again.
    const lost = document.activeElement === null || document.activeElement === document.body;
    if (lost && disabled.some((control) => control === focused)) /** @type {HTMLElement} */ (focused).focus();
  };
}

/**
 * The nearest `w-error` for this name: in the element, or beside it or one around it.
 *
 * @param {Element} element
 * @param {Element} root
 * @param {string} name of the action, or the field as its `w-model` says it
 */
function placeOf(element, root, name) {
  for (let at = /** @type {Element | null} */ (element); at; at = at === root ? null : at.parentElement) {
    const places = Array.from(at.querySelectorAll("[w-error]"));
    const place = places.find((place) => place.getAttribute("w-error")?.trim() === name);
    if (place) return place;
  }
  return null;
}

/**
 * Says beside an element why it was refused.
 *
 * @param {Element} element
 * @param {Element} root
 * @param {string} name
 * @param {string} text
 * @returns {boolean} whether there is a place for it
 */
function explain(element, root, name, text) {
  const place = placeOf(element, root, name);
  if (!place) return false;
  place.textContent = text;
  place.id ||= `w-error-${++places}`;
  element.setAttribute("aria-describedby", place.id);
  return true;
}

/** How many places of errors were given an id. */
let places = 0;

/** @param {Element} element a form, or anything in one */
export function hasPassword(element) {
  return !!element.querySelector("input[type=password]");
}

/**
 * @param {Field[]} fields of one name
 * @returns {FieldValue | FieldValue[]}
 */
function together(fields) {
  const [first] = fields;
  if (first?.type === "radio") return fields.find(({ checked }) => checked)?.value ?? null;
  if (first && fields.length === 1) return controlValue(first);
  return fields
    .filter(({ type, checked }) => type !== "checkbox" || checked)
    .map((field) => (field.type === "checkbox" ? field.value : /** @type {FieldValue} */ (controlValue(field))));
}

const forms = { formValues, controlValue, isFilledIn, filesOf, hasPassword, disable, placeOf, explain };
/** @typedef {typeof forms} Forms */

const BUTTON = /^(submit|button|reset|image|fieldset|output)$/;
