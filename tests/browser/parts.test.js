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
  return context.addInitScript(() => addEventListener('DOMContentLoaded', () => {
    for (const hidden of document.querySelectorAll('[w-cloak]')) hidden.removeAttribute('w-cloak')
  }))
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

test('what is typed after an early Enter is not joined with what was entered, and a later Enter sends it alone', withWorld(async ({ open, context }) => {
  const go = await hold(context, 'forms')
  await uncloak(context)
  const page = await open('/controls/')
  await expectText(page, '#connection', 'live')
  const input = page.locator('#enter')
  await input.focus()
  await page.keyboard.type('one')
  await page.keyboard.press('Enter')
  await page.keyboard.type('two')
  await page.keyboard.press('Enter')
  await page.keyboard.type('three')
  assert.equal(await input.inputValue(), 'three')
  go()
  await page.locator('#sent li').nth(1).waitFor()
  const sent = await page.locator('#sent li').allTextContents()
  assert.deepEqual(sent.map((text) => text.replaceAll('"', '')), ['two', 'one'], 'the newest first')
  assert.equal(await input.inputValue(), 'three')
}))

test('a form of a page that is not hidden is emptied by an early Enter, and sends what was in it', withWorld(async ({ open, context }) => {
  const go = await hold(context, 'forms')
  await uncloak(context)
  const page = await open('/chat/')
  const input = page.locator('#text')
  await input.click()
  await page.keyboard.type('early words')
  await page.keyboard.press('Enter')
  await page.keyboard.type('typed on')
  go()
  await page.getByText('early words', { exact: true }).first().waitFor()
  assert.equal(await input.inputValue(), 'typed on')
}))

test('an early Enter whose part cannot be had gives back what was entered', withWorld(async ({ open, context, proxy }) => {
  proxy.disturbed = true
  await context.route('**/windlass/forms.js*', (route) => route.abort('connectionfailed'))
  await uncloak(context)
  const page = await open('/controls/')
  await expectText(page, '#connection', 'live')
  await page.locator('#enter').fill('kept')
  await page.locator('#enter').press('Enter')
  await page.locator('windlass-toasts [part=text]').getByText('A part of this page is missing').waitFor()
  assert.equal(await page.locator('#enter').inputValue(), 'kept')
}))

test('what is told before there is what shows it is shown when there is', withWorld(async ({ open, context, proxy }) => {
  const go = await hold(context, 'notices')
  const page = await open()
  await expectText(page, '#connection', 'live')
  proxy.refuse()
  await page.waitForFunction(async () => (await import(new URL('windlass/windlass.js', location.href).href)).app.connection.state !== 'live')
  assert.equal(await page.locator('windlass-bar').count(), 0)
  await page.evaluate(async () => {
    const { app } = await import(new URL('windlass/windlass.js', location.href).href)
    app.dispatchEvent(new CustomEvent('notify', { detail: { text: 'told early' } }))
  })
  proxy.resume()
  go()
  await page.locator('windlass-toasts [part=text]').getByText('told early').waitFor()
  await expectText(page, '#connection', 'live')
  assert.equal(await page.locator('windlass-toasts li').count(), 1)
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
