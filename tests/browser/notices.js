/**
 * What toasts and the bar say, written down in the page: most of it goes by itself, and a slow machine would look too late.
 * @module
 */

/** @import { Page } from 'playwright-core' */

/** Begins with each document, before its scripts. Sent into the page as text, so it stands for itself. */
export function record() {
  const notices = /** @type {string[]} */ ([])
  Object.assign(window, { notices })
  const watched = new WeakSet()
  /** @param {ParentNode} root */
  const read = (root) => {
    for (const card of root.querySelectorAll('li, section:not([hidden])')) {
      const text = card.textContent?.trim() ?? ''
      if (text && notices.at(-1) !== text) notices.push(text)
    }
  }
  const look = () => {
    for (const element of document.body.querySelectorAll(':scope > windlass-toasts, :scope > windlass-bar')) {
      const root = element.shadowRoot
      if (!root || watched.has(root)) continue
      watched.add(root)
      new MutationObserver(() => read(root)).observe(root, { subtree: true, childList: true, characterData: true, attributeFilter: ['hidden'] })
      read(root)
    }
  }
  const begin = () => {
    new MutationObserver(look).observe(document.body, { childList: true })
    look()
  }
  if (document.readyState === 'loading') addEventListener('DOMContentLoaded', begin)
  else begin()
}

/**
 * Waits until a toast or the bar has said that, be it there still or gone.
 * @param {Page} page
 * @param {string | RegExp} text
 * @param {number} [timeout]
 */
export async function told(page, text, timeout) {
  const isRegExp = text instanceof RegExp
  const wanted = { isRegExp, source: isRegExp ? text.source : text }
  await page.waitForFunction(
    ({ isRegExp, source }) => /** @type {any} */ (window).notices.some((/** @type {string} */ notice) => (isRegExp ? new RegExp(source).test(notice) : notice.includes(source))),
    wanted,
    { timeout },
  ).catch(async (error) => {
    throw new Error(`nothing said ${text}, but: ${(await page.evaluate(() => /** @type {any} */ (window).notices)).join(' | ')}`, { cause: error })
  })
}
