/**
 * The server ends and starts again on the same folder: nobody who looks at the page should have to do anything.
 * @module
 */

import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { after } from 'node:test'

import { addOne, at, bar, isMarked, job, mark, notified, shown, startHeavy, startText, streamed } from './demo.js'
import { closeBrowser, expectText, test, withWorld } from './harness.js'

const folders = /** @type {string[]} */ ([])
after(async () => {
  await closeBrowser()
  for (const folder of folders) rmSync(folder, { recursive: true, force: true })
})

/** A server that keeps its sessions in a folder of its own. */
function keeping() {
  const folder = mkdtempSync(path.join(tmpdir(), 'windlass-'))
  folders.push(folder)
  return { options: ['--data', folder] }
}

for (const how of /** @type {const} */ (['stop', 'kill'])) {
  // RESUME, EXACTLY-ONCE
  test(`after a server's ${how} the page has everything, and what was pending is done once`, withWorld(async ({ open, proxy, restart }) => {
    const page = await open()
    await shown(page)
    await mark(page)
    for (let n = 0; n < 3; n++) await addOne(page)
    await expectText(page, '#count', '3')
    // Shown, and with a kill not on disk yet; then what reaches no server at all.
    await addOne(page)
    await expectText(page, '#count', '4')
    proxy.refuse()
    await addOne(page)
    await addOne(page)
    await expectText(page, '#pending', '2')
    await restart(how)
    proxy.resume()
    await expectText(page, '#count', '6')
    await expectText(page, '#pending', '0')
    await shown(page)
    await addOne(page)
    await expectText(page, '#count', '7')
    assert.ok(await isMarked(page), 'without a reload')
    assert.equal(await bar(page).getByText('started afresh').count(), 0)
    assert.equal(await at(page, 'windlass-toasts li').count(), 0, 'nothing is said but by the bar')
  }, keeping()))
}

// EXACTLY-ONCE
test('a server that is killed again and again under a page that goes on counting loses no click and doubles none', withWorld(async ({ open, restart }) => {
  const page = await open()
  await shown(page)
  await mark(page)
  let clicks = 0
  for (let round = 0; round < 5; round++) {
    for (let n = 0; n < 4; n++, clicks++) await addOne(page)
    await restart('kill')
  }
  await expectText(page, '#pending', '0')
  await expectText(page, '#count', String(clicks))
  assert.ok(await isMarked(page), 'without a reload')
}, keeping()))

// OUTLIVES, ONE-END, EVENTS
test('a deploy in the middle of a heavy task: the next server runs it, and the page hears of one end', withWorld(async ({ open, restart }) => {
  const page = await open()
  await shown(page)
  await mark(page)
  const texts = await notified(page)
  await startHeavy(page, { seconds: 2 })
  await job(page).getByText('running').waitFor()
  await addOne(page)
  await restart('stop')
  await expectText(page, '#outcome', /^done/)
  await addOne(page)
  await expectText(page, '#count', '2')
  assert.deepEqual((await texts()).filter((text) => /^Heavy task/.test(text)).map((text) => text.split(':')[0]), ['Heavy task started', 'Heavy task done'])
  assert.ok(await isMarked(page), 'without a reload')
}, keeping()))

// OUTLIVES
test('a page whose task ended with the server is told so, and can begin another', withWorld(async ({ open, restart }) => {
  const page = await open()
  await shown(page)
  await startText(page)
  // Two seconds' worth, of which a crash undoes the last quarter of one.
  await streamed(page, 100)
  await restart('kill')
  await shown(page)
  const told = Number(await at(page, '#tokens').textContent())
  assert.ok(told > 0, 'what had come is still there')
  await startText(page)
  await streamed(page, 20)
}, keeping()))

// RESUME
test('a list that a browser shares is there for its tabs, old and new, after a kill', withWorld(async ({ open, restart }) => {
  const page = await open('/todomvc/')
  await page.locator('.new-todo').fill('haul')
  await page.locator('.new-todo').press('Enter')
  await expectText(page, '.todo-count', '1 item left')
  await restart('kill')
  const other = await open('/todomvc/')
  await expectText(other, '.todo-count', '1 item left')
  await other.locator('.new-todo').fill('away')
  await other.locator('.new-todo').press('Enter')
  await expectText(page, '.todo-count', '2 items left')
}, keeping()))
