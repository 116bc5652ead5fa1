/**
 * What axe-core finds on the pages of the gallery: nothing, at rest and at work, light and dark.
 * @module
 */

import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { after } from 'node:test'

import { at, shown, startHeavy, toast } from './demo.js'
import { closeBrowser, expectText, inject, test, withWorld } from './harness.js'

/** @import { Page } from 'playwright-core' */

after(closeBrowser)

const AXE = await readFile(new URL('node_modules/axe-core/axe.min.js', import.meta.url), 'utf8')

test('axe finds nothing on the demo, with a toast, the bar and a job', withWorld(async ({ open, proxy }) => {
  const page = await open()
  await shown(page)
  // Ten thousand rows take axe minutes; the first twenty are as good as all.
  await at(page, '#table .line:not(.head)').evaluateAll((rows) => rows.slice(20).forEach((row) => row.remove()))
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

for (const path of ['/training/', '/chat/', '/csv/']) {
  test(`axe finds nothing on ${path}`, withWorld(async ({ open }) => {
    const page = await open(path)
    await page.waitForFunction(() => !document.querySelector('[w-cloak]'))
    await clean(page)
  }))
}

/** @param {Page} page */
async function clean(page) {
  await inject(page, AXE)
  for (const colorScheme of /** @type {const} */ (['light', 'dark'])) {
    await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' })
    const found = await page.evaluate(async () => {
      const { axe } = /** @type {any} */ (window)
      const { violations } = await axe.run(document, { resultTypes: ['violations'] })
      return violations.flatMap((/** @type {any} */ { id, nodes }) =>
        nodes.map((/** @type {any} */ { target, failureSummary }) => `${id}: ${target} ${failureSummary}`))
    })
    assert.deepEqual(found, [], colorScheme)
  }
}
