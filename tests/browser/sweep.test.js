/**
 * The parameter sweep: started, watched, ranked, one run and all runs stopped, reloaded in the middle, failed, stopped early.
 * @module
 */

import assert from 'node:assert/strict'
import { after } from 'node:test'

import { closeBrowser, expectText, screenshots, test, withWorld } from './harness.js'
import { told } from './notices.js'

/** @import { Page } from 'playwright-core' */

after(closeBrowser)

test('two hundred runs fill the map, eight at a time, and go on while the page is loaded again', withWorld(async ({ open, reload }) => {
  const page = await open('/sweep/')
  await start(page)
  await expectText(page, '#at-work', /^[1-8] run, \d+ wait$/)
  await many(page, '#done', 5)
  await page.locator('.cell[data-state=running]').first().waitFor()
  assert.ok(await page.locator('.cell[data-state=running]').count() <= 8)
  await reload(page)
  await expectText(page, '#state', 'running')
  const before = Number(await page.locator('#done').textContent())
  assert.ok(before >= 5, `what was found is there: ${before}`)
  await many(page, '#done', before + 5)
  await screenshots(page, 'sweep')

  // The columns of the highest rates fail, and say why.
  await told(page, 'The sweep is through', 90_000)
  await expectText(page, '#state', 'done')
  const [done, failed] = (await page.locator('#done, #failed').allTextContents()).map(Number)
  assert.equal(Number(done) + Number(failed), 200)
  assert.ok(Number(failed) > 0)
  await page.locator('.cell[data-state=failed]').last().click()
  await expectText(page, '#run-text', /^the loss ran away to .* in epoch \d+$/)
  const ranking = (await page.locator('#ranking td:last-child').allTextContents()).map(Number)
  assert.equal(ranking.length, 10)
  assert.deepEqual(ranking, ranking.toSorted((a, b) => b - a), 'the best come first')
  assert.ok(ranking[0] && Math.abs(ranking[0] - Number(await page.locator('#best').textContent())) < 0.001)
}))

test('the arrow keys move through the map, one run is stopped, then all', withWorld(async ({ open }) => {
  const page = await open('/sweep/')
  await start(page)
  await page.locator('.cell[data-cell="1"]').focus()
  await page.keyboard.press('ArrowDown')
  await page.keyboard.press('End')
  await page.keyboard.press('ArrowDown')
  await page.keyboard.press('ArrowLeft')
  await page.keyboard.press('Enter')
  await expectText(page, '#run', '59')
  await page.locator('.cell[data-cell="199"]').click()
  await expectText(page, '#run-state', 'queued')
  await page.locator('#stop-run').click()
  await expectText(page, '#run-state', 'stopped')
  await expectText(page, '#stopped', '1')
  await expectText(page, '#state', 'running')

  await page.locator('#stop-all').click()
  await expectText(page, '#state', 'stopped')
  const counts = (await page.locator('#done, #failed, #stopped').allTextContents()).map(Number)
  assert.equal(counts.reduce((sum, count) => sum + count), 200, `each run has one end: ${counts}`)
  await page.locator('#at-work').waitFor({ state: 'hidden' })
}))

test('a run that is good enough ends the sweep', withWorld(async ({ open }) => {
  const page = await open('/sweep/')
  await expectText(page, '#connection', 'live')
  await page.locator('#stops-early').check()
  await page.locator('#target').fill('0.8')
  await page.locator('#target').press('Tab')
  await start(page)
  await told(page, /Stopped early: run \d+ reached 0\.[89]\d\d/)
  await expectText(page, '#state', 'done')
  await expectText(page, '#reason', /^Stopped early/)
  assert.ok(Number(await page.locator('#stopped').textContent()) > 50)
  assert.ok(Number(await page.locator('#best').textContent()) >= 0.8)
}))

/** @param {Page} page */
async function start(page) {
  await expectText(page, '#connection', 'live')
  await page.locator('#start').click()
  await expectText(page, '#state', 'running')
}

/**
 * Waits until a count is at least that.
 * @param {Page} page
 * @param {string} selector
 * @param {number} least
 */
async function many(page, selector, least) {
  await page.waitForFunction(([selector, least]) => Number(document.querySelector(selector)?.textContent) >= least,
    /** @type {[string, number]} */ ([selector, least]))
}
