/**
 * A page behind another one, as most tabs are: hidden, its timers throttled by the browser, while its state changes.
 * @module
 */

import assert from 'node:assert/strict'
import { after } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'

import { addOne, isMarked, mark, notified, shown, startHeavy, startText, story, STORY } from './demo.js'
import { closeBrowser, expectText, hide, letPagesSleep, test, withWorld } from './harness.js'

/** @import { Page } from 'playwright-core' */

letPagesSleep()
after(closeBrowser)

/**
 * What the page holds, whether it shows it or not.
 * @param {Page} page
 */
function held(page) {
  return page.evaluate(async () => {
    const client = '/windlass/windlass.js'
    const { app } = await import(client)
    const { text, heavy } = app.document
    return { tokens: text.tokens, total: text.total, ended: heavy.ended?.how, status: app.connection.state }
  })
}

/**
 * Notes what happens to the page's elements while nobody can see them.
 * @param {Page} page
 * @returns {Promise<() => Promise<string[]>>}
 */
async function unseen(page) {
  await page.evaluate(() => {
    const unseen = /** @type {string[]} */ ([])
    Object.assign(window, { unseen })
    // What the demo's own script writes of each frame beside its cards is no binding, and notices are put up as they come.
    const ofBindings = (/** @type {MutationRecord} */ { target }) => !(target instanceof Element && target.matches('code.wire, windlass-toasts'))
    new MutationObserver((records) => {
      if (!document.hidden) return
      for (const { type, target, attributeName } of records.filter(ofBindings)) {
        const element = target instanceof Element ? target : target.parentElement
        unseen.push(`${type} ${attributeName ?? ''} of ${element?.cloneNode() instanceof Element ? /** @type {Element} */ (element.cloneNode()).outerHTML : target.nodeName}`)
      }
    }).observe(document.body, { subtree: true, childList: true, characterData: true, attributes: true })
  })
  return () => page.evaluate(() => /** @type {any} */ (window).unseen)
}

// RESUME, CONVERGE, EVENTS
test('a page that is hidden and throttled draws nothing, holds everything, and is equal when it is shown', withWorld(async ({ open, proxy }) => {
  const page = await open()
  await shown(page)
  await mark(page)
  await addOne(page)
  await expectText(page, '#count', '1')
  const texts = await notified(page)
  const drawn = await unseen(page)
  const connections = proxy.accepted
  // Longer than it takes the server to ask twice whether anybody is there.
  await startHeavy(page, { seconds: 45 })
  await startText(page)
  await expectText(page, '#tokens', /^[1-9]/)
  await page.waitForFunction(() => !document.querySelector('button[aria-busy]'))
  await hide(page)
  const before = await story(page)
  for (let now = await held(page); now.ended !== 'done' || now.tokens !== now.total; now = await held(page)) await turn()
  assert.equal(await story(page), before, 'nothing is drawn')
  assert.deepEqual(await drawn(), [])
  assert.equal((await held(page)).status, 'live')
  assert.equal(proxy.accepted, connections, 'it was never let go')
  await page.bringToFront()
  await expectText(page, '#body', STORY.trim())
  await expectText(page, '#outcome', /^done/)
  assert.equal(await story(page), STORY)
  const said = await texts()
  assert.equal(said.filter((text) => text === 'Heavy task started').length, 1, `${said}`)
  assert.equal(new Set(said).size, said.length, `nothing is said twice: ${said}`)
  await addOne(page)
  await expectText(page, '#count', '2')
  assert.ok(await isMarked(page), 'without a reload')
}))

// RESUME, CONVERGE
test('a hidden page whose connection is lost comes back while nobody looks, and is equal when it is shown', withWorld(async ({ open, proxy }) => {
  const page = await open()
  await shown(page)
  await mark(page)
  const drawn = await unseen(page)
  await startText(page)
  await expectText(page, '#tokens', /^[1-9]/)
  await page.waitForFunction(() => !document.querySelector('button[aria-busy]'))
  await hide(page)
  for (let cut = 0; cut < 3; cut++) {
    proxy.cut()
    const from = (await held(page)).tokens
    for (let now = await held(page); now.status !== 'live' || (now.tokens === from && now.tokens < now.total); now = await held(page)) await turn()
  }
  for (let now = await held(page); now.tokens !== now.total; now = await held(page)) await turn()
  assert.deepEqual(await drawn(), [])
  await page.bringToFront()
  await expectText(page, '#body', STORY.trim())
  assert.equal(await story(page), STORY)
  assert.ok(await isMarked(page), 'without a reload')
}))
