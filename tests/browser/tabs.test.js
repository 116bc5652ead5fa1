/**
 * Whose session it is: a reload keeps it, another tab has its own, and a duplicated tab too.
 * @module
 */

import assert from 'node:assert/strict'
import { after } from 'node:test'

import {
  addOne, at, button, job, shown, startHeavy, startText, story, STORY, streamed, streamedAll, watchText,
} from './demo.js'
import { closeBrowser, expectText, test, withWorld } from './harness.js'
import { told } from './notices.js'

/** @import { Page } from 'playwright-core' */

after(closeBrowser)

test('a reload in the middle keeps the session, its text and its heavy task', withWorld(async ({ open, reload }) => {
  const page = await open()
  await shown(page)
  const session = await sessionOf(page)
  await addOne(page)
  await startHeavy(page, { seconds: 20 })
  await startText(page)
  await streamed(page, 60)
  const before = (await story(page)) ?? ''
  await reload(page)
  await shown(page)
  assert.equal(await sessionOf(page), session)
  await expectText(page, '#count', '1')
  const after = (await story(page)) ?? ''
  assert.ok(after.startsWith(before) && STORY.startsWith(after), 'the text went on from where it was')
  const watched = await watchText(page)
  await job(page).getByText('running').waitFor()
  await streamedAll(page)
  await told(page, /Heavy task done/)
  await expectText(page, '#outcome', /^done/)
  assert.equal(await story(page), STORY)
  assert.deepEqual((await watched()).wrong, [])
}))

test('an action and a reload in the same moment: it counts once', withWorld(async ({ open, reload }) => {
  const page = await open()
  await shown(page)
  for (let n = 0; n < 3; n++) {
    await page.evaluate(() => {
      const [, add] = document.querySelectorAll('#counter button')
      for (let n = 0; n < 5; n++) /** @type {HTMLElement} */ (add).click()
    })
    await reload(page)
  }
  await shown(page)
  await expectText(page, '#count', '15')
}))

test('two tabs are two sessions', withWorld(async ({ open }) => {
  const [one, two] = [await open(), await open()]
  await Promise.all([shown(one), shown(two)])
  assert.notEqual(await sessionOf(one), await sessionOf(two))
  await addOne(one)
  await addOne(one)
  await expectText(one, '#count', '2')
  await addOne(two)
  await expectText(two, '#count', '1')
  await expectText(one, '#count', '2')
}))

test('a duplicated tab gets a session of its own, and the first keeps its own', withWorld(async ({ open, duplicate, reload }) => {
  const page = await open()
  await shown(page)
  const session = await sessionOf(page)
  await addOne(page)
  await expectText(page, '#count', '1')
  const twin = await duplicate(page)
  await shown(twin)
  assert.notEqual(await sessionOf(twin), session)
  await expectText(twin, '#count', '0')
  for (let n = 0; n < 3; n++) await addOne(twin)
  await expectText(twin, '#count', '3')
  await addOne(page)
  await expectText(page, '#count', '2')
  // Each comes back to its own.
  await reload(twin)
  await reload(page)
  await Promise.all([shown(page), shown(twin)])
  await expectText(page, '#count', '2')
  await expectText(twin, '#count', '3')
  assert.equal(await sessionOf(page), session)
}))

test('a reload on a thread that others keep busy is no duplicated tab', withWorld(async ({ open, duplicate, reload }) => {
  const page = await open('/training/')
  await expectText(page, '#connection', 'live')
  await page.locator('#rate').fill('0.3')
  // Tabs that come from each other share a thread.
  const twin = await duplicate(page)
  await expectText(twin, '#connection', 'live')
  await twin.evaluate(() => void setInterval(() => {
    for (const end = performance.now() + 400; performance.now() < end;);
  }, 5))
  for (let n = 0; n < 3; n++) {
    await reload(page)
    await expectText(page, '#connection', 'live')
    assert.equal(await page.locator('#rate').inputValue(), '0.3')
  }
}))

/**
 * @param {Page} page
 */
async function sessionOf(page) {
  return at(page, '#session').innerText()
}
