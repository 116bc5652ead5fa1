/**
 * What axe-core finds on the pages of the gallery: nothing, at rest and at work, light and dark.
 * @module
 */

import assert from 'node:assert/strict'
import { after } from 'node:test'

import { clean } from './axe.js'
import { at, shown, startHeavy, toast } from './demo.js'
import { closeBrowser, expectText, test, withWorld } from './harness.js'
import { told } from './notices.js'

/** @import { Page } from 'playwright-core' */

after(closeBrowser)

test('axe finds nothing on the demo, with a toast, the bar and a job', withWorld(async ({ open, proxy }) => {
  const page = await open()
  await shown(page)
  // Ten thousand rows take axe minutes. They are all alike but for what stands in them, so that the first, the middle and
  // the last are as good as all.
  const kinds = await at(page, '#table .line:not(.head)').evaluateAll((rows) => {
    const kinds = new Set(rows.map((row) => row.outerHTML.replace(/>[^<]*</g, '><').replace(/\d+/g, '0')))
    const half = rows.length / 2
    rows.forEach((row, at) => (at >= 7 && (at < half - 3 || at > half + 3) && at < rows.length - 7) && row.remove())
    return [...kinds]
  })
  assert.equal(kinds.length, 1, kinds.join('\n'))
  assert.equal(await at(page, '#table .line:not(.head)').count(), 21)
  await startHeavy(page, { seconds: 1, fail: true })
  await toast(page, /rope parted/).waitFor()
  await startHeavy(page, { seconds: 60 })
  await clean(page)
  proxy.refuse()
  await at(page, 'windlass-bar').getByText('Reconnecting').waitFor()
  await clean(page)
}))

test('axe finds nothing on the job console at work', withWorld(async ({ open }) => {
  const page = await open('/console/')
  await page.waitForFunction(() => !document.querySelector('[w-cloak]'))
  await clean(page)
  await page.getByRole('button', { name: 'Start 60 jobs' }).click()
  await expectText(page, '#running', '4')
  await page.locator('.job .name').first().click()
  await clean(page)
}))

test('axe finds nothing on TodoMVC, empty, with todos, and while one is edited', withWorld(async ({ open }) => {
  const page = await open('/todomvc/')
  await page.locator('.new-todo').waitFor()
  await clean(page)
  for (const title of ['a', 'b']) {
    await page.locator('.new-todo').fill(title)
    await page.locator('.new-todo').press('Enter')
  }
  await page.locator('.toggle').first().check()
  await page.locator('.todo-list label').nth(1).dblclick()
  await page.locator('.edit').waitFor()
  await clean(page)
}))

test('axe finds nothing on a training at rest, at work, paused and failed', withWorld(async ({ open }) => {
  const page = await settled(open, '/training/')
  await page.locator('#start').click()
  await told(page, 'Training started')
  await page.waitForFunction(() => (document.querySelector('#curve')?.getAttribute('points') ?? '').split(' ').length > 3)
  await clean(page)
  await page.locator('#pause').click()
  await expectText(page, '#status', 'paused')
  await clean(page)
  await page.locator('#stop').click()
  await expectText(page, '#status', 'stopped')
  await page.locator('#rate').fill('100')
  await page.locator('#rate').press('Tab')
  await page.locator('#start').click()
  await expectText(page, '#status', 'failed')
  await clean(page)
}))

test('axe finds nothing on a chat at rest, while it answers, stopped and failed', withWorld(async ({ open }) => {
  const page = await settled(open, '/chat/')
  for (const [text, state] of [['Tell me', 'writing'], ['/fail', 'failed']]) {
    await page.locator('#text').fill(text)
    await page.locator('#text').press('Enter')
    if (state === 'writing') {
      await page.locator('#stop').waitFor()
      await clean(page)
      // Unless it is through by now.
      await page.locator('#stop').click({ timeout: 1_000 }).catch(() => {})
      await page.locator('#again').waitFor()
    } else await page.locator('.message:last-child .note').waitFor()
    await clean(page)
  }
}))

test('axe finds nothing on an analysis at rest, at work, done and failed', withWorld(async ({ open }) => {
  const page = await settled(open, '/csv/')
  await page.locator('#rows').fill('20000')
  await page.locator('#disk').selectOption('fast')
  await page.locator('#start').click()
  await page.locator('#columns li').first().waitFor()
  await clean(page)
  await expectText(page, '#status', 'done')
  await clean(page)
  await page.locator('#broken').check()
  await page.locator('#start').click()
  await expectText(page, '#status', 'failed')
  await clean(page)
}))

test('axe finds nothing on a sweep at rest, at work and with a run looked at', withWorld(async ({ open }) => {
  const page = await settled(open, '/sweep/')
  await page.locator('#start').click()
  await page.locator('.cell[data-state=done]').first().waitFor()
  await page.locator('.cell').first().click()
  await clean(page)
  await page.locator('#stop-all').click()
  await expectText(page, '#state', 'stopped')
  await clean(page)
}))

test('axe finds nothing on the controls, with a field refused, a job, and without a network', withWorld(async ({ open, proxy }) => {
  const page = await settled(open, '/controls/')
  await page.locator('#long').click()
  await page.locator('windlass-job').waitFor()
  await page.locator('#send').click()
  await page.locator('#sent li').waitFor()
  await clean(page)
  proxy.refuse()
  await page.locator('#turn').click()
  await page.locator('windlass-bar').getByText('Reconnecting').waitFor()
  await clean(page)
}))

/**
 * A page with its state, at rest, on which nothing is found.
 * @param {(path: string) => Promise<Page>} open
 * @param {string} path
 */
async function settled(open, path) {
  const page = await open(path)
  await expectText(page, '#connection', 'live')
  await page.waitForFunction(() => !document.querySelector('[w-cloak]'))
  await clean(page)
  return page
}
