/**
 * The page of controls as a test uses it.
 * @module
 */

import { expectText } from './harness.js'

/** @import { Page } from 'playwright-core' */

/**
 * Waits until the page is there and connected, with what it loads after its first values.
 * @param {Page} page
 */
export async function live(page) {
  await expectText(page, '#connection', 'live')
  await page.locator('windlass-bar').waitFor({ state: 'attached' })
}

/**
 * What the page has of the state.
 * @param {Page} page
 */
export async function state(page) {
  return page.evaluate(async () => {
    const client = new URL('windlass/windlass.js', location.href).href
    return (await import(client)).app.document
  })
}

/**
 * Waits until the state has that value there.
 * @param {Page} page
 * @param {string} field
 * @param {unknown} value
 */
export async function has(page, field, value) {
  await page.waitForFunction(async ({ field, json }) => {
    const client = new URL('windlass/windlass.js', location.href).href
    return JSON.stringify((await import(client)).app.document[field]) === json
  }, { field, json: JSON.stringify(value) }).catch(async (error) => {
    throw new Error(`${field} is ${JSON.stringify((await state(page))[field])} and not ${JSON.stringify(value)}`, { cause: error })
  })
}

/**
 * Where the caret is, and what has the focus.
 * @param {Page} page
 */
export async function caret(page) {
  return page.evaluate(() => {
    const { id, value, selectionStart, selectionEnd } = /** @type {HTMLInputElement} */ (document.activeElement)
    return { id, value, at: [selectionStart, selectionEnd] }
  })
}

/**
 * Puts the focus and the selection there.
 * @param {Page} page
 * @param {string} selector
 * @param {number} from
 * @param {number} to
 */
export async function selection(page, selector, from, to) {
  await page.locator(selector).evaluate((control, [from, to]) => {
    const field = /** @type {HTMLInputElement} */ (control)
    field.focus()
    field.setSelectionRange(from, to)
  }, /** @type {[number, number]} */ ([from, to]))
}
