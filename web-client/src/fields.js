/**
 * What a person has filled in at the moment of an event, which is read when `forms.js` is there; and how it is emptied at
 * once all the same, so that whoever types on does so into an empty field.
 *
 * @module
 */

import { isFilledIn } from "./forms.js";

/**
 * What all controls have in common here.
 *
 * @typedef {HTMLElement & {
 *   name: string, type: string, value: string,
 *   checked?: boolean, options?: HTMLOptionsCollection, form?: HTMLFormElement | null, disabled?: boolean,
 *   defaultValue?: string, files?: FileList | null,
 * }} Control
 */

/**
 * A control as it was.
 *
 * @typedef {object} Field
 * @property {Control} control
 * @property {string} name
 * @property {string} type
 * @property {string} value
 * @property {boolean | undefined} checked
 * @property {boolean} disabled itself, or all that is around it
 * @property {File[]} files
 * @property {{ value: string, selected: boolean }[]} options
 */

/**
 * @param {Element} element
 * @param {boolean} whole of the form that it is or is in, when there is one
 * @returns {Field[]}
 */
export function fieldsOf(element, whole) {
  return Array.from((whole && formOf(element)?.elements) || [element], fieldOf);
}

/**
 * @param {Element} element
 * @returns {Field}
 */
function fieldOf(element) {
  const control = /** @type {Control} */ (element);
  const { name, type, value, checked, files, options } = control;
  return {
    control, name, type, value, checked,
    disabled: control.matches(":disabled"),
    files: Array.from(files ?? []),
    options: Array.from(options ?? [], ({ value, selected }) => ({ value, selected })),
  };
}

/**
 * Empties the form of an element, or a control that is in none.
 *
 * @param {Element} element
 * @param {Field[]} before what is in it
 * @returns {() => void} puts that back, where nobody has put in anything since
 */
export function empty(element, before) {
  const form = formOf(element);
  if (form) form.reset();
  else if (isFilledIn(element)) element.value = element.defaultValue ?? "";
  const emptied = before.map(stateOf);
  return () =>
    before.forEach((field, at) => {
      const { control, type, value, checked, options } = field;
      // To files no script can put back what was there.
      if (type === "file" || stateOf(field) !== emptied[at]) return;
      if (control.options) Array.from(control.options).forEach((option, n) => (option.selected = !!options[n]?.selected));
      else if (control.value !== value) control.value = value;
      control.checked = !!checked;
    });
}

/** @param {Field} field as its control is now */
function stateOf({ control }) {
  const { value, checked, options } = fieldOf(control);
  return JSON.stringify([value, checked, options]);
}

/** @param {Element} element */
function formOf(element) {
  return /** @type {HTMLFormElement | null} */ (element.closest("form"));
}
