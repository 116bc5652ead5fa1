/**
 * What a form sends: its fields by name, each with the type that its control suggests.
 *
 * Number and range are a number, or null when empty; a checkbox is a bool; several controls of one name are a list (of
 * checkboxes, the values of the checked ones); a multiple select is a list; radios are the value chosen, or null; all
 * others are text. Controls that are disabled or have no name are left out, and so are files.
 *
 * @module
 */

/** @typedef {string | number | boolean | null | string[]} FieldValue */

/**
 * @param {HTMLFormElement} form
 * @param {HTMLElement | null} [submitter] the button that was pressed; named, it counts as a field
 * @returns {{ [name: string]: FieldValue | FieldValue[] }}
 */
export function formValues(form, submitter) {
  /** @type {Map<string, Control[]>} */
  const fields = new Map();
  for (const element of Array.from(form.elements)) {
    const control = /** @type {Control} */ (element);
    if (!control.name || control.matches(":disabled") || !isField(control, submitter)) continue;
    fields.set(control.name, [...(fields.get(control.name) ?? []), control]);
  }
  // `fromEntries` defines own members, so a field named `__proto__` is a field.
  return Object.fromEntries([...fields].map(([name, controls]) => [name, together(controls)]));
}

/**
 * @param {Control} control
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
    case "select-multiple":
      return Array.from(control.options ?? [])
        .filter((option) => option.selected)
        .map((option) => option.value);
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

/** @param {Element} element a form, or anything in one */
export function hasPassword(element) {
  return !!element.querySelector("input[type=password]");
}

/**
 * @param {Control[]} controls of one name
 * @returns {FieldValue | FieldValue[]}
 */
function together(controls) {
  const [first] = controls;
  if (first?.type === "radio") return controls.find((control) => control.checked)?.value ?? null;
  if (first && controls.length === 1) return controlValue(first);
  return controls
    .filter((control) => control.type !== "checkbox" || control.checked)
    .map((control) => (control.type === "checkbox" ? control.value : /** @type {FieldValue} */ (controlValue(control))));
}

/**
 * @param {Control} control
 * @param {HTMLElement | null | undefined} submitter
 */
function isField(control, submitter) {
  return control === submitter || !/^(submit|button|reset|image|file|fieldset|output)$/.test(control.type);
}

/**
 * What all controls have in common here.
 *
 * @typedef {HTMLElement & {
 *   name: string, type: string, value: string,
 *   checked?: boolean, options?: HTMLOptionsCollection, form?: HTMLFormElement | null, disabled?: boolean,
 * }} Control
 */
