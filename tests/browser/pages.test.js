/**
 * docs/pages.md in a browser: each example is a document of its own, bound by the client's modules as they are, under the
 * policy of the pages that the server serves. `web-client/test/pages.test.js` runs the same without a browser.
 * @module
 */

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import http from 'node:http'
import path from 'node:path'
import { after, before } from 'node:test'
import { fileURLToPath } from 'node:url'

import { EXAMPLES, plain } from '../../web-client/test/support/examples.js'
import { closeBrowser, launch, PATIENCE_MS, test } from './harness.js'

/** @import { Page } from 'playwright-core' */

const CLIENT = fileURLToPath(new URL('../../web-client/', import.meta.url))
const POLICY = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; require-trusted-types-for 'script'"

/** `/3` is an example, `/3/shown` what it shows; all else are files of the client. */
const server = http.createServer(async (request, response) => {
  const { pathname } = new URL(request.url ?? '', 'http://localhost')
  const [, at, shown] = /^\/(\d+)(\/shown)?$/.exec(pathname) ?? []
  const example = EXAMPLES[Number(at)]
  if (example) {
    response.setHeader('content-type', 'text/html')
    response.setHeader('content-security-policy', POLICY)
    // An inline style is what the client sets by script, and what the policy keeps a document from saying.
    const body = shown ? example.shown?.replace(/ style="(.*?)"/, ' data-style="$1"') : example.html
    return response.end(`<!doctype html><html lang="en"><meta charset="utf-8"><title>${at}</title><link rel="icon" href="data:,"><body>${body}</body></html>`)
  }
  response.setHeader('content-type', 'text/javascript')
  await readFile(path.join(CLIENT, pathname)).then((text) => response.end(text), () => response.writeHead(404).end())
})
let url = ''

before(async () => {
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  url = `http://127.0.0.1:${/** @type {import('node:net').AddressInfo} */ (server.address()).port}`
})
after(async () => {
  await closeBrowser()
  server.close()
  server.closeAllConnections()
})

for (const [at, { html, state, shown, event, change }] of EXAMPLES.entries()) {
  test(`docs/pages.md: ${html.trim().split('\n')[0]?.slice(0, 80)}`, async () => {
    const context = await (await launch()).context()
    context.setDefaultTimeout(PATIENCE_MS)
    const said = /** @type {string[]} */ ([])
    try {
      const page = await context.newPage()
      page.on('pageerror', (error) => said.push(`thrown: ${error}`))
      page.on('console', (message) => void (['error', 'warning'].includes(message.type()) && said.push(message.text())))
      await page.goto(`${url}/${at}`)
      await begin(page, state())
      if (shown !== undefined) {
        const other = await context.newPage()
        await other.goto(`${url}/${at}/shown`)
        const wanted = await tree(other)
        for (const end = Date.now() + PATIENCE_MS; Date.now() < end && (await tree(page)) !== wanted;) await frame(page)
        assert.equal(await tree(page), wanted)
      }
      if (event) {
        await act(page, event)
        assert.deepEqual(await sent(page), [event.sends])
      }
      if (change) {
        const { selector, value, path } = change
        const control = page.locator(selector).first()
        if (await control.evaluate((control) => control.localName) === 'select') await control.selectOption(value)
        else await control.fill(value)
        await control.evaluate((control) => /** @type {HTMLElement} */ (control).blur())
        assert.deepEqual(await sent(page), [['$set', { path, value }]])
      }
      assert.deepEqual(await page.evaluate(() => /** @type {any} */ (window).messages), [])
      assert.deepEqual(said, [])
    } finally {
      await context.close()
    }
  })
}

/**
 * Binds the document to a session that says what it is told to.
 * @param {Page} page
 * @param {unknown} state
 */
async function begin(page, state) {
  await page.evaluate(async (state) => {
    const modules = ['/src/bind.js', '/src/later.js', '/test/support/fake-app.js']
    const [{ bind }, { later }, { FakeApp }] = await Promise.all(modules.map((module) => import(module)))
    await Promise.all(['messages', 'forms', 'model', 'more-formats', 'job-card'].map(later))
    const [app, messages] = [new FakeApp(), /** @type {unknown[]} */ ([])]
    app.document = state
    Object.assign(window, { app, messages })
    bind(document.body, app, { report: (/** @type {unknown} */ message) => messages.push(message), confirm: () => true })
  }, state)
}

/**
 * What the page has asked the session for, as soon as there is anything.
 * @param {Page} page
 * @returns {Promise<[string, unknown][]>}
 */
async function sent(page) {
  await page.waitForFunction(() => /** @type {any} */ (window).app.sent.length > 0)
  return page.evaluate(() => /** @type {any} */ (window).app.sent.map((/** @type {any} */ { name, payload }) => [name, payload]))
}

/**
 * As a person does it, where a person can.
 * @param {Page} page
 * @param {{ type: string, held?: string, key?: string, selector: string }} event
 */
async function act(page, { type, held, key, selector }) {
  const element = page.locator(selector).first()
  if (key) await element.press([held && `${held[0]?.toUpperCase()}${held.slice(1).replace('trl', 'ontrol')}`, key].filter(Boolean).join('+'))
  else if (type === 'click') await element.click()
  else if (type === 'keydown') await element.press('q')
  else if (type === 'cancel') await element.getByRole('button', { name: /^Cancel/ }).click()
  else if (type === 'submit') await element.evaluate((form) => /** @type {HTMLFormElement} */ (form).requestSubmit())
  else await element.evaluate((element, type) => void element.dispatchEvent(new Event(type, { bubbles: true })), type)
}

/**
 * What a person could see of a page.
 * @param {Page} page
 * @returns {Promise<string>}
 */
function tree(page) {
  return page.evaluate(() => {
    for (const element of document.querySelectorAll('[data-style]')) {
      /** @type {HTMLElement} */ (element).style.cssText = element.getAttribute('data-style') ?? ''
      element.removeAttribute('data-style')
    }
  }).then(() => page.locator('body').evaluate(plain))
}

/** @param {Page} page */
function frame(page) {
  return page.evaluate(() => new Promise((resolve) => requestAnimationFrame(() => resolve(null))))
}
