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
 * Nothing, light and dark.
 * @param {Page} page
 * @param {'reduce' | 'no-preference'} [reducedMotion]
 */
export async function clean(page, reducedMotion = 'reduce') {
  await inject(page, AXE)
  for (const colorScheme of /** @type {const} */ (['light', 'dark'])) {
    await page.emulateMedia({ colorScheme, reducedMotion })
    const found = await page.evaluate(async () => {
      const { axe } = /** @type {any} */ (window)
      const { violations } = await axe.run(document, { resultTypes: ['violations'] })
      return violations.flatMap((/** @type {any} */ { id, nodes }) =>
        nodes.map((/** @type {any} */ { target, failureSummary }) => `${id}: ${target} ${failureSummary}`))
    })
    assert.deepEqual(found, [], colorScheme)
  }
}
