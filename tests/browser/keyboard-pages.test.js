/**
 * Each example's page does its main job without a mouse: Tab leads to every control, what has the focus shows it, and the
 * keys that people know do what they do everywhere.
 * @module
 */

import assert from 'node:assert/strict'
import { after } from 'node:test'

import { has, live } from './controls.js'
import { at } from './demo.js'
import { closeBrowser, expectText, test, withWorld } from './harness.js'

/** @import { Page } from 'playwright-core' */

after(closeBrowser)

/** More controls than lie between any two on a page. */
const STEPS_MAX = 60

test('keyboard: TodoMVC is filled, ticked, edited, filtered and cleared', withWorld(async ({ open }) => {
  const page = await open('/todomvc/')
  await page.waitForFunction(() => document.activeElement?.className === 'new-todo')
  for (const title of ['haul', 'furl', 'reef']) {
    await page.keyboard.type(title)
    await page.keyboard.press('Enter')
  }
  await expectText(page, '.todo-count', '3 items left')
  await tabTo(page, '.toggle-all', 'Space')
  await expectText(page, '.todo-count', '0 items left')
  await page.keyboard.press('Space')
  await expectText(page, '.todo-count', '3 items left')
  await tabTo(page, '.toggle', 'Space')
  await expectText(page, '.todo-count', '2 items left')
  await page.keyboard.press('Enter')
  await page.waitForFunction(() => document.activeElement?.className === 'edit')
  await page.keyboard.press('End')
  await page.keyboard.type(' in')
  await page.keyboard.press('Enter')
  await expectText(page, '.todo-list label', 'haul in')
  await tabTo(page, 'li:nth-child(2) .destroy', 'Enter')
  await expectText(page, '.todo-count', '1 item left')
  await tabTo(page, '[href="#/active"]', 'Enter')
  await page.waitForFunction(() => [...document.querySelectorAll('.todo-list li')].filter((item) => item.checkVisibility()).length === 1)
  await tabTo(page, '.clear-completed', 'Enter')
  await page.waitForFunction(() => document.querySelectorAll('.todo-list li').length === 1)
}))

test('keyboard: in the job console jobs are started, one is looked into, cancelled and dismissed', withWorld(async ({ open }) => {
  const page = await open('/console/')
  await live(page)
  await tabTo(page, '#start', 'Enter')
  await expectText(page, '#running', '4')
  // From the last on, which waits the longest.
  await tabTo(page, '.job:last-of-type .end', undefined, 'Shift+Tab')
  await page.keyboard.press('Enter')
  await expectText(page, '.job:last-of-type b', 'cancelled')
  await tabTo(page, '.job:last-of-type .end', 'Enter')
  await page.waitForFunction(() => document.querySelectorAll('.job').length === 59)
  await tabTo(page, '#cancel-all', 'Enter')
  await expectText(page, '#waiting', '0')
  await tabTo(page, '.job .name', 'Enter')
  await page.locator('.job .name[aria-expanded=true]').waitFor()
  await tabTo(page, '#clear', 'Space', 'Shift+Tab')
  await page.locator('.job').first().waitFor({ state: 'detached' })
}))

test('keyboard: a training gets its rate, is started, paused, goes on and is stopped', withWorld(async ({ open }) => {
  const page = await open('/training/')
  await live(page)
  await tabTo(page, '#rate')
  await page.keyboard.press('Control+A')
  await page.keyboard.type('0.1')
  await tabTo(page, '#start', 'Enter', 'Shift+Tab')
  await expectText(page, '#status', 'running')
  await tabTo(page, '#pause', 'Space')
  await expectText(page, '#status', 'paused')
  await tabTo(page, '#resume', 'Enter')
  await expectText(page, '#status', 'running')
  await tabTo(page, '#stop', 'Enter')
  await expectText(page, '#status', 'stopped')
}))

test('keyboard: in the chat something is asked, asked again and cleared', withWorld(async ({ open }) => {
  const page = await open('/chat/')
  await live(page)
  await tabTo(page, '#text')
  await page.keyboard.type('Who reads the chart?')
  await page.keyboard.press('Enter')
  await expectText(page, '.message[data-author=you] .text', 'Who reads the chart?')
  await page.locator('#again').waitFor()
  const first = await page.locator('.message:last-child .text').textContent()
  await tabTo(page, '#again', 'Enter', 'Shift+Tab')
  await page.waitForFunction((first) => !document.querySelector('.message:last-child .text')?.textContent?.startsWith(first), String(first).slice(0, 40))
  await page.locator('#again').waitFor()
  await tabTo(page, '#clear', 'Enter')
  await page.getByText('Nothing was said yet').waitFor()
}))

test('keyboard: an analysis is set up, started with Enter, and its log opened', withWorld(async ({ open }) => {
  const page = await open('/csv/')
  await live(page)
  await tabTo(page, '#disk')
  await page.keyboard.press('ArrowDown')
  assert.equal(await page.locator('#disk').inputValue(), 'fast')
  await tabTo(page, '#rows', undefined, 'Shift+Tab')
  await page.keyboard.press('Control+A')
  await page.keyboard.type('20000')
  await page.keyboard.press('Enter')
  await expectText(page, '#status', 'done')
  await tabTo(page, 'summary', 'Enter')
  await page.locator('details[open] .log p').first().waitFor()
}))

test('keyboard: a sweep is started, its map walked through, a run chosen, and all stopped', withWorld(async ({ open }) => {
  const page = await open('/sweep/')
  await live(page)
  await tabTo(page, '#start', 'Enter')
  await expectText(page, '#state', 'running')
  await tabTo(page, '.cell')
  const cell = () => page.evaluate(() => Number(document.activeElement?.getAttribute('data-cell')))
  const first = await cell()
  await page.keyboard.press('ArrowDown')
  await page.keyboard.press('ArrowRight')
  assert.equal(await cell(), first + 21)
  await page.keyboard.press('Enter')
  await expectText(page, '#run', String(first + 21))
  await tabTo(page, '#stop-all', 'Enter', 'Shift+Tab')
  await expectText(page, '#state', 'stopped')
}))

test('keyboard: every kind of control is changed, and a job started and cancelled', withWorld(async ({ open }) => {
  const page = await open('/controls/')
  await live(page)
  await tabTo(page, '#text')
  await page.keyboard.press('End')
  await page.keyboard.type(' of hemp')
  await has(page, 'text', 'rope of hemp')
  await tabTo(page, '#range', 'ArrowRight')
  await has(page, 'range', 41)
  await tabTo(page, '#colour', 'ArrowDown')
  await has(page, 'colour', 'black')
  await tabTo(page, '[name=size]', 'ArrowDown')
  await has(page, 'size', 'l')
  await tabTo(page, '#on', 'Space')
  await has(page, 'on', true)
  await tabTo(page, '#turn', 'Enter')
  await has(page, 'rows', [2, 3, 4, 1].map((id) => ({ id, name: `Coil ${id}` })))
  await tabTo(page, '.name')
  await page.keyboard.type('!')
  await page.waitForFunction(async () => {
    const client = new URL('windlass/windlass.js', location.href).href
    return (await import(client)).app.document.rows.some((/** @type {{ name: string }} */ { name }) => name.includes('!'))
  })
  await tabTo(page, '#enter')
  await page.keyboard.type('heave')
  await page.keyboard.press('Enter')
  await has(page, 'sent', ['"heave"'])
  await tabTo(page, '#long', 'Enter')
  await page.locator('windlass-job').waitFor()
  await tabTo(page, 'button[aria-label^=Cancel]', 'Enter')
  await at(page, 'windlass-job').getByText('Cancelled').first().waitFor()
}))

test('keyboard: the bench page makes rows, selects one and removes one', withWorld(async ({ open }) => {
  const page = await open('/')
  await tabTo(page, '#run', 'Enter')
  const rows = (/** @type {number} */ count) => page.waitForFunction((count) => document.querySelectorAll('tbody tr').length === count, count)
  await rows(1_000)
  await tabTo(page, 'tr:first-child td:nth-child(2) a', 'Enter')
  await page.locator('tr.danger:first-child').waitFor()
  await tabTo(page, 'tr:first-child td:nth-child(3) a', 'Enter')
  await rows(999)
  assert.equal(await page.evaluate(() => location.hash), '')
  await tabTo(page, '#clear', 'Enter', 'Shift+Tab')
  await rows(0)
}, { program: 'bench_page' }))

/**
 * Tabs until what is meant has the focus, and looks whether a person can see that; then presses a key there.
 * @param {Page} page
 * @param {string} selector
 * @param {string} [key]
 * @param {'Tab' | 'Shift+Tab'} [way]
 */
async function tabTo(page, selector, key, way = 'Tab') {
  for (let steps = 0; steps < STEPS_MAX; steps++) {
    await page.keyboard.press(way)
    const ring = await page.evaluate((selector) => {
      let focused = document.activeElement
      while (focused?.shadowRoot?.activeElement) focused = focused.shadowRoot.activeElement
      if (!focused?.matches(selector)) return null
      const shows = (/** @type {Element} */ element) => {
        const { outlineStyle, boxShadow } = getComputedStyle(element)
        return outlineStyle !== 'none' || boxShadow !== 'none'
      }
      // A control that is drawn by its label shows it there.
      return shows(focused) || (focused.nextElementSibling !== null && shows(focused.nextElementSibling))
    }, selector)
    if (ring === null) continue
    assert.ok(ring, `the focus on ${selector} can be seen`)
    if (key) await page.keyboard.press(key)
    return
  }
  assert.fail(`${STEPS_MAX} times ${way} do not lead to ${selector}`)
}
