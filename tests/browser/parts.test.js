/**
 * Parts of the client that are loaded when they are used, on a network that is slow or fails while they come.
 * @module
 */

import assert from 'node:assert/strict'
import { after } from 'node:test'

import { closeBrowser, expectText, test, withWorld } from './harness.js'

/** @import { BrowserContext } from 'playwright-core' */

after(closeBrowser)

/**
 * Holds a part back until it is let go.
 * @param {BrowserContext} context
 * @param {string} name
 */
async function hold(context, name) {
  let go = () => {}
  const gone = new Promise((resolve) => (go = () => resolve(undefined)))
  await context.route(`**/windlass/${name}.js`, async (route) => {
    await gone
    await route.continue()
  })
  return go
}

/**
 * As on a page that does not hide itself until its values are there.
 * @param {BrowserContext} context
 */
function uncloak(context) {
  return context.addInitScript(() => addEventListener('DOMContentLoaded', () => document.querySelector('main')?.removeAttribute('w-cloak')))
}

test('what is typed before w-model is there is written when it is', withWorld(async ({ open, context }) => {
  const go = await hold(context, 'model')
  await uncloak(context)
  const page = await open('/controls/')
  await expectText(page, '#connection', 'live')
  await page.locator('#text').fill('early')
  go()
  await expectText(page, '#state', 'early')
  assert.equal(await page.locator('#text').inputValue(), 'early')
  await page.locator('#text').fill('late')
  await expectText(page, '#state', 'late')
}))

test('a form that is sent before what reads it is there is sent when it is, and the page stays', withWorld(async ({ open, context }) => {
  const go = await hold(context, 'forms')
  await uncloak(context)
  const page = await open('/controls/')
  await expectText(page, '#connection', 'live')
  await page.locator('#send').click()
  go()
  await expectText(page, '#sent li', /"how":"now".*"knots":4|"knots":4.*"how":"now"/)
  assert.equal(await page.locator('#sent li').count(), 1)
}))

test('a form whose part cannot be had says so, and works when it can', withWorld(async ({ open, context, proxy }) => {
  proxy.disturbed = true
  await context.route('**/windlass/forms.js*', (route) => route.abort('connectionfailed'))
  const page = await open('/controls/')
  await expectText(page, '#connection', 'live')
  await page.locator('#send').click()
  await page.locator('windlass-toasts [part=text]').getByText('A part of this page is missing').waitFor()
  await context.unroute('**/windlass/forms.js*')
  await page.locator('#send').click()
  await expectText(page, '#sent li', /knots/)
  assert.equal(await page.locator('#sent li').count(), 1, 'what was refused is not sent after all')
}))
