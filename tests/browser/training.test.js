/**
 * The training monitor: started, watched, paused, reloaded in the middle, stopped, failed.
 * @module
 */

import assert from 'node:assert/strict'
import { after } from 'node:test'

import { closeBrowser, expectText, screenshots, test, withWorld } from './harness.js'
import { told } from './notices.js'

/** @import { Page } from 'playwright-core' */

after(closeBrowser)

test('a training is watched, paused, and goes on while the page is loaded again', withWorld(async ({ open, reload }) => {
  const page = await open('/training/')
  await start(page)
  await told(page, 'Training started')
  const few = await longerThan(page, 2)
  assert.ok(await longerThan(page, few + 2) > few, 'the curve grows')
  await told(page, /Checkpoint at epoch 1000: held-out loss 0\.\d{3}/, 60_000)
  await page.waitForFunction(() => (document.querySelector('#map')?.getAttribute('d')?.length ?? 0) > 1000)
  const accuracy = Number(await page.locator('#accuracy').textContent())
  assert.ok(accuracy > 0.85, `it learns: ${accuracy}`)

  await page.locator('#pause').click()
  await expectText(page, '#status', 'paused')
  await screenshots(page, 'training')
  const held = await points(page)
  await reload(page)
  await expectText(page, '#status', 'paused')
  assert.ok(Math.abs(await points(page) - held) <= 1, 'at most the report that was under way')
  await page.locator('#resume').click()
  await expectText(page, '#status', 'running')
  const before = await points(page)
  await reload(page)
  await longerThan(page, before + 2)

  await page.locator('#stop').click()
  await expectText(page, '#status', 'stopped')
}))

test('a learning rate that is far too high fails and says so, and a lower one trains', withWorld(async ({ open }) => {
  const page = await open('/training/')
  await expectText(page, '#connection', 'live')
  await page.locator('#rate').fill('100')
  await page.locator('#rate').press('Tab')
  await start(page)
  await expectText(page, '#status', 'failed')
  await expectText(page, '#reason', /the loss ran away .*; take a lower learning rate/)
  await page.locator('#rate').fill('0.1')
  await page.locator('#rate').press('Tab')
  await start(page)
  await longerThan(page, 2)
  await page.locator('#stop').click()
  await expectText(page, '#status', 'stopped')
}))

/** @param {Page} page */
async function start(page) {
  await expectText(page, '#connection', 'live')
  await page.locator('#start').click()
}

/**
 * How many points the curve has.
 * @param {Page} page
 */
async function points(page) {
  return (await page.locator('#curve').getAttribute('points') ?? '').split(' ').filter(Boolean).length
}

/**
 * Waits until the curve has more points than that; how many it has then.
 * @param {Page} page
 * @param {number} count
 */
async function longerThan(page, count) {
  await page.waitForFunction((count) => {
    return (document.querySelector('#curve')?.getAttribute('points') ?? '').split(' ').filter(Boolean).length > count
  }, count)
  return points(page)
}
