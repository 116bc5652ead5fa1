/**
 * Devtools as a test uses them, in one place.
 * @module
 */

import { at } from './demo.js'

/** @import { Page } from 'playwright-core' */

export const KEY = 'Alt+Shift+KeyW'
export const BY_ADDRESS = '/?windlass=devtools'

/** @param {Page} page */
export const panel = (page) => at(page, 'windlass-devtools')

/**
 * @param {Page} page
 * @param {string} name
 */
export const button = (page, name) => panel(page).getByRole('button', { name, exact: true })

/**
 * @param {Page} page
 * @param {'State' | 'Timeline' | 'Network' | 'Recording'} name
 */
export const tab = (page, name) => panel(page).getByRole('tab', { name }).click()

/**
 * A line of the list that can be seen.
 * @param {Page} page
 * @param {string | RegExp} text
 * @param {string} [more] a selector
 */
export const row = (page, text, more = '') => panel(page).locator(`.body:not([hidden]) .row${more}`).filter({ hasText: text }).first()

/** @param {Page} page */
export async function openByKey(page) {
  await page.keyboard.press(KEY)
  await panel(page).waitFor({ state: 'attached' })
}
