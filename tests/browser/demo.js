/**
 * The demo's page as a test uses it, in one place.
 * @module
 */

import { readFile } from 'node:fs/promises'

import { expectText } from './harness.js'

/** @import { Page } from 'playwright-core' */

/** What the streaming text is in the end. */
export const STORY = await readFile(new URL('../../examples/demo/src/story.txt', import.meta.url), 'utf8')

/**
 * Waits until the page shows its state, all of it, and can show its notices.
 * @param {Page} page
 */
export async function shown(page) {
  await expectText(page, '#connection', 'live')
  await expectText(page, '#rows', '10,000')
  // Loaded after the first values.
  await bar(page).waitFor({ state: 'attached' })
}

/**
 * What a selector finds outside of shadow roots: to look for those below fifty thousand nodes takes playwright longer
 * than all else.
 * @param {Page} page
 * @param {string} selector
 */
export function at(page, selector) {
  return page.locator(`css:light=${selector}`)
}

/**
 * @param {Page} page
 * @param {string} card its id
 * @param {string} name
 */
export function button(page, card, name) {
  const text = new RegExp(`^\\s*${name.replace('+', '\\+')}\\s*$`)
  return at(page, `#${card} button`).filter({ hasText: text }).first()
}

/** @param {Page} page */
export async function addOne(page) {
  await button(page, 'counter', '+1').click()
}

/**
 * @param {Page} page
 * @param {{ seconds?: number, fail?: boolean, panic?: boolean }} [order]
 */
export async function startHeavy(page, { seconds = 1, fail = false, panic = false } = {}) {
  const form = at(page, '#start form')
  await form.locator('[name=seconds]').fill(String(seconds))
  await form.locator('[name=fail]').setChecked(fail)
  await form.locator('[name=panic]').setChecked(panic)
  await form.locator('button').click()
}

/** @param {Page} page */
export async function startText(page) {
  await button(page, 'text', 'Start').click()
}

/**
 * Waits until so many tokens have come.
 * @param {Page} page
 * @param {number} tokens
 */
export async function streamed(page, tokens) {
  await page.waitForFunction((tokens) => Number(document.querySelector('#tokens')?.textContent) >= tokens, tokens)
}

/**
 * Waits until all tokens have come.
 * @param {Page} page
 */
export async function streamedAll(page) {
  await streamed(page, Number(await at(page, '#text [w-text="text.total"]').textContent()))
}

/**
 * The line of a heavy task, the only one there is or the first.
 * @param {Page} page
 */
export function job(page) {
  return at(page, '#progress li:visible').first()
}

/**
 * A notification that a person can see.
 * @param {Page} page
 * @param {string | RegExp} text
 */
export function toast(page, text) {
  return at(page, 'windlass-toasts').locator('li', { hasText: text }).first()
}

/** @param {Page} page */
export function bar(page) {
  return at(page, 'windlass-bar')
}

/**
 * Marks the page, so that a test can tell whether it is still the same document.
 * @param {Page} page
 */
export async function mark(page) {
  await page.evaluate(() => void Object.assign(window, { marked: true }))
}

/** @param {Page} page */
export async function isMarked(page) {
  return page.evaluate(() => 'marked' in window)
}

/**
 * Every text that the page was notified of from now on, in order; shown or not.
 * @param {Page} page
 * @returns {Promise<() => Promise<string[]>>}
 */
export async function notified(page) {
  await page.evaluate(async () => {
    const client = '/windlass/windlass.js'
    const { app } = await import(client)
    const texts = /** @type {string[]} */ ([])
    Object.assign(window, { texts })
    app.addEventListener('notify', (/** @type {CustomEvent} */ event) => texts.push(event.detail.text))
  })
  return () => page.evaluate(() => /** @type {{ texts: string[] }} */ (/** @type {unknown} */ (window)).texts)
}

/**
 * Looks at every text that the streaming card shows from now on; how many were no beginning of the story.
 * @param {Page} page
 * @returns {Promise<() => Promise<{ seen: number, wrong: string[] }>>}
 */
export async function watchText(page) {
  await page.evaluate((story) => {
    const body = /** @type {Element} */ (document.querySelector('#body'))
    const watched = { seen: 0, wrong: /** @type {string[]} */ ([]) }
    Object.assign(window, { watched })
    new MutationObserver(() => {
      const text = body.textContent ?? ''
      watched.seen += 1
      if (!story.startsWith(text)) watched.wrong.push(text)
    }).observe(body, { subtree: true, childList: true, characterData: true })
  }, STORY)
  return () => page.evaluate(() => /** @type {any} */ (window).watched)
}

/**
 * The text of the streaming card, as it is.
 * @param {Page} page
 */
export async function story(page) {
  return at(page, '#body').textContent()
}
