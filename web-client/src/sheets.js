/**
 * Style sheets made by script, which a content security policy of `style-src 'self'` lets pass where `<style>` is not.
 *
 * @module
 */

/** @type {Map<string, CSSStyleSheet>} */
const sheets = new Map();

/**
 * @param {Document | ShadowRoot} where
 * @param {string} rules
 */
export function adopt(where, rules) {
  let sheet = sheets.get(rules);
  if (!sheet) {
    sheet = new CSSStyleSheet();
    sheet.replaceSync(rules);
    sheets.set(rules, sheet);
  }
  if (!where.adoptedStyleSheets.includes(sheet)) where.adoptedStyleSheets = [...where.adoptedStyleSheets, sheet];
}
