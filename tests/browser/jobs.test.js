/**
 * The job card: progress, time to the end, place in the queue, log and button, in each of its looks and languages.
 * @module
 */

import assert from 'node:assert/strict'
import { after } from 'node:test'

import { clean } from './axe.js'
import { live } from './controls.js'
import { closeBrowser, expectText, screenshots, test, withWorld } from './harness.js'

/** @import { Page } from 'playwright-core' */

after(closeBrowser)

test('a job card shows progress, time to the end, place in the queue, log and end, and cancels and goes', withWorld(async ({ open }) => {
  const page = await open('/controls/')
  await live(page)
  // The first takes a minute, so that all of this is there for however slow a look.
  await page.locator('#long').click()
  await page.locator('#haul').click()
  await page.locator('#fail').click()
  await card(page, 1).getByText('Running').first().waitFor()
  await card(page, 2).getByText(/no\. 1 in the queue/).waitFor()
  await card(page, 3).getByText(/no\. 2 in the queue/).waitFor()
  await card(page, 1).getByText(/turn \d+ of 1200.*about .+ left/).waitFor()
  await card(page, 1).locator('summary').click()
  await card(page, 1).locator('pre').getByText('20 turns').waitFor()
  const tail = await card(page, 1).locator('pre').evaluate((log) => log.scrollTop + log.clientHeight >= log.scrollHeight - 4)
  assert.ok(tail, 'the log shows its end')
  await card(page, 1).getByRole('button', { name: 'Cancel: Haul 1' }).click()
  await card(page, 1).getByText('Cancelled').first().waitFor()
  await card(page, 2).getByText('Done').first().waitFor()
  await card(page, 3).getByText('Failed').first().waitFor()
  await card(page, 3).getByText('the rope parted').first().waitFor()
  await card(page, 1).getByRole('button', { name: 'Dismiss: Haul 1' }).click()
  await page.waitForFunction(() => document.querySelectorAll('windlass-job').length === 2)
}))

test('while a progress bar moves nothing is read aloud; its end is, once', withWorld(async ({ open }) => {
  const page = await open('/controls/')
  await live(page)
  await expectText(page, '#state', 'rope')
  const heard = await listen(page)
  await page.locator('#long').click()
  await card(page, 1).getByText('Running').first().waitFor()
  await card(page, 1).getByText(/turn ([3-9]\d|\d{3,}) of 1200/).waitFor()
  const meanwhile = await heard()
  assert.ok(meanwhile.moves >= 10, `the bar moved ${meanwhile.moves} times`)
  assert.deepEqual(meanwhile.said, [])
  await card(page, 1).getByRole('button', { name: 'Cancel: Haul 1' }).click()
  await card(page, 1).getByText('Cancelled').first().waitFor()
  assert.deepEqual((await heard()).said, ['Haul 1: Cancelled'])
}))

test('the card speaks the language that the page has chosen, and stands right to left where it is read so', withWorld(async ({ open }) => {
  const page = await open('/controls/')
  await live(page)
  await page.locator('#language').selectOption('de')
  await page.locator('#long').click()
  await page.locator('#haul').click()
  await card(page, 1).getByText('Läuft').waitFor()
  await card(page, 2).getByText('Nr. 1 in der Schlange').waitFor()
  await card(page, 1).getByRole('button', { name: 'Abbrechen: Haul 1' }).waitFor()
  await page.locator('#language').selectOption('ar')
  await card(page, 1).getByText('قيد التشغيل').waitFor()
  const sides = await card(page, 1).evaluate((card) => {
    const root = /** @type {ShadowRoot} */ (card.shadowRoot)
    const [line, button, name] = ['.card', 'button', 'strong'].map((selector) => /** @type {Element} */ (root.querySelector(selector)))
    const { borderRightWidth, borderLeftWidth } = getComputedStyle(/** @type {Element} */ (line))
    return { thick: parseFloat(borderRightWidth) > parseFloat(borderLeftWidth), button: Number(button?.getBoundingClientRect().left) < Number(name?.getBoundingClientRect().left) }
  })
  assert.deepEqual(sides, { thick: true, button: true })
}))

test('the card of a job that has ended follows the language of the page', withWorld(async ({ open }) => {
  const page = await open('/controls/')
  await live(page)
  await page.locator('#haul').click()
  await card(page, 1).getByRole('button', { name: 'Dismiss: Haul 1' }).waitFor()
  await page.locator('#language').selectOption('de')
  await card(page, 1).getByText('Fertig').waitFor()
  await card(page, 1).getByRole('button', { name: 'Entfernen: Haul 1' }).waitFor()
}))

for (const dir of ['ltr', 'rtl']) {
  for (const reducedMotion of /** @type {const} */ (['reduce', 'no-preference'])) {
    test(`axe finds nothing on job cards, ${dir}, motion ${reducedMotion}, and they fit`, withWorld(async ({ open }) => {
      const page = await open('/controls/')
      await live(page)
      await page.emulateMedia({ reducedMotion })
      if (dir === 'rtl') await page.locator('#language').selectOption('ar')
      await page.locator('#fail').click()
      await page.locator('#long').click()
      await page.locator('#haul').click()
      await page.locator('windlass-job').nth(2).waitFor()
      await page.waitForFunction(() => document.querySelectorAll('windlass-job')[1]?.shadowRoot?.querySelector('progress')?.hidden === false)
      await page.locator('windlass-job').nth(1).locator('summary').click()
      await clean(page, reducedMotion)
      await screenshots(page, `jobs-${dir}-${reducedMotion}`)
    }))
  }
}

/**
 * @param {Page} page
 * @param {number} haul
 */
function card(page, haul) {
  return page.locator('windlass-job', { hasText: `Haul ${haul}` })
}

/**
 * What live regions say from now on, in the page and within its elements, and how often progress bars move.
 * @param {Page} page
 */
async function listen(page) {
  await page.evaluate(() => {
    const heard = { said: /** @type {string[]} */ ([]), moves: 0 }
    Object.assign(window, { heard })
    const watched = new Set()
    const isLive = (/** @type {Node} */ node) => {
      const element = node instanceof Element ? node : node.parentElement
      return !!element?.closest('[role=status], [role=alert], [role=log], [aria-live]:not([aria-live=off]), output')
    }
    /** @param {Node} root */
    const watch = (root) => {
      if (watched.has(root)) return
      watched.add(root)
      new MutationObserver((records) => {
        for (const { target, type, attributeName } of records) {
          if (type === 'attributes' && attributeName === 'value') heard.moves += 1
          else if (type !== 'attributes' && isLive(target)) heard.said.push(target.textContent ?? '')
          if (type === 'childList') look(document)
        }
      }).observe(root, { subtree: true, childList: true, characterData: true, attributes: true, attributeFilter: ['value'] })
    }
    const look = (/** @type {ParentNode} */ parent) => {
      for (const element of parent.querySelectorAll('*')) {
        if (!element.shadowRoot) continue
        watch(element.shadowRoot)
        look(element.shadowRoot)
      }
    }
    watch(document)
    look(document)
  })
  return () => page.evaluate(() => /** @type {{ heard: { said: string[], moves: number } }} */ (/** @type {unknown} */ (window)).heard)
}
