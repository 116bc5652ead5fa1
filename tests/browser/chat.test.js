/**
 * The chat: an answer that streams, is stopped, written again, reloaded in the middle, and fails.
 * @module
 */

import assert from 'node:assert/strict'
import { after } from 'node:test'

import { closeBrowser, expectText, screenshots, test, withWorld } from './harness.js'

/** @import { Page } from 'playwright-core' */

after(closeBrowser)

test('an answer streams, is stopped, and another takes its place', withWorld(async ({ open }) => {
  const page = await open('/chat/')
  const stopped = await stopBeyond(page, 40)
  await ask(page, 'Tell me about the storm')
  await expectText(page, '.message[data-author=you] .text', 'Tell me about the storm')
  assert.equal(await page.locator('#text').inputValue(), '', 'the form is ready for the next')
  const seen = await stopped()
  assert.ok(seen.lengths.length > 2, `it grew: ${seen.lengths}`)
  assert.deepEqual(seen.lengths, seen.lengths.toSorted((a, b) => a - b))
  assert.equal(seen.isDisabled, true)
  assert.equal(seen.busy, 'true')
  await expectText(page, '.message:last-child .note', 'stopped')
  const left = await answer(page)
  await page.locator('#again').click()
  await page.waitForFunction((text) => document.querySelector('.message:last-child .text')?.textContent !== text, left)
  assert.equal(await page.locator('.message').count(), 2, 'it takes the place of the first')
  await expectText(page, '#again', 'Regenerate')
  await longerThan(page, 100)
  await screenshots(page, 'chat')
}))

test('an answer goes on while the page is loaded again', withWorld(async ({ open, reload }) => {
  const page = await open('/chat/')
  await ask(page, 'Who reads the chart?')
  await longerThan(page, 20)
  const before = await answer(page)
  await reload(page)
  await longerThan(page, before.length + 20)
  assert.ok((await answer(page)).startsWith(before), 'it is the same answer')
  await expectText(page, '#again', 'Regenerate')
}))

test('an answer that fails says why and can be asked for again', withWorld(async ({ open }) => {
  const page = await open('/chat/')
  await ask(page, '/fail')
  await expectText(page, '.message:last-child .note', 'the generator lost its thread')
  await expectText(page, '#again', 'Retry')
  await page.locator('#clear').click()
  await page.getByText('Nothing was said yet').waitFor()
  await ask(page, 'What is the pawl for?')
  await longerThan(page, 20)
}))

/**
 * @param {Page} page
 * @param {string} text
 */
async function ask(page, text) {
  await expectText(page, '#connection', 'live')
  await page.locator('#text').fill(text)
  await page.locator('#text').press('Enter')
}

/** @param {Page} page */
async function answer(page) {
  return await page.locator('.message:last-child .text').textContent() ?? ''
}

/**
 * Waits until the answer is longer than that; how long it is then.
 * @param {Page} page
 * @param {number} length
 */
async function longerThan(page, length) {
  await page.waitForFunction((length) => {
    const last = document.querySelector('.message:last-child')
    return last?.getAttribute('data-author') === 'windlass' && (last.querySelector('.text')?.textContent?.length ?? 0) > length
  }, length)
  return (await answer(page)).length
}

/**
 * Stops the next answer as soon as it is longer than that and has grown thrice, in the page, since it is through in a few
 * seconds.
 * @param {Page} page
 * @param {number} length
 * @returns {Promise<() => Promise<{ lengths: number[], isDisabled: boolean, busy: string | null }>>} what was seen until then
 */
async function stopBeyond(page, length) {
  await page.evaluate((length) => {
    const lengths = /** @type {number[]} */ ([])
    const [messages, send, stop] = ['#messages', '#send', '#stop'].map((selector) => /** @type {HTMLButtonElement} */ (document.querySelector(selector)))
    const observer = new MutationObserver(() => {
      const now = messages.querySelector('[data-author=windlass]:last-child .text')?.textContent?.length ?? 0
      if (now !== (lengths.at(-1) ?? 0)) lengths.push(now)
      // A page that is slow gets much at once.
      if (now <= length || lengths.length < 3) return
      observer.disconnect()
      Object.assign(window, { stopped: { lengths, isDisabled: send.disabled, busy: messages.getAttribute('aria-busy') } })
      stop.click()
    })
    observer.observe(messages, { subtree: true, childList: true, characterData: true })
  }, length)
  return async () => {
    await page.waitForFunction(() => 'stopped' in window)
    return page.evaluate(() => /** @type {any} */ (window).stopped)
  }
}
