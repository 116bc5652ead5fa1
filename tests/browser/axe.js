/**
 * What axe-core finds on a page.
 * @module
 */

import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'

import { inject } from './harness.js'

/** @import { Page } from 'playwright-core' */

const AXE = await readFile(new URL('node_modules/axe-core/axe.min.js', import.meta.url), 'utf8')

/**
 * What a part of a page has to keep. That a whole page has a heading and landmarks is not its to say, and how large a
 * button is without a style is the browser's (WCAG 2.2, target size).
 */
export const PART = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa']

/**
 * Nothing, light and dark.
 * @param {Page} page
 * @param {'reduce' | 'no-preference'} [reducedMotion]
 * @param {string[]} [tags] of the rules; all there are unless told
 */
export async function clean(page, reducedMotion = 'reduce', tags) {
  await inject(page, AXE)
  for (const colorScheme of /** @type {const} */ (['light', 'dark'])) {
    await page.emulateMedia({ colorScheme, reducedMotion })
    const found = await page.evaluate(async (tags) => {
      const { axe } = /** @type {any} */ (window)
      const { violations } = await axe.run(document, { resultTypes: ['violations'], ...(tags && { runOnly: tags }) })
      return violations.flatMap((/** @type {any} */ { id, nodes }) =>
        nodes.map((/** @type {any} */ { target, failureSummary }) => `${id}: ${target} ${failureSummary}`))
    }, tags ?? null)
    assert.deepEqual(found, [], colorScheme)
  }
}
