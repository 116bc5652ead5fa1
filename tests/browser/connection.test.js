/**
 * What a person sees of the connection: nothing of a blip, a bar when it is gone, and a page that wakes with everything.
 * @module
 */

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { after } from 'node:test'

import { has, live } from './controls.js'
import { isMarked, mark } from './demo.js'
import { closeBrowser, expectText, test, withWorld } from './harness.js'
import { told } from './notices.js'

/** @import { Page } from 'playwright-core' */

after(closeBrowser)

test('a blip shows nothing, and a connection that is gone for a second shows a bar', withWorld(async ({ open, proxy }) => {
  const page = await open('/controls/')
  await live(page)
  const watched = await watchBar(page)
  // On a busy machine a blip can take longer than one is; then it is none, and another is tried.
  let blip
  for (let tries = 0; tries < 10 && !blip; tries++) {
    proxy.cut()
    await once(proxy, 'accepted')
    await live(page)
    const { losses, shown } = await watched()
    const [loss] = losses.slice(-1)
    if (loss?.back && loss.back - loss.at < 900) blip = { ...loss, shown: shown.filter(({ at }) => at >= loss.at) }
  }
  assert.ok(blip, 'a cut is mended in less than a second')
  assert.deepEqual(blip.shown, [])

  proxy.refuse()
  await bar(page).getByText('Reconnecting').waitFor()
  const { losses, shown } = await watched()
  const waited = shown.find(({ text }) => text === 'Reconnecting…')
  const loss = losses.findLast(({ at }) => waited && at <= waited.at)
  assert.ok(waited && loss && waited.at - loss.at >= 990, `${JSON.stringify({ losses, shown })}`)
}))

test('the bar counts down, tells what waits, tries at once when it is told to, and goes', withWorld(async ({ open, proxy }) => {
  const page = await open('/controls/')
  await live(page)
  proxy.refuse()
  await bar(page).getByText('Reconnecting').waitFor()
  assert.equal(await bar(page).locator('[role=status]').textContent(), 'Reconnecting…', 'the countdown is not read aloud')
  await page.locator('#turn').click()
  await bar(page).getByText('1 change waits').waitFor()
  await page.locator('#turn').click()
  await bar(page).getByText('2 changes wait').waitFor()
  await bar(page).getByText(/in \d+ s/).waitFor()
  await page.evaluate(async () => {
    const { app } = await import(new URL('windlass/windlass.js', location.href).href)
    await new Promise((resolve) => {
      const look = () => {
        if (app.connection.state === 'waiting' && app.connection.retryAt - Date.now() > 1_500) resolve(null)
        else setTimeout(look, 20)
      }
      look()
    })
  })
  // There is more than a second to the next attempt: what comes now is the person's.
  const [attempt] = await Promise.all([once(proxy, 'refused'), bar(page).getByRole('button', { name: 'Try now' }).click()])
  assert.ok(attempt)
  proxy.resume()
  await told(page, 'Connected again')
  await has(page, 'rows', [3, 4, 1, 2].map((id) => ({ id, name: `Coil ${id}` })))
  await page.waitForFunction(() => document.querySelector('windlass-bar')?.shadowRoot?.querySelector('section')?.hidden)
}))

test('a machine that comes online tries at once', withWorld(async ({ open, proxy }) => {
  const page = await open('/controls/')
  await live(page)
  proxy.refuse()
  await page.waitForFunction(async () => {
    const { app } = await import(new URL('windlass/windlass.js', location.href).href)
    return app.connection.state === 'waiting' && app.connection.retryAt - Date.now() > 1_500
  })
  const [attempt] = await Promise.all([once(proxy, 'refused'), page.evaluate(() => void dispatchEvent(new Event('online')))])
  assert.ok(attempt)
  proxy.resume()
  await live(page)
}))

test('[RESUME-1] a page that was left and is returned to is the same page, and goes on', withWorld(async ({ open, leave }) => {
  const page = await open('/controls/')
  await live(page)
  await mark(page)
  await page.evaluate(() => {
    Object.assign(window, { returns: [] })
    addEventListener('pageshow', ({ persisted }) => /** @type {any} */ (window).returns.push(persisted))
  })
  await page.locator('#turn').click()
  await has(page, 'rows', [2, 3, 4, 1].map((id) => ({ id, name: `Coil ${id}` })))
  const other = await open('/controls/')
  await live(other)
  await leave(page, '/chat/')
  await other.locator('#turn').click()
  await has(other, 'rows', [3, 4, 1, 2].map((id) => ({ id, name: `Coil ${id}` })))
  await comeBack(page)
  await has(page, 'rows', [3, 4, 1, 2].map((id) => ({ id, name: `Coil ${id}` })))
  assert.ok(await isMarked(page), 'it was kept, and not loaded')
  assert.deepEqual(await page.evaluate(() => /** @type {any} */ (window).returns), [true])
  await page.locator('#turn').click()
  await has(other, 'rows', [4, 1, 2, 3].map((id) => ({ id, name: `Coil ${id}` })))
}))

/** @param {Page} page */
function bar(page) {
  return page.locator('windlass-bar')
}

/** @param {Page} page */
async function comeBack(page) {
  await page.evaluate(() => void setTimeout(() => history.back()))
  await page.waitForFunction(() => location.pathname.includes('/controls/'))
}

/**
 * When the connection is lost and back from now on, and what the bar shows when.
 * @param {Page} page
 */
async function watchBar(page) {
  await page.evaluate(async () => {
    const { app } = await import(new URL('windlass/windlass.js', location.href).href)
    const seen = { losses: /** @type {{ at: number, back: number | null }[]} */ ([]), shown: /** @type {{ at: number, text: string }[]} */ ([]) }
    Object.assign(window, { seen })
    app.addEventListener('connection', () => {
      const loss = seen.losses.at(-1)
      const isLost = loss && loss.back === null
      if (app.connection.state === 'live') isLost && (loss.back = performance.now())
      else if (!isLost) seen.losses.push({ at: performance.now(), back: null })
    })
    const card = /** @type {HTMLElement} */ (document.querySelector('windlass-bar')?.shadowRoot?.querySelector('section'))
    const text = /** @type {Element} */ (card.querySelector('[role=status]'))
    new MutationObserver(() => {
      if (!card.hidden) seen.shown.push({ at: performance.now(), text: text.textContent ?? '' })
    }).observe(card, { subtree: true, childList: true, characterData: true, attributes: true })
  })
  return () => page.evaluate(() => /** @type {{ seen: { losses: { at: number, back: number | null }[], shown: { at: number, text: string }[] } }} */ (/** @type {unknown} */ (window)).seen)
}
