/**
 * The network broken in the middle of everything: nothing is lost, nothing doubled, and the page is never loaded again.
 * @module
 */

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { after } from 'node:test'

import {
  addOne, bar, button, isMarked, job, mark, notified, shown, startHeavy, startText, story, STORY, streamed, streamedAll, watchText,
} from './demo.js'
import { closeBrowser, expectText, test, withWorld } from './harness.js'

/** @import { Page } from 'playwright-core' */

after(closeBrowser)

test('text that streams survives cuts: not a letter is missing or doubled', withWorld(async ({ open, proxy }) => {
  const page = await open()
  await shown(page)
  await mark(page)
  const watched = await watchText(page)
  await startText(page)
  for (const tokens of [40, 120, 200, 280]) {
    await streamed(page, tokens)
    proxy.cut()
  }
  // Away for longer, while the server writes on.
  await streamed(page, 320)
  proxy.refuse()
  await expectText(page, '#connection', 'waiting to reconnect')
  const behind = await story(page)
  await bar(page).getByText('Reconnecting').waitFor()
  assert.equal(await story(page), behind, 'what stood on the page stays')
  proxy.resume()
  await expectText(page, '#connection', 'live')
  await streamedAll(page)
  assert.equal(await story(page), STORY)
  const { wrong } = await watched()
  assert.deepEqual(wrong, [], 'every text on the way was a beginning of the whole')
  assert.ok(await isMarked(page), 'it is still the same page')
}))

test('a cut in the middle of a heavy task changes nothing of what the person is told', withWorld(async ({ open, proxy }) => {
  const page = await open()
  await shown(page)
  await mark(page)
  const texts = await notified(page)
  await startHeavy(page, { seconds: 4 })
  await job(page).waitFor()
  proxy.cut()
  await page.waitForFunction(() => Number(document.querySelector('#progress progress')?.getAttribute('value')) > 0.4)
  proxy.cut()
  await expectText(page, '#outcome', /^done\s+\d+ primes below \d+$/)
  await expectText(page, '#connection', 'live')
  const said = await texts()
  assert.equal(said.filter((text) => text === 'Heavy task started').length, 1, `${said}`)
  assert.equal(said.filter((text) => text.startsWith('Heavy task done')).length, 1, `${said}`)
  assert.match(said.at(-1) ?? '', /^Heavy task done/)
  assert.equal(new Set(said).size, said.length, `nothing is said twice: ${said}`)
  assert.ok(await isMarked(page), 'it is still the same page')
}))

test('twenty actions with a cut after each are applied exactly once', withWorld(async ({ open, proxy }) => {
  const page = await open()
  await shown(page)
  for (let n = 0; n < 20; n++) {
    await addOne(page)
    proxy.cut()
  }
  await expectText(page, '#count', '20')
  await expectText(page, '#pending', '0')
  await addOne(page)
  await expectText(page, '#count', '21')
}))

test('what is pressed offline is pending, and is applied exactly once and in order after the return', withWorld(async ({ open, proxy }) => {
  const page = await open()
  await shown(page)
  await mark(page)
  await addOne(page)
  await expectText(page, '#count', '1')
  proxy.refuse()
  await expectText(page, '#connection', 'waiting to reconnect')
  await button(page, 'counter', 'Reset').click()
  for (let n = 0; n < 5; n++) await addOne(page)
  await expectText(page, '#pending', '6')
  await expectText(page, '#count', '1')
  await bar(page).getByText('6 changes wait').waitFor()
  proxy.resume()
  // Unless the page has come back by itself meanwhile, and the bar is gone.
  await bar(page).getByRole('button', { name: 'Try now' }).click({ timeout: 1_000 }).catch(() => {})
  await expectText(page, '#count', '5')
  await expectText(page, '#pending', '0')
  await expectText(page, '#connection', 'live')
  assert.ok(await isMarked(page), 'it is still the same page')
}))

test('a network that swallows everything is noticed, and left behind', withWorld(async ({ open, proxy }) => {
  const page = await open()
  await shown(page)
  proxy.hold()
  const held = once(proxy, 'held')
  await addOne(page)
  await held
  await expectText(page, '#pending', '1')
  await bar(page).getByText('Reconnecting').waitFor()
  await addOne(page)
  proxy.resume()
  await expectText(page, '#count', '2')
  await expectText(page, '#pending', '0')
}))

test('a slow network delays and changes nothing', withWorld(async ({ open, proxy }) => {
  const page = await open()
  await shown(page)
  const connections = proxy.accepted
  const waited = await watchPending(page)
  proxy.delay(150)
  for (let n = 0; n < 10; n++) await addOne(page)
  await expectText(page, '#count', '10')
  await expectText(page, '#pending', '0')
  assert.ok((await waited()).some((text) => /^[1-9]/.test(text)), 'what is on its way is told')
  assert.equal(proxy.accepted, connections, 'it connected once')
  assert.equal(await bar(page).getByText(/\S/).filter({ visible: true }).count(), 0, 'a slow network is not a lost one')
}))

/**
 * What the page says of how many actions wait, from now on.
 * @param {Page} page
 * @returns {Promise<() => Promise<string[]>>}
 */
async function watchPending(page) {
  await page.evaluate(() => {
    const pending = /** @type {Element} */ (document.querySelector('#pending'))
    const waited = /** @type {string[]} */ ([])
    Object.assign(window, { waited })
    new MutationObserver(() => waited.push(pending.textContent ?? '')).observe(pending, { subtree: true, childList: true, characterData: true })
  })
  return () => page.evaluate(() => /** @type {any} */ (window).waited)
}
