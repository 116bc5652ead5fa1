/**
 * The demo without a mouse, and for those who hear it.
 * @module
 */

import assert from 'node:assert/strict'
import { after } from 'node:test'

import { at, job, shown, startHeavy, toast } from './demo.js'
import { closeBrowser, expectText, test, withWorld } from './harness.js'

/** @import { Page } from 'playwright-core' */

after(closeBrowser)

test('the counter and the notifications are used with the keyboard alone', withWorld(async ({ open }) => {
  const page = await open()
  await shown(page)
  await page.keyboard.press('Tab')
  assert.equal(await focused(page), 'Skip to the examples')
  await page.keyboard.press('Enter')
  await page.keyboard.press('Tab')
  assert.equal(await focused(page), 'Subtract one: −1')
  await page.keyboard.press('Tab')
  assert.equal(await focused(page), 'Add one: +1')
  await page.keyboard.press('Enter')
  await page.keyboard.press('Space')
  await expectText(page, '#count', '2')
  assert.equal(await focused(page), 'Add one: +1', 'the focus stays where it was')
  const ring = await page.evaluate(() => getComputedStyle(/** @type {Element} */ (document.activeElement)).outlineStyle)
  assert.equal(ring, 'solid', 'and can be seen')

  await at(page, '#start form [name=seconds]').focus()
  await page.keyboard.press('Control+A')
  await page.keyboard.type('1')
  await page.keyboard.press('Tab')
  await page.keyboard.press('Space')
  await page.keyboard.press('Enter')
  const error = toast(page, 'the rope parted half-way')
  await error.waitFor()
  await error.getByRole('button', { name: 'Close' }).focus()
  await page.keyboard.press('Enter')
  await error.waitFor({ state: 'hidden' })
}))

test('every control has a name, and what comes and goes is announced', withWorld(async ({ open }) => {
  const page = await open()
  await shown(page)
  const nameless = await at(page, 'button, input, a, progress').evaluateAll((controls) =>
    controls
      .filter((control) => {
        const { labels } = /** @type {HTMLInputElement} */ (control)
        return !(control.getAttribute('aria-label') || control.textContent?.trim() || labels?.length)
      })
      .map((control) => control.outerHTML),
  )
  assert.deepEqual(nameless, [])
  assert.equal(await at(page, '#connection').getAttribute('role'), 'status')
  assert.equal(await at(page, '#outcome').getAttribute('role'), 'status')
  await startHeavy(page, { seconds: 1 })
  await job(page).getByRole('progressbar', { name: 'Progress of the heavy task' }).waitFor()
}))

/**
 * The accessible name of what has the focus, as the page's author gave it.
 * @param {Page} page
 */
async function focused(page) {
  return page.evaluate(() => {
    const { activeElement: element } = document
    return element?.getAttribute('aria-label') ?? element?.textContent?.trim()
  })
}
