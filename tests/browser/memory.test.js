/**
 * What a page keeps of rows and elements that are gone: nothing. And that a page that slept goes on.
 * @module
 */

import assert from 'node:assert/strict'
import { after } from 'node:test'

import { addOne, at, isMarked, mark, shown } from './demo.js'
import { closeBrowser, expectText, test, withWorld } from './harness.js'

/** @import { Page } from 'playwright-core' */

after(closeBrowser)

test('after ten thousand changes of a list the heap is what it was', withWorld(async ({ open }) => {
  const page = await open('/todomvc/')
  await page.locator('.new-todo').waitFor()
  const heap = await meter(page)
  await addAndRemove(page, 500)
  const before = await heap()
  await addAndRemove(page, 5_000)
  const growth = (await heap()) - before
  // A list change that left a single empty object behind would cost more than this.
  assert.ok(growth < 200_000, `${growth} bytes after 10,000 changes`)
}))

test('elements that another script adds and takes out leave nothing behind', withWorld(async ({ open }) => {
  const page = await open('/console/')
  await page.locator('#start').waitFor()
  const heap = await meter(page)
  const churn = (/** @type {number} */ count) =>
    page.evaluate(async (count) => {
      for (let n = 0; n < count; n++) {
        const added = document.createElement('p')
        for (const [name, value] of [['w-text', 'waiting'], ['w-class:on', 'running > 0'], ['w-on:click', 'start']]) added.setAttribute(name, value)
        document.body.append(added)
        await Promise.resolve()
        if (added.textContent !== '0' && n === 0) await new Promise((resolve) => requestAnimationFrame(resolve))
        if (n === 0 && added.textContent !== '0') throw new Error(`it shows ${added.textContent}`)
        added.remove()
        await Promise.resolve()
      }
    }, count)
  await churn(300)
  const before = await heap()
  await churn(3_000)
  const growth = (await heap()) - before
  assert.ok(growth < 200_000, `${growth} bytes after 3,000 elements`)
}))

test('[RESUME-1] a page that was frozen while its connection died goes on without a reload', withWorld(async ({ open, proxy }) => {
  const page = await open()
  await shown(page)
  await mark(page)
  await addOne(page)
  await expectText(page, '#count', '1')
  const session = await page.context().newCDPSession(page)
  await session.send('Page.setWebLifecycleState', { state: 'frozen' })
  proxy.hold()
  await session.send('Page.setWebLifecycleState', { state: 'active' })
  proxy.cut()
  proxy.resume()
  await expectText(page, '#connection', 'live')
  await addOne(page)
  await expectText(page, '#count', '2')
  assert.equal(await isMarked(page), true)
  assert.equal(await at(page, '#session').innerText(), '#1')
}))

/**
 * @param {Page} page
 * @param {number} count
 */
async function addAndRemove(page, count) {
  await page.evaluate(async (count) => {
    const client = 'windlass/windlass.js'
    const { app } = await import(new URL(client, location.href).href)
    for (let n = 0; n < count; n += 20) {
      await Promise.all(Array.from({ length: 20 }, (_, at) => app.action('add', `todo ${at}`)))
      const ids = app.document.todos.map((/** @type {{ id: number }} */ { id }) => id)
      await Promise.all(ids.map((/** @type {number} */ id) => app.action('destroy', id)))
    }
  }, count)
}

/**
 * The heap of the page after everything that nobody holds is gone.
 * @param {Page} page
 */
async function meter(page) {
  const session = await page.context().newCDPSession(page)
  return async () => {
    await page.evaluate(() => new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve))))
    for (let n = 0; n < 3; n++) await session.send('HeapProfiler.collectGarbage')
    return (await session.send('Runtime.getHeapUsage')).usedSize
  }
}
