/**
 * What the demo looks like, wide and narrow, light and dark. The pictures are in `out/`.
 * @module
 */

import assert from 'node:assert/strict'
import { after } from 'node:test'
import { fileURLToPath } from 'node:url'

import { addOne, at, shown, startHeavy, startText, streamed } from './demo.js'
import { closeBrowser, expectText, screenshots, test, withWorld } from './harness.js'
import { told } from './notices.js'

/** @import { Page } from 'playwright-core' */

after(closeBrowser)

test('the page fits 360 and 1,280 pixels, light and dark, with all its examples at work', withWorld(async ({ open }) => {
  const page = await open()
  await shown(page)
  await addOne(page)
  await startHeavy(page, { fail: true })
  await expectText(page, '#outcome', /^failed/)
  await startHeavy(page, { seconds: 1 })
  await expectText(page, '#outcome', /^done/)
  await startText(page)
  await startHeavy(page, { seconds: 60 })
  await streamed(page, 100)
  await told(page, /Still running/)
  await screenshots(page, 'demo')
  for (const width of [360, 1280]) {
    await page.setViewportSize({ width, height: 800 })
    assert.deepEqual(await clipped(page), [], `at ${width} pixels`)
    assert.deepEqual(await overlapping(page), [], `at ${width} pixels`)
    await at(page, '#table .sheet').evaluate((sheet) => sheet.scrollIntoView())
    await page.screenshot({ path: picture(`table-${width}`) })
  }
}))

test('the connection and what waits are told on a page without a network', withWorld(async ({ open, proxy }) => {
  const page = await open()
  await shown(page)
  proxy.refuse()
  await expectText(page, '#connection', 'waiting to reconnect')
  await addOne(page)
  await expectText(page, '#pending', '1')
  await at(page, 'windlass-bar').getByText('1 change waits').waitFor()
  for (const width of [360, 1280]) {
    await page.setViewportSize({ width, height: 800 })
    await page.screenshot({ path: picture(`offline-${width}`) })
    assert.deepEqual(await clipped(page), [], `at ${width} pixels`)
  }
}))

/** @param {string} name */
function picture(name) {
  return fileURLToPath(new URL(`./out/${name}.png`, import.meta.url))
}

/**
 * Elements whose text does not fit them, but for those that are meant to scroll or to end in three dots.
 * @param {Page} page
 */
async function clipped(page) {
  return page.evaluate(() =>
    [...document.querySelectorAll('body *')]
      .filter((element) => element instanceof HTMLElement && !element.closest('.sheet, .paper, .wire, .skip, .jobs'))
      .filter((element) => element.scrollWidth > element.clientWidth + 1 && element.clientWidth > 0)
      .map((element) => `${element.outerHTML.slice(0, 120)}: ${element.scrollWidth} in ${element.clientWidth}`),
  )
}

/**
 * Cards, and controls within them, that lie on each other.
 * @param {Page} page
 */
async function overlapping(page) {
  return page.evaluate(() => {
    const groups = [[...document.querySelectorAll('.card, .top, .lead')], ...[...document.querySelectorAll('.card')].map((card) =>
      [...card.querySelectorAll('button, input, p, h2, progress, dl, footer')].filter((element) => !element.closest('.sheet, .paper')),
    )]
    const found = []
    for (const group of groups) {
      const visible = group.filter((element) => element.getClientRects().length > 0)
      for (const [n, one] of visible.entries()) {
        for (const other of visible.slice(n + 1)) {
          if (one.contains(other)) continue
          const [a, b] = [one.getBoundingClientRect(), other.getBoundingClientRect()]
          const apart = a.right <= b.left + 1 || b.right <= a.left + 1 || a.bottom <= b.top + 1 || b.bottom <= a.top + 1
          if (!apart) found.push(`${one.outerHTML.slice(0, 80)} and ${other.outerHTML.slice(0, 80)}`)
        }
      }
    }
    return found
  })
}
