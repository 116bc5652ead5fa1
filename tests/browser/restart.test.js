/**
 * The server restarted without a store: what was is gone, and the page says so instead of showing it.
 * @module
 */

import assert from 'node:assert/strict'
import { after } from 'node:test'

import { addOne, at, bar, isMarked, job, mark, shown, startHeavy, startText, story, streamed } from './demo.js'
import { closeBrowser, expectText, test, withWorld } from './harness.js'

after(closeBrowser)

for (const how of /** @type {const} */ (['stop', 'kill'])) {
  test(`after a server's ${how} the page starts afresh and tells the person`, withWorld(async ({ open, restart }) => {
    const page = await open()
    await shown(page)
    await mark(page)
    for (let n = 0; n < 3; n++) await addOne(page)
    await startText(page)
    await streamed(page, 20)
    await expectText(page, '#count', '3')
    await restart(how)
    await bar(page).getByText('The server restarted: this page started afresh.').waitFor()
    await shown(page)
    // No stale page: all of it is the new session's.
    await expectText(page, '#count', '0')
    await expectText(page, '#tokens', '0')
    assert.equal(await story(page), '')
    assert.equal(await at(page, '#progress li').count(), 0)
    await addOne(page)
    await expectText(page, '#count', '1')
    assert.ok(await isMarked(page), 'without a reload')
    await bar(page).getByRole('button', { name: 'Close' }).click()
    await bar(page).getByText('started afresh').waitFor({ state: 'hidden' })
  }))
}

test('what was pending for a session that is gone is not done to the next one, and the person is told', withWorld(async ({ open, proxy, restart }) => {
  const page = await open()
  await shown(page)
  await addOne(page)
  await expectText(page, '#count', '1')
  proxy.refuse()
  await expectText(page, '#connection', 'waiting to reconnect')
  await addOne(page)
  await addOne(page)
  await restart()
  proxy.resume()
  await bar(page).getByText('2 changes were not carried over.').waitFor()
  await expectText(page, '#count', '0')
  await expectText(page, '#pending', '0')
  await addOne(page)
  await expectText(page, '#count', '1')
}))

test('a server with work under way ends gracefully and has said where it listened in one line', withWorld(async ({ open, server, proxy }) => {
  const page = await open()
  await shown(page)
  await startHeavy(page, { seconds: 60 })
  await job(page).getByText('running').waitFor()
  proxy.disturbed = true
  assert.equal(await server.stop(), 0)
  assert.equal(server.log.split('\n').filter((line) => line.startsWith('listening on ')).length, 1)
  // The last that the page hears of its task is its end.
  await expectText(page, '#outcome', /^(cancelled|lost)/)
}))
