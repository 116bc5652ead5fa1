/**
 * The job console: sixty jobs on a pool of four, watched, cancelled, reloaded, failed and retried.
 * @module
 */

import assert from 'node:assert/strict'
import { after } from 'node:test'

import { closeBrowser, expectText, screenshots, test, withWorld } from './harness.js'

/** @import { Page } from 'playwright-core' */

after(closeBrowser)

test('sixty jobs wait in order, run four at a time, are retried and can fail', withWorld(async ({ open }) => {
  const page = await open('/console/')
  await start(page)
  await expectText(page, '#running', '4')
  assert.equal(await page.locator('.job').count(), 60)
  await row(page, 60).getByText(/no\. \d+ in the queue/).waitFor()
  const name = row(page, 2).locator('.name')
  await name.press('Enter')
  await row(page, 2).locator('.name[aria-expanded=true]').waitFor()
  await row(page, 2).locator('.log').getByText(/\b5 turns/).waitFor()
  await page.waitForFunction(() => Number(document.querySelector('.job[data-status=running] progress')?.getAttribute('value')) > 0.5)
  await row(page, 60).getByText(/done in \d+/).waitFor()
  await row(page, 5).getByText('the crate is too heavy for the hold').waitFor()
  await screenshots(page, 'console')
  await row(page, 5).getByRole('button', { name: 'Dismiss' }).click()
  await row(page, 5).waitFor({ state: 'detached' })
  // A retry goes to the end of the queue, behind those that have not been tried.
  await row(page, 3).getByText('attempt 3').waitFor()
  // Seven are too heavy; those whose rope slipped twice are done as well.
  await expectText(page, '#done', '53')
  await expectText(page, '#failed', '7')
}))

test('jobs go on while the page is loaded again, one is cancelled, then all', withWorld(async ({ open, reload }) => {
  const page = await open('/console/')
  await start(page)
  await expectText(page, '#running', '4')
  await reload(page)
  await expectText(page, '#running', '4')
  await row(page, 50).getByRole('button', { name: 'Cancel' }).click()
  await expectText(page, '#cancelled', '1')
  await row(page, 50).getByText('cancelled').waitFor()
  await page.waitForFunction(() => Number(document.querySelector('#done')?.textContent) > 0)

  await page.locator('#cancel-all').click()
  await expectText(page, '#waiting', '0')
  await expectText(page, '#running', '0')
  const ends = await page.locator('#done, #failed, #cancelled').allTextContents()
  assert.equal(ends.map(Number).reduce((sum, count) => sum + count), 60, `each has one end: ${ends}`)
  await page.locator('#clear').click()
  await page.locator('.job').first().waitFor({ state: 'detached' })
  await page.getByText('No jobs.').waitFor()
}))

/** @param {Page} page */
async function start(page) {
  await expectText(page, '#connection', 'live')
  await page.locator('#start').click()
  await expectText(page, '#cancelled', '0')
}

/**
 * @param {Page} page
 * @param {number} crate
 */
function row(page, crate) {
  return page.locator('.job', { has: page.getByRole('button', { name: `Stow crate ${crate}`, exact: true }) })
}
