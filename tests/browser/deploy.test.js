/**
 * Deploys, one after the other, under a page that goes on working: everything is back whole and exactly once, and the
 * page is never loaded again.
 * @module
 */

import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { after } from 'node:test'

import { addOne, at, bar, isMarked, mark, notified, shown, startHeavy, startText, streamed } from './demo.js'
import { closeBrowser, expectText, test, withWorld } from './harness.js'

const folder = mkdtempSync(path.join(tmpdir(), 'windlass-deploy-'))
after(async () => {
  await closeBrowser()
  rmSync(folder, { recursive: true, force: true })
})

// RESUME, EXACTLY-ONCE, EVENTS, ONE-END, OUTLIVES, CONVERGE
test('three deploys in a row leave a page with all that it did, each job with one end, and each notice told once', withWorld(async ({ open, restart }) => {
  const page = await open()
  await shown(page)
  await mark(page)
  const texts = await notified(page)
  const running = at(page, '#progress li:visible').filter({ hasText: 'running' })
  await startHeavy(page, { seconds: 60 })
  let clicks = 0
  for (let deploy = 1; deploy <= 3; deploy++) {
    // A task, a text that streams and clicks are under way when the server goes down, and more clicks while there is none.
    await running.waitFor()
    await startText(page)
    await streamed(page, 20)
    for (let n = 0; n < 5; n++, clicks++) await addOne(page)
    const down = restart('stop')
    for (let n = 0; n < 5; n++, clicks++) await addOne(page)
    await down
    await shown(page)
    await expectText(page, '#count', String(clicks))
    await expectText(page, '#pending', '0')
    // The task runs again on the next server, and nothing was said of an end; the text can be asked for again.
    await running.waitFor()
    await expectText(page, '#outcome', 'nothing yet')
    assert.equal(await bar(page).getByText('started afresh').count(), 0)
    assert.ok(await isMarked(page), 'without a reload')
  }
  await at(page, '#progress').getByRole('button', { name: 'Cancel' }).click()
  await expectText(page, '#outcome', /^cancelled/)
  const said = (await texts()).filter((text) => /^Heavy task/.test(text)).map((text) => text.split(':')[0])
  assert.deepEqual(said, ['Heavy task started', 'Heavy task cancelled'])
  // What the page shows is what the server holds: another look at the same session by a snapshot.
  const look = () => page.evaluate(() => ['#count', '#outcome', '#body', '#rows', '#tokens'].map((id) => document.querySelector(id)?.textContent?.trim()))
  const before = await look()
  await page.evaluate(async () => {
    const client = '/windlass/windlass.js'
    const { app } = await import(client)
    await app.action('add', 0)
  })
  assert.deepEqual(await look(), before)
}, { options: ['--data', folder] }))
